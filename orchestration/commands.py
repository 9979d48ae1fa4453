"""Command line of the orchestration: what the Makefile's targets call."""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import requests

from common.database import address, connect
from common.embedded_postgres import EmbeddedPostgres
from common.errors import DatabaseError, PlatformError, ServiceError
from common.settings import ROOT, Settings, load_settings
from orchestration.console import Progress, console, run_command
from orchestration.pipeline import DBT_FOLDERS, Pipeline
from orchestration.runtime import Runtime

START_SECONDS = 240.0
ANSWER_SECONDS = 180.0  # from its start; a busy machine needs long to import and to fetch the champion
ASK_SECONDS = 5  # whoever wants to know how things stand does not wait for what hangs
ANSWERS_PER_WORKER = 4  # one that is not ready yet is hardly ever missed by as many
LINTERS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("lint-imports",),
    ("sqlfluff", "lint", "dbt_project"),
)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    action: Callable[[Runtime, argparse.Namespace], int] = options.action
    return action(Runtime(load_settings()), options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orchestration", description="Run the platform on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, action, text in (
        ("up", up, "from nothing to a page that answers; a second run changes nothing"),
        ("restart", restart, "new code and .env for the running server, without a lost request"),
        ("down", down, "stop what `up` started"),
        ("status", status, "what runs, what is loaded, which model answers"),
        ("logs", logs, "the last lines of every log"),
        ("init-infra", init_infra, "start PostgreSQL, MLflow and the server, without data or model"),
        ("train-model", train_model, "load, build, publish and train"),
        ("evaluate", evaluate, "print the model's figures on both splits"),
        ("docs", docs, "dbt's documentation and lineage as one static page"),
        ("lint", lint, "style of Python and SQL, and who may import whom"),
        ("clean", clean, "stop everything and delete what was made"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(action=action)
    database_parser = commands.add_parser("database", help="start or stop the embedded PostgreSQL alone")
    database_parser.add_argument("state", choices=["start", "stop"])
    database_parser.set_defaults(action=database)
    return parser


def up(runtime: Runtime, _: argparse.Namespace) -> int:
    """Everything, in the background, until the page answers a real question."""
    progress = Progress(total=7)
    pipeline = _start_stores(runtime, progress)
    pipeline.build()
    _wait_for_mlflow(runtime)
    pipeline.train(always=False)
    _start_server(runtime, progress, ready=True)
    _print_addresses(runtime)
    return 0


def init_infra(runtime: Runtime, _: argparse.Namespace) -> int:
    """The services alone; the server says what is missing until a model is trained."""
    progress = Progress(total=3)
    _start_stores(runtime, progress)
    _wait_for_mlflow(runtime)
    _start_server(runtime, progress, ready=False)
    _print_addresses(runtime)
    return 0


def train_model(runtime: Runtime, _: argparse.Namespace) -> int:
    """The pipeline with a new model at its end."""
    progress = Progress(total=6)
    pipeline = _start_stores(runtime, progress)
    pipeline.build()
    _wait_for_mlflow(runtime)
    pipeline.train(always=True)
    console.print(_what_became_of_the_model(runtime.settings.state_dir / "logs" / "train.log"), markup=False)
    return 0


def evaluate(runtime: Runtime, _: argparse.Namespace) -> int:
    """The pipeline, then the model's figures."""
    progress = Progress(total=6)
    pipeline = _start_stores(runtime, progress)
    pipeline.build()
    _wait_for_mlflow(runtime)
    console.print("\n".join(pipeline.evaluate()), markup=False)
    return 0


def restart(runtime: Runtime, _: argparse.Namespace) -> int:
    """Replace the server's workers while it answers."""
    from serving.rolling import longest_reload

    with Progress(total=1).step("Server: new workers, one after the other") as step:
        seconds = runtime.server.reload(longest_reload(runtime.settings.serving_workers))
        step.result = f"{runtime.server.url} answered all the time, {seconds:.1f} s"
    return 0


def down(runtime: Runtime, _: argparse.Namespace) -> int:
    """Stop the services in the order in which they depend on each other."""
    stopped = [service.name for service in (runtime.server, runtime.mlflow) if service and service.stop()]
    if runtime.database and runtime.database.stop():
        stopped.append("postgresql")
    console.print(f"Stopped: {', '.join(stopped) or 'nothing was running'}.")
    return 0


def status(runtime: Runtime, _: argparse.Namespace) -> int:
    """One line for each part."""
    try:
        facts = _look_into_database(runtime.settings)
        _print_state("database", "answers", address(runtime.settings.database_url))
    except DatabaseError as error:
        facts = []
        _print_state("database", "is away", str(error))
    for service in (runtime.mlflow, runtime.server):
        if service is not None:
            state = "answers" if service.process() and service.answers() else "is away"
            _print_state(service.name, state, service.url)
    for name, state, fact in [*_look_at_model(runtime.server.url), *facts]:
        _print_state(name, state, fact)
    return 0


def logs(runtime: Runtime, _: argparse.Namespace) -> int:
    """The end of each log under its path."""
    found = sorted((runtime.settings.state_dir / "logs").glob("*.log"))
    for log in [*found, *([runtime.database.log] if runtime.database else [])]:
        if log.exists():
            console.rule(str(log))
            console.print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), markup=False)
    return 0


def docs(runtime: Runtime, _: argparse.Namespace) -> int:
    """dbt's documentation of the database in use, in one file that needs no server."""
    progress = Progress(total=1)
    with progress.step("Documentation by dbt") as step:
        log = runtime.settings.state_dir / "logs" / "docs.log"
        # a folder of its own: it would overwrite the record of the last build, which the page of the platform shows
        folder = ROOT / "dbt_project" / "target" / "docs"
        command = ("dbt", "docs", "generate", "--static", "--target-path", str(folder), *DBT_FOLDERS)
        run_command(command, environment=runtime.environment, log=log, step=step)
        page = ROOT / "reports" / "dbt.html"
        page.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "static_index.html", page)
        step.result = str(page)
    return 0


