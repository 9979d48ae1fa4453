"""Does the server's memory stay flat? `make bench-endurance`; `python -m benchmarks.serving.endurance --help`.

Starts a server of its own on the platform's data (which it brings up where it is not running) and asks it
everything: films asked before, batches, search, pages, metrics, and what must be refused. Prints each worker's memory
after every tenth, and fails when one grows by more than BOUND_MB after the second, when an answer is wrong, or when a
worker dies.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
import psutil
import psycopg

from benchmarks.serving.landing_table import landed_as_before
from benchmarks.serving.load import PATIENCE_SECONDS
from benchmarks.serving.servers import LOADED, free_port, platform, server, workers_of
from common import cli
from common.errors import ServiceError
from common.settings import Settings, load_settings

WORKERS, CLIENTS, FILMS, TENTHS = 2, 16, 500, 10
BOUND_MB = 30.0  # a thousand bytes kept of each request would be 40 in a full run
WARM_TENTHS = 2  # until then caches, queues and the allocator find their size
MB = 2**20


@dataclass(frozen=True)
class Wish:
    """A request and the status that it must get."""

    method: str
    path: str
    status: int
    body: bytes = b""

    def on_wire(self) -> bytes:
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


Readings = Mapping[int, Sequence[float]]  # resident memory in MB by worker: before, then after each tenth


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000, help="default: 100,000")
    requests = parser.parse_args().requests
    settings = load_settings()
    with platform(settings), tempfile.TemporaryDirectory() as state:
        films, port = choose_films(settings), free_port()
        environment = {
            "DB_CONNECTION_STRING": settings.database_url, "MLFLOW_TRACKING_URI": settings.tracking_uri,
            "TMDB_API_TOKEN": "", "PORT": str(port), "STATE_DIR": state, "LOG_LEVEL": "INFO",
        }  # fmt: skip
        command = [sys.executable, "-m", "serving", "run", "--workers", str(WORKERS)]
        with (
            landed_as_before(settings, films),
            server(command, port, "/readyz", environment, words=LOADED, workers=WORKERS) as process,
        ):
            readings, failures = exercise(port, process, wishes(films), requests, say=print)
    judge(readings, failures)
    print(
        f"No failure; memory grew by {growth(readings):.1f} MB at most after the second tenth (bound {BOUND_MB:.0f})."
    )


def choose_films(settings: Settings) -> list[int]:
    """Films of the catalogue, the best known first."""
    query = "select movie_id from marts.dim_movies order by popularity_rank nulls last, movie_id limit %s"
    with psycopg.connect(settings.database_url) as connection:
        return [film for (film,) in connection.execute(query, [FILMS])]


def wishes(films: Sequence[int], *, search: bool = True) -> Iterator[Wish]:
    """For ever: what a busy day brings, the same in every run.

    Args:
        search: also search by title, which a server with a token asks of TMDB.
    """
    chance = random.Random(7)  # noqa: S311 - repeatable, not secret
    address = "/api/v1/predictions"

    def predict(count: int) -> Wish:
        chosen = [{"tmdb_id": film} for film in chance.sample(films, count)]
        question: dict[str, object] = {**chosen[0]} if count == 1 else {"movies": chosen}
        return Wish("POST", address, 200, orjson.dumps(question))

    makers: list[tuple[int, Callable[[], Wish]]] = [
        (800, lambda: predict(1)),
        (20, lambda: predict(min(20, len(films)))),
        (60, lambda: Wish("GET", f"/api/v1/movies/{chance.choice(films)}", 200)),
        (10, lambda: Wish("GET", "/api/v1/model", 200)),
        (4, lambda: Wish("GET", "/metrics", 200)),
        (10, lambda: Wish("GET", "/", 200)),
        (10, lambda: Wish("GET", f"/movies/{chance.choice(films)}", 200)),
        (20, lambda: Wish("GET", f"/nothing/{chance.randrange(10**9)}", 404)),
        (20, lambda: Wish("POST", address, 422, orjson.dumps({"tmdb_id": -chance.randrange(1, 10**6)}))),
        (10, lambda: Wish("POST", address, 400, b'{"tmdb_id": 1')),
        (10, lambda: Wish("GET", address, 405)),
    ]
    if search:
        words = ("the", "love", "night", "house", "zzz", "a%", "frozen")
        makers.append(
            (26, lambda: Wish("GET", f"/api/v1/movies/search?q={chance.choice(words)}".replace("%", "%25"), 200))
        )
    weights = [weight for weight, _ in makers]
    while True:
        yield chance.choices([make for _, make in makers], weights)[0]()


def exercise(
    port: int, process: psutil.Process, stream: Iterator[Wish], requests: int, *, say: Callable[[str], object]
) -> tuple[Readings, Counter[str]]:
    """Send requests in tenths; each worker's memory and what went wrong, by kind."""
    failures: Counter[str] = Counter()
    readings = {worker.pid: [worker.memory_info().rss / MB] for worker in workers_of(process)}
    asyncio.run(_send(port, itertools.islice(stream, requests // TENTHS), Counter()))  # warm, and not counted
    for tenth in range(1, TENTHS + 1):
        started = time.monotonic()
        asyncio.run(_send(port, itertools.islice(stream, requests // TENTHS), failures))
        rate = requests / TENTHS / (time.monotonic() - started)
        for worker, values in readings.items():
            if psutil.pid_exists(worker):
                values.append(psutil.Process(worker).memory_info().rss / MB)
            else:
                failures[f"worker {worker} died"] += 1
        memory = ", ".join(f"{values[-1]:.0f}" for values in readings.values())
        say(f"{tenth * requests // TENTHS:>9,} requests, {failures.total()} failures, {rate:,.0f}/s, {memory} MB")
    return readings, failures


async def _send(port: int, stream: Iterator[Wish], failures: Counter[str]) -> None:
    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for wish in stream:
            writer.write(wish.on_wire())
            status, keeps = await asyncio.wait_for(_read_status(reader), PATIENCE_SECONDS)
            if status != wish.status:
                failures[f"{wish.method} {wish.path.split('?')[0]} answered {status}"] += 1
            if not keeps:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _read_status(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one answer; its status, and whether the server keeps the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b":", 1) for line in lines if b":" in line)
    await reader.readexactly(int(fields.get(b"content-length", b"0")))
    return int(first.split()[1]), b"close" not in fields.get(b"connection", b"")


def growth(readings: Readings) -> float:
    """By how many MB a worker's memory grew after the first tenths, at most."""
    return max((values[-1] - values[WARM_TENTHS] for values in readings.values()), default=0.0)


def judge(readings: Readings, failures: Mapping[str, int]) -> None:
    """Nothing failed and no memory grew beyond the bound.

    Raises:
        ServiceError: something did; it says what.
    """
    if failures:
        listed = ", ".join(f"{count} x {kind}" for kind, count in failures.items())
        raise ServiceError(f"Answers were not as they should be: {listed}.")
    if not readings:
        raise ServiceError("The server has no worker whose memory could be read.")
    if growth(readings) > BOUND_MB:
        raise ServiceError(f"A worker's memory grew by {growth(readings):.1f} MB; the bound is {BOUND_MB:.0f} MB.")


if __name__ == "__main__":
    cli.run(main)
