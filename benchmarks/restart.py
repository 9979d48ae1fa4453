"""Restart the running server under load and count what its clients noticed: `python -m benchmarks.restart`.

Needs a running platform (`make up`). 32 clients keep their connections and ask for films again and again while
`make restart` runs. When a connection ends under them they do what HTTP asks for (RFC 9112, section 9.3.1) and what
browsers, urllib3, Go and nginx do: a request on a connection that was kept from an earlier answer, and that the
server closed before a byte of the next one, is sent again on a new connection and counted as `stale`. Everything else
that is not a 200 is a failed request.
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import psycopg

from common import cli
from common.errors import ServiceError
from common.settings import load_settings

PATIENCE_SECONDS = 60.0
OK, STALE = "ok", "stale"


@dataclass
class Seen:
    """What all clients saw.

    Attributes:
        outcomes: how often each: `ok`, `stale` (asked again), or what failed.
        seconds: one per request, from the first byte sent to the last received, asking again included.
        versions: values of the header X-Version, where the server sends one.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> dict[str, int]:
        """What went wrong, and how often."""
        return {name: count for name, count in self.outcomes.items() if name not in {OK, STALE}}


class Connection(NamedTuple):
    """A connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--restarts", type=int, default=2)
    options = parser.parse_args()
    settings = load_settings()
    with psycopg.connect(settings.database_url) as connection:
        films = connection.execute("select movie_id from marts.dim_movies order by movie_id limit 100").fetchall()
    wires = [question(json.dumps({"tmdb_id": film}).encode()) for (film,) in films]
    seen = asyncio.run(_restart_under_load(settings.port, wires, options.clients, options.restarts))
    p50, p99 = np.percentile(seen.seconds, [50, 99]) * 1000
    print(f"{len(seen.seconds):,} requests, {dict(seen.outcomes)}, failed: {seen.failed or 'none'}")
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, slowest {max(seen.seconds):.2f} s")
    if seen.failed:
        raise ServiceError(f"{sum(seen.failed.values())} requests failed.")


async def _restart_under_load(port: int, wires: Sequence[bytes], clients: int, restarts: int) -> Seen:
    stop = asyncio.Event()
    load = asyncio.create_task(ask_until(stop, port, wires, clients))
    for _ in range(restarts):
        await asyncio.sleep(2)
        command = [sys.executable, "-m", "orchestration", "restart"]
        await asyncio.to_thread(subprocess.run, command, check=True)
    await asyncio.sleep(2)
    stop.set()
    return await load


def question(body: bytes, path: str = "/api/v1/predictions") -> bytes:
    """A POST as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


async def ask_until(stop: asyncio.Event, port: int, wires: Sequence[bytes], clients: int) -> Seen:
    """Ask by so many clients, each waiting for its answer before it asks again, until told to stop."""
    seen, source = Seen(), itertools.cycle(wires)
    await asyncio.gather(*(_client(stop, port, source, seen) for _ in range(clients)))
    return seen


async def _client(stop: asyncio.Event, port: int, source: Iterator[bytes], seen: Seen) -> None:
    connection: Connection | None = None
    while not stop.is_set():
        started, outcome, wire = time.perf_counter(), STALE, next(source)
        while outcome == STALE:
            is_kept = connection is not None
            try:
                connection = connection or Connection(*await asyncio.open_connection("127.0.0.1", port))
                outcome, keeps = await asyncio.wait_for(_ask(connection, wire, is_kept, seen), PATIENCE_SECONDS)
            except (OSError, TimeoutError) as error:
                outcome, keeps = f"no connection or answer: {type(error).__name__}", False
            seen.outcomes[outcome] += 1
            if connection and not keeps:
                connection.writer.close()
                connection = None
        seen.seconds.append(time.perf_counter() - started)
        if outcome != OK:
            await asyncio.sleep(0.1)  # a server that is away is not to be flooded
    if connection:
        connection.writer.close()


async def _ask(connection: Connection, wire: bytes, is_kept: bool, seen: Seen) -> tuple[str, bool]:
    """One exchange; returns its outcome, and whether the connection may be used again."""
    first = b""
    try:
        connection.writer.write(wire)
        first = await connection.reader.read(1)
        if not first:
            return (STALE if is_kept else "closed a new connection"), False
        head = first + await connection.reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:] if line)
        await connection.reader.readexactly(int(fields[b"content-length"]))
    except (OSError, asyncio.IncompleteReadError) as error:
        where = "cut an answer" if first else "broke a new connection"
        return (STALE if is_kept and not first else f"{where}: {type(error).__name__}"), False
    seen.versions[fields.get(b"x-version", b"").decode()] += 1
    status = lines[0].split(b" ")[1].decode()
    return (OK if status == "200" else f"status {status}"), fields.get(b"connection") != b"close"


if __name__ == "__main__":
    cli.run(main)
