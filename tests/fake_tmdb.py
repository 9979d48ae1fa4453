"""A stand-in for TMDB on 127.0.0.1 with hand-made films and the faults that TMDB has had."""

import gzip
import json
import re
import socket
import struct
import threading
import time
from bisect import bisect_left
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "eyJ-made-up-token"
MEGABYTES = 6  # more than the client reads
STATUSES = {"429": 429, "500": 500, "502": 502, "503": 503, "504": 504, "401": 401, "403": 403, "404": 404}
BODIES = {"invalid_json": b'{"id": 7,,}', "empty": b"", "json_null": b"null", "json_array": b"[]"}

# the kinds of faults, by what they lead to
RETRIED = (
    "429", "500", "502", "503", "504", "truncated", "truncated_chunked", "invalid_json", "empty", "json_null",
    "json_array", "html200", "204", "reset", "reset_mid", "close",
)  # fmt: skip
SLOW = ("hang", "slow_drip")  # half of the time each: two of them leave none for a good answer
HARMLESS = ("latency", "gzip_noheader", "drop_append")
FINAL = {"403": 503, "404": 404, "huge": 503}
KINDS = (*RETRIED, *SLOW, *HARMLESS, *FINAL)


def expected(*kinds: str) -> tuple[int, bool]:
    """Our status that faults one after the other lead to, and whether the credits stay unknown."""
    kinds = tuple(kind for kind in kinds if kind != "latency")
    if not kinds or kinds[0] == "gzip_noheader":
        return 200, False
    if kinds[0] in FINAL:
        return FINAL[kinds[0]], False
    if len(kinds) == 2 and set(kinds) <= set(SLOW):
        return 503, False
    if kinds[0] == "drop_append":  # the credits are asked for apart
        return 200, kinds[-1] in FINAL
    return expected(*kinds[1:])


def make_film(number: int) -> dict[str, Any]:
    """Every number is a film: a woman and a man play in it, a woman directs."""
    people = [{"id": 1, "name": "Ada Alm", "gender": 1, "order": 0}, {"id": 2, "name": "Bo", "gender": 2, "order": 1}]
    return {
        "id": number,
        "title": f"Film {number}",
        "release_date": "2001-02-03",
        "overview": "She sails with her sister.",
        "credits": {"cast": people, "crew": [{"id": 3, "name": "Cim", "gender": 1, "job": "Director"}]},
    }


class FakeTmdb:
    """Answers `/3/movie/ID` and `/3/movie/ID/credits`; the faults of a film are used up in their order.

    Attributes:
        faults: kinds by film; the last one of a tuple that ends in `...` lasts for ever.
        asked: how often each path was asked for.
        missing: films that TMDB does not have.
        seconds: that each answer takes.
        peak: the most questions that were on their way at a time.
    """

    def __init__(self) -> None:
        self.faults: dict[int, list[Any]] = {}
        self.asked: Counter[str] = Counter()
        self.starts: list[float] = []
        self.missing: set[int] = set()
        self.seconds, self.in_flight, self.peak = 0.0, 0, 0
        self.is_closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/3"

    def close(self) -> None:
        self.is_closing.set()
        self._server.shutdown()
        self._server.server_close()

    def inject(self, film: int, *kinds: str, lasting: bool = False) -> None:
        """The film's next questions meet these faults; lasting: the last one for ever."""
        with self._lock:
            self.faults[film] = [*kinds, ...] if lasting else [*kinds]

    def take(self, path: str, film: int) -> str | None:
        """Note a question; the fault that it meets."""
        with self._lock:
            self.asked[path] += 1
            self.starts.append(time.monotonic())
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        return self.next_fault(film)

    def note_answered(self) -> None:
        """A question is on its way no more."""
        with self._lock:
            self.in_flight -= 1

    @property
    def most_a_second(self) -> int:
        """The most questions that came within 0.95 s: a second, less the network's jitter."""
        with self._lock:
            starts = sorted(self.starts)
        return max((bisect_left(starts, first + 0.95) - i for i, first in enumerate(starts)), default=0)

    def next_fault(self, film: int) -> str | None:
        """The film's next fault, which is used up unless it lasts."""
        with self._lock:
            faults = self.faults.get(film, [])
            if not faults or (len(faults) > 1 and faults[1] is ...):
                return str(faults[0]) if faults else None
            return str(faults.pop(0))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with five, a new connection among many waits for a second

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeTmdb

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        found = re.fullmatch(r"/3/movie/(\d+)(/credits)?", path)
        film = int(found[1]) if found else 0
        fault = self.fake.take(path, film)
        try:
            self.judge(film, found is not None and bool(found[2]), fault)
        finally:
            self.fake.note_answered()

    def judge(self, film: int, are_credits: bool, fault: str | None) -> None:
        """Answer as the film's fault says; film 0: the path names none."""
        time.sleep(self.fake.seconds)
        if fault == "latency":  # combines with the next one
            time.sleep(0.3)
            fault = self.fake.next_fault(film)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            fault = "401"
        if not film or film in self.fake.missing:
            fault = "404"
        payload = make_film(film)
        if are_credits:
            payload = {"id": film, **payload["credits"]}
        elif fault == "drop_append":
            del payload["credits"]
        self.answer(fault, json.dumps(payload).encode())

    def answer(self, fault: str | None, body: bytes) -> None:
        if fault in STATUSES:
            self.send(STATUSES[fault], b'{"success": false, "status_code": 34}')
        elif fault in BODIES:
            self.send(200, BODIES[fault])
        elif fault == "html200":
            self.send(200, b"<html>Sign in</html>", "text/html")
        elif fault == "204":
            self.send(204, b"")
        elif fault == "gzip_noheader":
            self.send(200, gzip.compress(body))
        elif fault == "huge":
            self.send(200, b" " * MEGABYTES * 2**20 + body)
        elif fault in ("reset", "close", "hang"):
            self.end(fault)
        elif fault in ("truncated", "truncated_chunked", "reset_mid", "slow_drip"):
            self.send_half(fault, body)
        else:
            self.send(200, body)

    def send(self, status: int, body: bytes, kind: str = "application/json;charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def send_half(self, fault: str, body: bytes) -> None:
        half = body[: len(body) // 2]
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        if fault == "truncated_chunked":
            self.wfile.write(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(half):x}\r\n".encode() + half + b"\r\n")
        else:
            self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            if fault == "slow_drip":
                self.drip(body)
            else:
                self.wfile.write(half)
        self.end("reset" if fault == "reset_mid" else "close")

    def drip(self, body: bytes) -> None:
        for byte in body:
            if self.fake.is_closing.wait(0.2):
                return
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return

    def end(self, fault: str) -> None:
        """Say nothing more: at once, after a long silence, or with a reset."""
        self.close_connection = True
        if fault == "hang":
            self.fake.is_closing.wait(30)
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet."""
