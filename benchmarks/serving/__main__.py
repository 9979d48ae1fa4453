"""How fast the server answers, side by side with what it is compared with: `python -m benchmarks.serving`.

Brings the platform up where it is not running; starts servers of its own beside it, on free ports, and a stand-in for
TMDB at 0 ms. Prints one table, writes reports/serving.json and docs/benchmarks/serving.md. Takes about four minutes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.serving.landing_table import forget, land, landed_as_before
from benchmarks.serving.load import Question, measure
from benchmarks.serving.report import CLIENTS, NUMBERS, PAGE, PEERS, as_table, write_json, write_page
from benchmarks.serving.servers import LOADED, free_port, memory_of_workers, platform, server
from benchmarks.serving.stub import read_bodies
from common import cli
from common.settings import Settings, load_settings

WORKERS = 2
COLD_FILMS = {1: 50, 8: 64, 32: 96}
LANDED_FILMS, CACHED_FILMS, BATCHES = 250, 100, 21
COLD_PAUSE = 0.06  # TMDB is asked at most 19 times a second, by all workers together
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--payloads", type=Path, help="TMDB-shaped JSON lines (default: TMDB_PAYLOADS, else made-up films)"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="per measurement under load (default: 6)")
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=PEERS, help="default: all, and the page is written"
    )
    options = parser.parse_args()
    settings = load_settings()
    load_before = round(os.getloadavg()[0], 1)
    with platform(settings):
        report = measure_peers(settings, options.payloads or settings.tmdb_payloads, options.peers, options.seconds)
    report["machine"]["load_before"] = load_before
    write_json(report)
    print(f"\np50 / p99 in ms, requests a second\n{as_table(report)}\nwritten: {NUMBERS}")
    if set(options.peers) == set(PEERS):
        write_page(report)
        print(f"written: {PAGE}")


def measure_peers(settings: Settings, payloads: Path | None, peers: Sequence[str], seconds: float) -> dict[str, Any]:
    """The figures of each peer, one after the other, on the same films."""
    bodies = read_bodies(payloads)
    films = list(bodies)
    stub_arguments = [str(payloads)] if payloads else []
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, landed_as_before(settings, films):
        stub = free_port()
        with server([sys.executable, "-m", "benchmarks.serving.stub", str(stub), *stub_arguments], stub, "/"):
            measures: dict[str, Callable[[], Figures]] = {
                "ours": lambda: measure_ours(settings, bodies, stub, seconds, "granian"),
                "ours_gunicorn": lambda: measure_ours(settings, bodies, stub, seconds, "gunicorn"),
                "reference": lambda: measure_reference(films, stub, seconds, Path(name)),
                "mlflow": lambda: measure_mlflow(settings, bodies, seconds),
            }
            for peer in peers:
                report[peer] = measures[peer]()
                print(peer, json.dumps(report[peer]), flush=True)
    source = "TMDB's shape from a file" if payloads else "made-up films"
    report["machine"] = {"cores": os.cpu_count(), "workers": WORKERS, "films": len(films), "source": source}
    return report


def measure_ours(settings: Settings, bodies: Mapping[int, bytes], stub: int, seconds: float, wsgi: str) -> Figures:
    """Our server under one WSGI server, which starts with nothing in memory."""
    port = free_port()
    environment = {
        "DB_CONNECTION_STRING": settings.database_url,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "TMDB_API_BASE_URL": f"http://127.0.0.1:{stub}/3",
        "TMDB_API_TOKEN": "eyJ.stub.token",
        "PORT": str(port),
        "LOG_LEVEL": "INFO",
    }
    commands = {
        "granian": [sys.executable, "-m", "serving", "run", "--workers", str(WORKERS)],
        "gunicorn": [
            *(
                sys.executable,
                "-m",
                "gunicorn",
                f"serving.worker:make_app(workers={WORKERS})",
                "-b",
                f"127.0.0.1:{port}",
            ),
            *("-w", str(WORKERS), "-k", "gthread", "--threads", "16", "--log-level", "warning"),
        ],
    }
    with (
        tempfile.TemporaryDirectory() as state,
        server(
            commands[wsgi], port, "/readyz", {**environment, "STATE_DIR": state}, words=LOADED, workers=WORKERS
        ) as process,
    ):
        forget(settings, list(bodies))
        warm_up(port, list(bodies)[-50:])
        time.sleep(1.0)  # what that asked of TMDB counts against its limit no more
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

    [asked_before] = ask(list(bodies)[-1:])
    cold = {
        f"c{n}": measure(
            port, ask(take(count)), clients=n, pause=COLD_PAUSE if n == 1 else 0.0, meanwhile=asked_before
        )
        for n, count in COLD_FILMS.items()
    }
    landed = {f"c{n}": measure(port, ask(take_landed(LANDED_FILMS)), clients=n) for n in CLIENTS}
    batches = [take_landed(100) for _ in range(BATCHES)]
    batch = measure(port, [ask_batch(films) for films in batches], clients=1)
    batch_cached = measure(port, [ask_batch(batches[-1])] * 20, clients=1)
    known = take_landed(CACHED_FILMS)
    measure(port, ask(known) * 6, clients=8)  # every worker has seen every film
    cached = {f"c{n}": measure(port, ask(known), clients=n, seconds=seconds) for n in CLIENTS}
    return {
        "cold": cold,
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


def measure_mlflow(settings: Settings, bodies: Mapping[int, bytes], seconds: float) -> Figures:
    """`mlflow models serve` of the champion, with the features handed in."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/bechdel-test-predictor@champion"),
        *("-p", str(port), "-w", str(WORKERS), "--env-manager", "local"),
    ]
    with server(command, port, "/ping", {"MLFLOW_TRACKING_URI": settings.tracking_uri}):
        vectors = read_vectors(settings, dict(list(bodies.items())[:100]))
        questions = [Question("/invocations", orjson.dumps({"dataframe_records": [vector]})) for vector in vectors]
        measure(port, questions, clients=2)
        figures = {f"c{n}": measure(port, questions, clients=n, seconds=seconds) for n in CLIENTS}
        batch = Question("/invocations", orjson.dumps({"dataframe_records": vectors}))
        batches = measure(port, [batch] * BATCHES, clients=1)
    return {"landed": figures, "cached": figures, "batch_100_ms": batches["p50_ms"]}


