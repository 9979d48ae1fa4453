"""How fast the server answers, side by side with what it is compared with: `python -m benchmarks.serving`.

Needs a running platform (`make up`) for its database and its model; starts servers of its own beside it, on free
ports, and a stub of TMDB at 0 ms. Prints one table and writes reports/serving.json.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import psycopg
import requests

from benchmarks.serving.load import Question, measure
from benchmarks.serving.stub import read_bodies
from common.settings import ROOT, Settings, load_settings

REPORT = ROOT / "reports" / "serving.json"
WORKERS = 2
CLIENTS = (1, 8, 32)
PEERS = ("ours", "ours_gunicorn", "reference", "mlflow")
START_SECONDS = 120.0
COLD_FILMS, LANDED_FILMS, CACHED_FILMS, BATCHES = 50, 300, 100, 5
COLD_PAUSE = 0.12  # one connection leads to one worker, which asks TMDB at most ten times a second
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--payloads", type=Path, help="TMDB-shaped JSON lines (default: hand-made films)")
    parser.add_argument("--seconds", type=float, default=6.0, help="per measurement under load (default: 6)")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS, help="default: all")
    options = parser.parse_args()
    settings = load_settings()
    bodies = read_bodies(options.payloads)
    films = list(bodies)
    stub_arguments = [str(options.payloads)] if options.payloads else []
    with tempfile.TemporaryDirectory() as name, landed_as_before(settings, films):
        stub = free_port()
        with server([sys.executable, "-m", "benchmarks.serving.stub", str(stub), *stub_arguments], stub, "/"):
            peers: dict[str, Callable[[], Figures]] = {
                "ours": lambda: measure_ours(settings, bodies, stub, options.seconds, "granian"),
                "ours_gunicorn": lambda: measure_ours(settings, bodies, stub, options.seconds, "gunicorn"),
                "reference": lambda: measure_reference(films, stub, options.seconds, Path(name)),
                "mlflow": lambda: measure_mlflow(settings, options.seconds),
            }
            report: dict[str, Any] = {}
            for peer in options.peers:
                report[peer] = peers[peer]()
                print(peer, json.dumps(report[peer]), flush=True)
    report["machine"] = {"cores": os.cpu_count(), "workers": WORKERS, "films": len(films)}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    print_table(report)


def measure_ours(settings: Settings, bodies: Mapping[int, bytes], stub: int, seconds: float, wsgi: str) -> Figures:
    """Our server under one WSGI server, which starts with nothing in memory."""
    port = free_port()
    environment = {
        "DB_CONNECTION_STRING": settings.database_url,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "TMDB_API_BASE_URL": f"http://127.0.0.1:{stub}/3",
        "TMDB_API_TOKEN": "eyJ.stub.token",
        "PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }
    commands = {
        "granian": [sys.executable, "-m", "serving", "run", "--workers", str(WORKERS)],
        "gunicorn": [
            *(sys.executable, "-m", "gunicorn", "serving.worker:make_app()", "-b", f"127.0.0.1:{port}"),
            *("-w", str(WORKERS), "-k", "gthread", "--threads", "16", "--log-level", "warning"),
        ],
    }
    with (
        tempfile.TemporaryDirectory() as state,
        server(commands[wsgi], port, "/readyz", {**environment, "STATE_DIR": state}) as process,
    ):
        forget(settings, list(bodies))
        warm_up(port, list(bodies)[-50:])
        figures = measure_paths(settings, port, bodies, seconds)
        figures["memory_mb_per_worker"] = memory_of_workers(process)
    return figures


def measure_paths(settings: Settings, port: int, bodies: Mapping[int, bytes], seconds: float) -> Figures:
    """Each path from TMDB to the answer, on films that were not asked for before."""

    films = iter(bodies)

    def take(count: int) -> list[int]:
        return [next(films) for _ in range(count)]

    def take_landed(count: int) -> list[int]:
        taken = take(count)
        land(settings, {film: bodies[film] for film in taken})
        return taken

    cold = measure(port, ask(take(COLD_FILMS)), clients=1, pause=COLD_PAUSE)
    landed = {}
    for clients in CLIENTS:
        landed[f"c{clients}"] = measure(port, ask(take_landed(LANDED_FILMS)), clients=clients)
    batches = [take_landed(100) for _ in range(BATCHES)]
    batch = measure(port, [ask_batch(films) for films in batches], clients=1)
    batch_cached = measure(port, [ask_batch(batches[-1])] * 20, clients=1)
    known = take_landed(CACHED_FILMS)
    measure(port, ask(known) * 6, clients=8)  # every worker has seen every film
    cached = {f"c{n}": measure(port, ask(known), clients=n, seconds=seconds) for n in CLIENTS}
    return {
        "cold": {"c1": cold},
        "landed": landed,
        "cached": cached,
        "batch_100_ms": batch["p50_ms"],
        "batch_100_cached_ms": batch_cached["p50_ms"],
    }


def measure_reference(films: Sequence[int], stub: int, seconds: float, folder: Path) -> Figures:
    """The reference's design, which does all of its work each time."""
    from benchmarks.serving.reference import save_model

    port, model = free_port(), folder / "forest"
    save_model(model)
    command = [
        *(sys.executable, "-m", "gunicorn", "benchmarks.serving.reference:make_app()"),
        *("-w", str(WORKERS), "-b", f"127.0.0.1:{port}", "--log-level", "warning"),
    ]
    environment = {"REFERENCE_MODEL": str(model), "REFERENCE_TMDB": f"http://127.0.0.1:{stub}/3"}
    with server(command, port, "/", environment):
        questions = [Question("/", orjson.dumps({"tmdb_id": film})) for film in films[:CACHED_FILMS]]
        measure(port, questions[:20], clients=2)
        figures = {f"c{n}": measure(port, questions, clients=n, seconds=seconds) for n in CLIENTS}
    return {"cold": figures, "landed": figures, "cached": figures}


