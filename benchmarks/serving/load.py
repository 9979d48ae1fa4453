"""Clients that keep their connections and wait for each answer before they ask again."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Question:
    """One POST."""

    path: str
    body: bytes

    def on_wire(self) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


def measure(
    port: int,
    questions: Sequence[Question],
    *,
    clients: int,
    seconds: float | None = None,
    pause: float = 0.0,
    meanwhile: Question | None = None,
) -> dict[str, float]:
    """Ask by so many clients at once; each question once, or round and round for so many seconds.

    Args:
        pause: seconds between a client's questions, not counted.
        meanwhile: asked all through a pause, and not counted: machines that fall asleep wake up slowly.

    Returns:
        p50_ms, p99_ms, rps.

    Raises:
        RuntimeError: an answer was not 200.
    """
    wires = [question.on_wire() for question in questions]
    source = iter(wires) if seconds is None else itertools.cycle(wires)
    filler = meanwhile.on_wire() if meanwhile else None
    return asyncio.run(_measure(port, source, clients, seconds, pause, filler))


class _Client:
    """Keeps its connection as long as the server does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, wire: bytes) -> float:
        """Seconds until the answer, with those that a new connection takes."""
        started = time.perf_counter()
        if self._connection is None:
            self._connection = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._connection
        writer.write(wire)
        if not await asyncio.wait_for(_read_answer(reader), PATIENCE_SECONDS):
            self.close()
        return time.perf_counter() - started

    async def rest(self, pause: float, filler: bytes | None) -> None:
        """Let a pause go by, asking the filler all through it."""
        end = time.perf_counter() + pause
        while filler and time.perf_counter() < end:
            await self.ask(filler)
        await asyncio.sleep(max(0.0, end - time.perf_counter()))

    def close(self) -> None:
        if self._connection:
            self._connection[1].close()
            self._connection = None


async def _measure(
    port: int, source: Iterator[bytes], clients: int, seconds: float | None, pause: float, filler: bytes | None
) -> dict[str, float]:
    began = time.perf_counter()
    end = began + (seconds or 1e9)
    latencies: list[float] = []

    async def run() -> None:
        client = _Client(port)
        for wire in source:
            if time.perf_counter() > end:
                break
            latencies.append(await client.ask(wire))
            await client.rest(pause, filler)
        client.close()

    await asyncio.gather(*(run() for _ in range(clients)))
    took = time.perf_counter() - began
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2), "rps": round(len(latencies) / took, 1)}


async def _read_answer(reader: asyncio.StreamReader) -> bool:
    """Read one answer; whether the server keeps the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    length = int(fields[b"content-length"])
    body = await reader.readexactly(length)
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"answered {head.splitlines()[0].decode()}: {body[:200].decode(errors='replace')}")
    return b"close" not in fields.get(b"connection", b"")
