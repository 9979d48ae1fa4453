"""HTTP connections whose answers end by a deadline, however they come.

A timeout of requests, or of a socket, counts from one piece of an answer to the next: a server that sends a byte now
and then, in the head or in the body, or falls silent in the middle, outlives it many times over.
"""

import http.client
import io
import socket
import time
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

answer_by: ContextVar[float] = ContextVar("answer_by")  # on the monotonic clock; set by who sends a request


class TimedAdapter(HTTPAdapter):
    """requests' adapter with the connections below, also through a proxy that the environment names (but SOCKS)."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


class _TimedStream(io.RawIOBase):
    """What a socket receives until the deadline of the thread that asks."""

    def __init__(self, line: socket.socket, stream: io.RawIOBase) -> None:
        self._line, self._stream = line, stream
        self._answer_by = answer_by.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._answer_by - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        self._line.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        super().close()
        self._stream.close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_TimedStream(sock, self.fp.detach()))


class _HttpConnection(HTTPConnection):
    response_class = _TimedResponse


class _HttpsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
