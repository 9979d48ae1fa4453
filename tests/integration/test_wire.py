"""What goes over the wire: smuggled, oversized and slow requests, tried on the server as it really runs."""

import socket
import time
from collections.abc import Iterator

import pytest
import requests

from serving.buffered import BODY_SECONDS
from serving.rolling import HEAD_SECONDS
from tests.served_in_memory import Served, serve

FILM = b'{"tmdb_id": 109445}'
POST = b"POST /api/v1/predictions HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: here\r\n"
INNER = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"  # what a smuggler wants answered
THREADS_OF_ALL_WORKERS = 8


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served")) as running:
        yield running


def connect(served: Served, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=60)
    connection.sendall(data)
    return connection


def send(served: Served, data: bytes) -> bytes:
    """Everything that the server answers until it closes the connection or falls silent."""
    answer = b""
    with connect(served, data) as connection:
        connection.settimeout(2)
        try:
            while part := connection.recv(65536):
                answer += part
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: 19\r\nContent-Length: 20\r\n\r\n" + FILM + INNER,
        POST + b"Content-Length: 19, 20\r\n\r\n" + FILM + INNER,
        POST + b"Content-Length: +19\r\n\r\n" + FILM + INNER,
        POST + b"Content-Length: -1\r\n\r\n" + FILM + INNER,
        POST + b"Content-Length: 99999999999999999999\r\n\r\n" + INNER,
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INNER,
        POST + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked(FILM) + INNER,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked(FILM) + INNER,
        POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n" + FILM + b"\r\n0\r\n\r\n" + INNER,
        GET + b"X-Folded: a\r\n b\r\n\r\n" + INNER,
        GET + b"X-Null: a\x00b\r\n\r\n" + INNER,
        b"GET /healthz HTTP/1.1\r\nHost: here\r\nHost: there\r\nConnection: close\r\n\r\n" + INNER,
        b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n" + INNER,
        b"\x16\x03\x01\x02\x00\r\n\r\n" + INNER,
    ],
)
def test_a_request_that_two_servers_could_read_differently_is_refused_alone(
    served: Served, request_bytes: bytes
) -> None:
    assert statuses(send(served, request_bytes)) == [400]


def test_a_length_beside_chunks_is_ignored_and_ends_the_connection(served: Served) -> None:
    """RFC 9112, section 6.1: chunks win, and nothing behind them is answered."""
    short = send(served, POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(FILM) + INNER)
    long = send(served, POST + b"Content-Length: 90\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER)

    assert statuses(short) == [200]
    assert len(statuses(long)) == 1
    assert statuses(long)[0] in {400, 422}


def test_a_chunk_that_does_not_end_where_it_says_ends_the_connection(served: Served) -> None:
    answer = send(served, POST + b"Transfer-Encoding: chunked\r\n\r\n13\r\n" + FILM + b"xx0\r\n\r\n" + INNER)
    assert len(statuses(answer)) == 1  # to the film; what follows is nobody's request


def test_the_body_of_a_get_is_not_taken_for_a_request(served: Served) -> None:
    data = GET + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER
    assert statuses(send(served, data)) == [200]


def test_a_chunked_question_is_answered(served: Served) -> None:
    data = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(FILM)
    assert statuses(send(served, data)) == [200]


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: 600000\r\n\r\n" + b" " * 1000,
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b" " * 1_000_000),
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b" " * 1_000_000),
    ],
    ids=["announced", "chunked", "chunked beside a length"],
)
def test_an_oversize_body_is_refused_without_being_read_to_its_end(served: Served, request_bytes: bytes) -> None:
    answer = send(served, request_bytes)
    assert statuses(answer) == [413]
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (GET + b"X-Long: " + b"a" * 500_000 + b"\r\n\r\n", 431),
        (GET + b"".join(b"X-%d: a\r\n" % number for number in range(300)) + b"\r\n", 431),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414),
    ],
    ids=["long header", "many headers", "long address"],
)
def test_an_oversize_head_is_refused(served: Served, request_bytes: bytes, status: int) -> None:
    assert statuses(send(served, request_bytes)) == [status]


@pytest.mark.parametrize(
    ("begun", "count", "patience"),
    [
        (POST, 100, HEAD_SECONDS),
        (POST + b"Content-Length: 19\r\n\r\n{", 100, BODY_SECONDS),
        (b"", 100, HEAD_SECONDS),
    ],
    ids=["head", "body", "silent"],
)
def test_slow_clients_keep_nobody_waiting_and_are_cut(
    served: Served, begun: bytes, count: int, patience: float
) -> None:
    assert count > 10 * THREADS_OF_ALL_WORKERS
    started = time.monotonic()
    slow = [connect(served, begun) for _ in range(count)]
    try:
        for _ in range(3):
            answer = requests.post(
                f"{served.url}/api/v1/predictions", data=FILM, headers={"Content-Type": "application/json"}, timeout=5
            )
            assert answer.status_code == 200
        end = slow[0].recv(100)
    finally:
        for connection in slow:
            connection.close()
    assert end == b"" or end.startswith(b"HTTP/1.1 408")
    assert patience - 2 < time.monotonic() - started < patience + 20


@pytest.mark.parametrize(
    "address",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/docs/assets/../../app.py",
        "/trends/..%2f..%2fapp.csv",
        "/../serving/app.py",
        "/%ff%fe",
        "/static/%00",
        "/static/..%5capp.py",
    ],
)
def test_no_address_leads_out_of_its_folder(served: Served, address: str) -> None:
    data = b"GET " + address.encode() + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    answer = send(served, data)
    assert statuses(answer)[0] in {308, 400, 404}  # 308: two slashes become one
    assert b"import " not in answer
    assert b"root:x:" not in answer


@pytest.mark.parametrize("path", [b"/", b"/healthz", b"/nothing", b"/static/style.css"])
def test_no_answer_names_the_software_behind_it(served: Served, path: bytes) -> None:
    head = send(served, b"GET " + path + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").split(b"\r\n\r\n")[
        0
    ]
    assert b"server: bechdel" in head
    for name in (b"granian", b"werkzeug", b"flask", b"hyper", b"python", b"x-powered-by"):
        assert name not in head.lower()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW"])
def test_unusual_methods_are_refused(served: Served, method: str) -> None:
    data = f"{method} / HTTP/1.1\r\nHost: here\r\nCookie: secret=1\r\nConnection: close\r\n\r\n".encode()
    answer = send(served, data)
    assert statuses(answer)[0] in {400, 404, 405}
    assert b"secret=1" not in answer
