"""A WSGI application behind granian's own protocol, RSGI, so that a slow client holds no thread.

Under WSGI a thread waits for each body, and as many slow clients as there are threads keep everybody else waiting.
Here one event loop reads; a thread is taken when the request is complete, and given back before the answer is sent.
What has no place in a request is not passed on: the application is told in `environ[REFUSED]` which status to answer
with, so that its errors keep their one shape.
"""

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

logger = logging.getLogger(__name__)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[str, str]], bytes]  # status, headers, body

REFUSED = "bechdel.refused"  # in a WSGI environ: the HTTP status to refuse the request with
BODY_SECONDS = 10.0  # for a whole body; the longest that is taken has 500 kB
JOINED_BY = {"cookie": "; "}
NOT_PREFIXED = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class BufferedApplication:
    """The application for granian's interface RSGI.

    Args:
        app: the WSGI application.
        threads: requests that it answers at a time; others wait their turn.
        most_bytes: of a body; of a longer one only the length is passed on.
        is_last: whether the connection is to end with this answer.
    """

    def __init__(self, app: Application, threads: int, most_bytes: int, is_last: Callable[[], bool]) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._is_last = is_last
        # not a ThreadPoolExecutor: asyncio's view of its futures costs a sixth of the requests that it can answer
        self._requests: SimpleQueue[tuple[dict[str, Any], asyncio.Future[Answer]]] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"request-{number}", daemon=True).start()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        environ = _environ(scope)
        body, is_whole = await self._read(environ, protocol)
        environ["wsgi.input"] = io.BytesIO(body)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._requests.put((environ, answered))
        status, headers, answer = await answered
        if self._is_last() or not is_whole:
            headers.append(("connection", "close"))
        protocol.response_bytes(status, headers, answer)

    async def _read(self, environ: dict[str, Any], protocol: Any) -> tuple[bytes, bool]:
        """The body, and whether it was read to its end."""
        length, is_chunked = environ.get("CONTENT_LENGTH"), environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
        if length in {None, "0"} and not is_chunked:
            return b"", True
        if length is not None and int(length) > self._most_bytes:
            return b"", False  # the application refuses it for its length
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await (self._collect(protocol) if is_chunked or length is None else protocol())
        except TimeoutError:
            environ |= {REFUSED: 408, "CONTENT_LENGTH": "0"}
            return b"", False
        except Exception as error:  # noqa: BLE001 - granian has no name for a chunk that is none
            logger.debug("body broken kind=%s", type(error).__name__)
            environ |= {REFUSED: 400, "CONTENT_LENGTH": "0"}
            return b"", False
        is_short_enough = len(body) <= self._most_bytes
        environ["CONTENT_LENGTH"] = str(len(body))
        return (body, True) if is_short_enough else (b"", False)

    async def _collect(self, protocol: Any) -> bytes:
        body = bytearray()
        async for part in protocol:
            body += part
            if len(body) > self._most_bytes:
                break
        return bytes(body)

    def _work(self) -> None:
        """Answer one request after the other, in a thread."""
        while True:
            self._reply(*self._requests.get())

    def _reply(self, environ: dict[str, Any], answered: "asyncio.Future[Answer]") -> None:
        try:
            step: Callable[[], None] = partial(_settle, answered, self._answer(environ))
        except Exception as error:  # noqa: BLE001 - for whoever waits for the answer
            step = partial(_fail, answered, error)
        except BaseException as error:  # noqa: BLE001 - the end of a thread would end the server's event loop
            step = partial(_fail, answered, RuntimeError(f"The application ended with {error!r}."))
        with suppress(RuntimeError):  # the loop has ended meanwhile
            answered.get_loop().call_soon_threadsafe(step)

    def _answer(self, environ: dict[str, Any]) -> Answer:
        """Run the application; its errors are its own to answer."""
        begun: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            begun[:] = [int(status.split(" ", 1)[0]), [(name.lower(), value) for name, value in headers]]

        parts = self._app(environ, start_response)
        try:
            answer = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return begun[0], begun[1], answer


def _settle(answered: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not answered.done():  # nobody waits for it any more
        answered.set_result(answer)


def _fail(answered: "asyncio.Future[Answer]", error: Exception) -> None:
    if not answered.done():
        answered.set_exception(error)


def _environ(scope: Any) -> dict[str, Any]:
    """A request as WSGI writes it."""
    server, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    hosts = 0
    for name, value in scope.headers.items():
        key = NOT_PREFIXED.get(name) or "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]}{JOINED_BY.get(name, ',')}{value}" if key in environ else value
        hosts += name == "host"
    if hosts > 1 or (hosts == 0 and scope.http_version != "1"):  # RFC 9112, 3.2; granian writes 1.0 as "1"
        environ[REFUSED] = 400
    return environ