def lint(_: Runtime, __: argparse.Namespace) -> int:
    """Every linter, all findings before the verdict."""
    failed = [name for name, *rest in LINTERS if _run_tool(name, *rest) != 0]
    if failed:
        raise PlatformError(
            f"{', '.join(sorted(set(failed)))} found something, see above. `ruff format` mends layout."
        )
    return 0


def clean(runtime: Runtime, options: argparse.Namespace) -> int:
    """Stop everything and delete the state: database, models, downloads, logs. Asks first on a terminal."""
    state = runtime.settings.state_dir
    if sys.stdin.isatty() and input(f"Delete the database, models and downloads in {state}? [y/N] ").lower() != "y":
        raise PlatformError("Nothing was deleted.")
    down(runtime, options)
    if runtime.database:
        runtime.database.delete()
    for folder in (state, ROOT / "dbt_project" / "target", ROOT / "dbt_project" / "logs"):
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def database(runtime: Runtime, options: argparse.Namespace) -> int:
    """The embedded server alone."""
    server = EmbeddedPostgres(runtime.settings.state_dir, runtime.settings.embedded_db_port)
    if options.state == "start":
        server.start()
        console.print(server.url)
    else:
        server.stop()
    return 0


def _start_stores(runtime: Runtime, progress: Progress) -> Pipeline:
    """PostgreSQL with our tables, and MLflow, which comes up while the next steps run."""
    pipeline = Pipeline(runtime, progress)
    with progress.step("PostgreSQL") as step:
        if runtime.database:
            runtime.database.start()
        pipeline.prepare()
        step.result = address(runtime.settings.database_url)
    with progress.step("MLflow") as step:
        if runtime.mlflow is None:
            step.result = runtime.settings.tracking_uri
        else:
            with connect(runtime.settings.database_url) as connection:
                connection.execute("create schema if not exists mlflow")
            started = runtime.mlflow.start()
            step.result = f"{runtime.mlflow.url} {'starts in the background' if started else 'was running'}"
    return pipeline


def _wait_for_mlflow(runtime: Runtime) -> None:
    if runtime.mlflow:
        runtime.mlflow.wait(START_SECONDS)


