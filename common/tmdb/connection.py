"""HTTP connections whose answers end by a deadline, however they come.

A timeout of requests, or of a socket, counts from one piece of an answer to the next: a server that sends a byte now
and then, in the head or in the body, or falls silent in the middle, outlives it many times over. One for connecting
counts for each of a host's addresses anew. (Looking the name up is the system's: only its resolver can limit that.)
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
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

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
        self._line.settimeout(_seconds_until(self._answer_by))
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

    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _HttpsConnection(HTTPSConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _connect(connection: HTTPConnection) -> socket.socket:
    """A socket to the first of the host's addresses that answers; errors as urllib3's own."""
    try:
        addresses = socket.getaddrinfo(connection.host, connection.port, allowed_gai_family(), socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter for a name that cannot be one
        raise NewConnectionError(connection, f"{connection.host} cannot be looked up: {error}") from error
    failure = OSError("the name leads to no address")
    for tried, address in enumerate(addresses):
        try:
            return _connect_to(address, connection, len(addresses) - tried)
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"{connection.host} did not answer in time") from failure
    raise NewConnectionError(connection, f"{connection.host} refuses connections: {failure}") from failure


def _connect_to(address: tuple[Any, ...], connection: HTTPConnection, untried: int) -> socket.socket:
    """A socket to one address, which gets its share of the time left: one of the untried ones may answer."""
    family, kind, protocol, _, place = address
    limit = float(connection.timeout or 0.0)
    line = socket.socket(family, kind, protocol)
    try:
        for option in connection.socket_options or ():
            line.setsockopt(*option)
        line.settimeout(min(limit, _seconds_until(answer_by.get()) / untried))
        line.connect(place)
        line.settimeout(min(limit, _seconds_until(answer_by.get())))  # for TLS
    except BaseException:
        line.close()
        raise
    return line


def _seconds_until(moment: float) -> float:
    left = moment - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left")
    return left