def ask(films: Sequence[int]) -> list[Question]:
    """A question for each film."""
    return [Question("/api/v1/predictions", orjson.dumps({"tmdb_id": film})) for film in films]


def ask_batch(films: Sequence[int]) -> Question:
    """All films in one question."""
    return Question("/api/v1/predictions", orjson.dumps({"movies": [{"tmdb_id": film} for film in films]}))


def warm_up(port: int, films: Sequence[int]) -> None:
    """Every worker has opened its connections and imported what it needs."""
    for _ in range(4):
        measure(port, ask(films[:8]), clients=4)


def read_vectors(settings: Settings, bodies: Mapping[int, bytes]) -> list[dict[str, Any]]:
    """Feature values of films, from the live view, typed as the champion's signature has them."""
    from mlflow import environment_variables, set_tracking_uri
    from mlflow.pyfunc import load_model

    from serving.database import Database
    from serving.features_live import LiveFeatures

    environment_variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    set_tracking_uri(settings.tracking_uri)
    signature = load_model("models:/bechdel-test-predictor@champion").metadata.get_input_schema()
    kinds = {column.name: str(column.type) for column in signature}
    forget(settings, list(bodies))
    land(settings, bodies)
    database = Database(settings.database_url, connections=2)
    rows = LiveFeatures(database).read(list(bodies), tuple(kinds)).values()
    database.close()
    return [{n: float(v) if v is not None and "double" in kinds[n] else v for n, v in row.items()} for row in rows]


if __name__ == "__main__":
    cli.run(main)