def _start_server(runtime: Runtime, progress: Progress, *, ready: bool) -> None:
    """Start the server and wait: until it lives, or `ready`: until it has answered a real question."""
    server = runtime.server
    with progress.step("Server") as step:
        started = server.start()
        server.wait(START_SECONDS, healthy=_FirstAnswer(runtime) if ready else None)
        step.result = f"{server.url} {'answers' if started else 'was running and answers'}"


class _FirstAnswer:
    """Asks the server for the prediction of a film that is loaded, until it gives one however often it is asked.

    Each question is a new connection, which any worker may take: one whose model is still on its way is noticed.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._questions = ANSWERS_PER_WORKER * runtime.settings.serving_workers
        self._url = f"{runtime.server.url}/api/v1/predictions"
        self._give_up = time.monotonic() + ANSWER_SECONDS
        with connect(runtime.settings.database_url) as connection:
            row = connection.execute("select max(movie_id) from marts.dim_movies").fetchone()
        self._movie_id = row[0] if row else None
        if self._movie_id is None:
            raise ServiceError("No film is loaded, so there is nothing to answer. See `make logs`.")

    def __call__(self) -> bool:
        return all(self._is_answered() for _ in range(self._questions))

    def _is_answered(self) -> bool:
        try:
            answer = requests.post(self._url, json={"tmdb_id": self._movie_id}, timeout=20)
        except requests.RequestException:
            return False
        if answer.ok:
            return "probability" in answer.json()["prediction"]
        if time.monotonic() > self._give_up:
            raise ServiceError(f"The server runs but does not predict: {answer.json().get('detail', answer.reason)}")
        return False


def _what_became_of_the_model(log: Path) -> str:
    """Training's own last words: whether the new version is the champion, and why."""
    lines = log.read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.startswith("Version ")), f"See {log}.")


def _print_addresses(runtime: Runtime) -> None:
    url = runtime.server.url
    console.print(f"\nPage     {url}\nAPI      {url}/openapi.json\nMLflow   {runtime.settings.tracking_uri}")
    console.print("\nStop with `make down`.", markup=False)


def _print_state(name: str, state: str, fact: str) -> None:
    console.print(f"{name:9} {state:8} {fact}", markup=False)


def _look_into_database(settings: Settings) -> list[tuple[str, str, str]]:
    """What is loaded and which steps were done; nothing before our tables are made.

    Raises:
        DatabaseError: it does not answer, or refuses the login.
    """
    limit = f"-c timezone=UTC -c statement_timeout={ASK_SECONDS}s"
    with connect(settings.database_url, connect_timeout=ASK_SECONDS, options=limit) as connection:
        try:
            counts = connection.execute(
                "select (select count(*) from raw.movies), (select count(*) from raw.tmdb_movies)"
            ).fetchone()
            steps = connection.execute(
                "select step, seconds, to_char(finished_at, 'YYYY-MM-DD HH24:MI') from ops.step_runs order by 3"
            ).fetchall()
        except psycopg.errors.UndefinedTable:
            return []
        except psycopg.errors.QueryCanceled as error:
            raise DatabaseError("PostgreSQL is busy: something holds its tables, perhaps a restore.") from error
    films, payloads = counts or (0, 0)
    done = [(step, "done", f"{finished} UTC, {seconds:.1f} s") for step, seconds, finished in steps]
    return [("films", "loaded" if films else "missing", f"{films:,} films, {payloads:,} TMDB payloads"), *done]


def _look_at_model(server: str) -> list[tuple[str, str, str]]:
    """Which model the server answers with, or why it has none; nothing when it does not answer."""
    try:
        model = requests.get(f"{server}/readyz", timeout=ASK_SECONDS).json()["checks"]["model"]
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return []
    if not model["ok"]:
        return [("model", "missing", model["detail"])]
    version = f"version {model['version']}, loaded at {model['loaded_at'][:16].replace('T', ' ')} UTC"
    return [("model", "answers", " ".join([version, *([model["detail"]] if "detail" in model else [])]))]


def _run_tool(name: str, *arguments: str) -> int:
    console.print(f"$ {name} {' '.join(arguments)}", markup=False)
    return subprocess.run([str(Path(sys.executable).with_name(name)), *arguments], cwd=ROOT, check=False).returncode
