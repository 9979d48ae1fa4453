"""The road from raw films to a champion: each step one command, skipped when its inputs have not changed."""

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import requests

from common import film_kind
from common.database import connect
from common.migrations import migrate
from common.settings import ROOT
from orchestration.console import Progress, Step, run_command
from orchestration.doctor_checks import CHAMPION
from orchestration.runtime import Runtime, hash_of_files

PYTHON = sys.executable
DBT_FOLDERS = ("--project-dir", str(ROOT / "dbt_project"), "--profiles-dir", str(ROOT / "dbt_project"))


@dataclass(frozen=True)
class Task:
    """A step of the pipeline.

    Attributes:
        name: its key in `ops.step_runs` and the name of its log.
        title: for people.
        commands: run one after the other.
        fingerprint: identifies its inputs, as they are in the database and on disk when it is called.
        done: says in a few words what the database holds after it.
    """

    name: str
    title: str
    commands: tuple[tuple[str, ...], ...]
    fingerprint: Callable[[psycopg.Connection], str]
    done: Callable[[psycopg.Connection], str]


class Pipeline:
    """Load, transform, publish, train."""

    def __init__(self, runtime: Runtime, progress: Progress) -> None:
        self._runtime = runtime
        self._progress = progress
        self._url = runtime.settings.database_url

    def prepare(self) -> None:
        """Bring our own tables to the newest version."""
        migrate(self._url)

    def build(self) -> None:
        """Load the films, build dbt, publish the features; a step whose inputs are unchanged is skipped."""
        for task in (self._load(), self._transform(), self._publish()):
            with self._progress.step(task.title) as step:
                self._run(task, step)

    def train(self, *, always: bool) -> None:
        """Train and register a model: `always`, or only when none was trained on such data and features yet, or when
        the champion learned from films of the other kind, by whatever way it came to be the champion.
        """
        with self._progress.step("Model: train, calibrate, evaluate, register") as step:
            misfit = None if always else self._find_misfit()
            self._run(self._training(), step, always=always or misfit is not None)
            if misfit is not None:
                step.result += f", trained because {misfit}"

    def evaluate(self) -> Sequence[str]:
        """Judge the model on both splits; returns what was printed."""
        with self._progress.step("Evaluation on both splits") as step:
            return self._command((PYTHON, "-m", "training", "evaluate"), "evaluate", step)

    def _run(self, task: Task, step: Step, *, always: bool = False) -> None:
        with connect(self._url) as connection:
            before = task.fingerprint(connection)
            if not always and self._keeps(task, connection):
                step.result = f"kept, {task.done(connection)}; MOVIES_SOURCE=sample or =kaggle replaces them"
                return
            if not always and _last_fingerprint(connection, task.name) == before:
                step.result = f"unchanged, {task.done(connection)}"
                return
        started = time.monotonic()
        for command in task.commands:
            self._command(command, task.name, step)
        with connect(self._url) as connection:
            # taken again: a load changes what its own fingerprint sees
            _remember(connection, task.name, task.fingerprint(connection), time.monotonic() - started)
            step.result = task.done(connection)

    def _keeps(self, task: Task, connection: psycopg.Connection) -> bool:
        """Whether `auto` would put the sample in the place of real films, which nobody asked for."""
        settings = self._runtime.settings
        if task.name != "load" or settings.movies_source != "auto" or settings.has_kaggle_credentials:
            return False
        (real,) = _row(connection, "select exists (select from raw.movies where not is_synthetic)")
        return bool(real)

    def _command(self, command: Sequence[str], name: str, step: Step) -> list[str]:
        log = self._runtime.settings.state_dir / "logs" / f"{name}.log"
        return run_command(command, environment=self._runtime.environment, log=log, step=step)

    def _load(self) -> Task:
        def fingerprint(connection: psycopg.Connection) -> str:
            return _hash(self._source_identity(), _newest_load(connection), hash_of_files(ROOT / "ingestion"))

        def done(connection: psycopg.Connection) -> str:
            films, sources = _row(connection, "select count(*), string_agg(distinct source, ', ') from raw.movies")
            payloads, rejected = _row(
                connection,
                "select (select count(*) from raw.tmdb_movies), (select count(*) from raw.movies_rejected)",
            )
            return f"{films:,} films ({sources}), {payloads:,} TMDB payloads, {rejected:,} rows in quarantine"

        return Task("load", "Films into raw.movies", ((PYTHON, "-m", "ingestion", "load"),), fingerprint, done)

    def _transform(self) -> Task:
        def fingerprint(connection: psycopg.Connection) -> str:
            return _hash(_newest_load(connection), hash_of_files(ROOT / "dbt_project"))

        def done(connection: psycopg.Connection) -> str:
            (tables,) = _row(
                connection, "select count(*) from information_schema.tables where table_schema = 'features'"
            )
            return f"{tables} feature and label tables built and tested"

        build = ("dbt", "build", "--quiet", *DBT_FOLDERS)
        return Task("transform", "Features by dbt", (build,), fingerprint, done)

    def _publish(self) -> Task:
        def fingerprint(connection: psycopg.Connection) -> str:
            code = hash_of_files(ROOT / "feature_repo", ROOT / "feast_stores")
            return _hash(_last_fingerprint(connection, "transform") or "", code)

        def done(connection: psycopg.Connection) -> str:
            views, rows = _row(connection, "select count(*), sum(row_count) from online.published")
            return f"{views} views with {rows:,} rows in the online store"

        publish = (PYTHON, str(ROOT / "feature_repo" / "publish.py"))
        return Task("publish", "Features into Feast", (publish,), fingerprint, done)

    def _training(self) -> Task:
        def fingerprint(connection: psycopg.Connection) -> str:
            # A new model is a person's decision, with two exceptions: a model of synthetic films must not answer
            # for real ones, and a model cannot answer from features that have other names or types than its own.
            synthetic = film_kind.kind_of_loaded(connection) == film_kind.kind_of(synthetic=True)
            (columns,) = _row(
                connection,
                "select string_agg(concat_ws(' ', table_name, column_name, data_type), ',' order by table_name, "
                "ordinal_position) from information_schema.columns where table_schema = 'features'",
            )
            return _hash(str(synthetic), str(columns), self._runtime.settings.tracking_uri)

        def done(_: psycopg.Connection) -> str:
            return "a champion is registered"

        return Task("train", "Model", ((PYTHON, "-m", "training", "train"),), fingerprint, done)

    def _find_misfit(self) -> str | None:
        """What is wrong when the champion learned from made-up films and real ones are loaded, or the reverse."""
        settings = self._runtime.settings
        with connect(self._url) as connection:
            loaded = film_kind.kind_of_loaded(connection)
        try:
            answer = requests.get(f"{settings.tracking_uri}/{CHAMPION}", auth=settings.mlflow_login, timeout=10)
            champion = answer.json()["model_version"] if answer.ok else {}
            tags = {tag["key"]: tag["value"] for tag in champion.get("tags", [])}
        except (requests.RequestException, ValueError, LookupError, TypeError):
            return None  # whoever needs MLflow next says so
        misfit = film_kind.describe_misfit(tags, loaded)
        return misfit and f"version {champion['version']} {misfit}"

    def _source_identity(self) -> str:
        """What the settings ask to load."""
        settings = self._runtime.settings
        source = settings.movies_source
        payloads = _file_identity(settings.tmdb_payloads) if settings.tmdb_payloads else ""
        if source in {"auto", "kaggle", "sample"}:
            return f"{source} {settings.sample_films} {settings.sample_seed} {payloads}"
        return f"{_file_identity(Path(source).expanduser())} {payloads}"


def _file_identity(path: Path) -> str:
    status = path.stat() if path.exists() else None
    return f"{path.resolve()} {status.st_size if status else 0} {status.st_mtime_ns if status else 0}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _row(connection: psycopg.Connection, query: str) -> tuple[object, ...]:
    row = connection.execute(query).fetchone()
    return row or ()


def _newest_load(connection: psycopg.Connection) -> str:
    """The newest load that changed anything."""
    (load,) = _row(
        connection,
        "select coalesce(max(load_id), 0) from raw.loads where rows_loaded + rows_updated + rows_removed > 0",
    )
    return str(load)


def _last_fingerprint(connection: psycopg.Connection, step: str) -> str | None:
    row = connection.execute("select fingerprint from ops.step_runs where step = %s", (step,)).fetchone()
    return row[0] if row else None


def _remember(connection: psycopg.Connection, step: str, fingerprint: str, seconds: float) -> None:
    connection.execute(
        "insert into ops.step_runs (step, fingerprint, seconds) values (%s, %s, %s) on conflict (step) do update "
        "set fingerprint = excluded.fingerprint, seconds = excluded.seconds, finished_at = now()",
        (step, fingerprint, seconds),
    )