def measure_mlflow(settings: Settings, seconds: float) -> Figures:
    """`mlflow models serve` of the champion, with the features handed in."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/bechdel-test-predictor@champion"),
        *("-p", str(port), "-w", str(WORKERS), "--env-manager", "local"),
    ]
    with server(command, port, "/ping", {"MLFLOW_TRACKING_URI": settings.tracking_uri}):
        body = orjson.dumps({"dataframe_records": [one_vector(settings)]})
        questions = [Question("/invocations", body)]
        measure(port, questions * 20, clients=2)
        figures = {f"c{n}": measure(port, questions, clients=n, seconds=seconds) for n in CLIENTS}
    return {"landed": figures, "cached": figures}


def ask(films: Sequence[int]) -> list[Question]:
    """A question for each film."""
    return [Question("/api/v1/predictions", orjson.dumps({"tmdb_id": film})) for film in films]


def ask_batch(films: Sequence[int]) -> Question:
    """All films in one question."""
    return Question("/api/v1/predictions", orjson.dumps({"movies": [{"tmdb_id": film} for film in films]}))


def land(settings: Settings, bodies: Mapping[int, bytes]) -> None:
    """The films have landed just now, and nobody has asked for them."""
    with psycopg.connect(settings.database_url) as connection:
        connection.cursor().executemany(
            """
            insert into raw.tmdb_movies
                (tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at)
            values (%s, %s, 'api', false, 'benchmark', now(), now())
            """,
            [(film, body.decode()) for film, body in bodies.items()],
        )


def forget(settings: Settings, films: Sequence[int]) -> None:
    """No film has landed."""
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("delete from raw.tmdb_movies where tmdb_id = any(%s)", [list(films)])


@contextmanager
def landed_as_before(settings: Settings, films: Sequence[int]) -> Iterator[None]:
    """The landing table holds every film of the stub meanwhile, and is afterwards as it was."""
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("drop table if exists serving.landed_before_benchmark")
        connection.execute(
            "create table serving.landed_before_benchmark as select * from raw.tmdb_movies where tmdb_id = any(%s)",
            [list(films)],
        )
    try:
        yield
    finally:
        with psycopg.connect(settings.database_url) as connection:
            connection.execute("delete from raw.tmdb_movies where tmdb_id = any(%s)", [list(films)])
            connection.execute("insert into raw.tmdb_movies select * from serving.landed_before_benchmark")
            connection.execute("drop table serving.landed_before_benchmark")


def warm_up(port: int, films: Sequence[int]) -> None:
    """Every worker has opened its connections and imported what it needs."""
    for _ in range(4):
        measure(port, ask(films[:8]), clients=4)


def one_vector(settings: Settings) -> Mapping[str, Any]:
    """A film's feature values, from the live views."""
    from mlflow import MlflowClient
    from mlflow.pyfunc import load_model

    from serving.database import Database
    from serving.features_live import LiveFeatures

    MlflowClient(settings.tracking_uri)
    os.environ["MLFLOW_TRACKING_URI"] = settings.tracking_uri
    signature = load_model("models:/bechdel-test-predictor@champion").metadata.get_input_schema()
    kinds = {column.name: str(column.type) for column in signature}
    database = Database(settings.database_url, connections=1)
    [film] = database.fetch("select tmdb_id from raw.tmdb_movies order by tmdb_id limit 1")
    row = LiveFeatures(database).read([film["tmdb_id"]], tuple(kinds))[film["tmdb_id"]]
    database.close()
    return {n: float(v) if v is not None and "double" in kinds[n] else v for n, v in row.items()}


@contextmanager
def server(
    command: Sequence[str], port: int, path: str, environment: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    """A server in the background until the block ends, from the moment it answers."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}, start_new_session=True
    )
    try:
        wait_for(port, path, process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    """Until every worker answers without a server error: twelve new connections in a row meet one that does."""
    deadline, good = time.monotonic() + START_SECONDS, 0
    while time.monotonic() < deadline and process.poll() is None:
        try:
            status = requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code
            good = good + 1 if status < 500 else 0
        except requests.RequestException:
            good = 0
        if good == 12:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not answer at port {port}")


def memory_of_workers(process: psutil.Process) -> int:
    """Resident memory of the largest worker, in MB."""
    workers = process.children(recursive=True)
    return max(worker.memory_info().rss for worker in workers) // 2**20 if workers else 0


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_table(report: Mapping[str, Any]) -> None:
    """One line per path and number of clients, one column per server."""
    servers = [name for name in PEERS if name in report]
    print(f"\n{'path':<16}" + "".join(f"{name:>32}" for name in servers))
    print(f"{'':<16}" + f"{'p50 ms / p99 ms / requests a s':>32}" * len(servers))
    for path in ("cold", "landed", "cached"):
        for clients in CLIENTS:
            cells = [report[name].get(path, {}).get(f"c{clients}") for name in servers]
            if any(cells):
                texts = [f"{c['p50_ms']:.1f} / {c['p99_ms']:.1f} / {c['rps']:.0f}" if c else "-" for c in cells]
                print(f"{path + ', ' + str(clients):<16}" + "".join(f"{text:>32}" for text in texts))
    for name in ("batch_100_ms", "batch_100_cached_ms", "memory_mb_per_worker"):
        print(f"{name:<22}" + "".join(f"{report[s].get(name, '-')!s:>16}" for s in servers))


if __name__ == "__main__":
    main()
