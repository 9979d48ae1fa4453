"""The TMDB client against hand-made answers of a real HTTP server: every known bug of other clients once.

A bug is named by the repository and number of its report, without the owner where the repository is well known.
"""

import gzip
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from common.errors import MovieNotFoundError, TmdbCredentialError, TmdbNotAskedError, TmdbUnavailableError
from common.tmdb import Deadline, TmdbClient
from common.tmdb import transport as transport_module
from common.tmdb.limits import OwnLimits

TOKEN = "eyJ-made-up-token"
FILM = {
    "id": 7,
    "title": "Made Up",
    "release_date": "2001-02-03",
    "revenue": 2_923_706_026,
    "credits": {"cast": [{"id": 1, "gender": 3}, {"id": 2, "gender": None}], "crew": []},
}


class Reply:
    """What the server says: a status, a body and headers; `raw` is written to the socket as it is."""

    def __init__(
        self,
        body: Any = None,
        *,
        status: int = 200,
        content_type: str = "application/json;charset=utf-8",
        headers: dict[str, str] | None = None,
        raw: Callable[[BaseHTTPRequestHandler], None] | None = None,
    ) -> None:
        self.status, self.headers, self.raw = status, {"Content-Type": content_type, **(headers or {})}, raw
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class FakeTmdb:
    """A server that answers with `replies` in turn (the last one for ever) and remembers what was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[BaseHTTPRequestHandler] = []  # one object for all requests of a connection
        self.paths: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                fake.requests.append(self)
                fake.paths.append(self.path)
                reply = fake.replies.pop(0) if len(fake.replies) > 1 else fake.replies[0]
                if reply.raw is not None:
                    self.close_connection = True
                    reply.raw(self)
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/3"


@pytest.fixture
def fake() -> Iterator[FakeTmdb]:
    server = FakeTmdb()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.server.shutdown()
    thread.join()
    server.server.server_close()


@pytest.fixture
def client(fake: FakeTmdb) -> Iterator[TmdbClient]:
    made = TmdbClient(SecretStr(TOKEN), fake.url)
    yield made
    made.close()


def half_of(body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Promise the whole body and send a half."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        handler.wfile.write(head.encode() + body[: len(body) // 2])

    return write


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def drip(handler: BaseHTTPRequestHandler, byte: bytes = b" ", seconds: float = 3.0) -> None:
    """One byte every 50 ms, for longer than anybody should wait."""
    try:
        for _ in range(int(seconds / 0.05)):
            handler.wfile.write(byte)
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        return


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(HEAD + b"Content-Length: 9999\r\n\r\n")
    drip(handler)


def drip_head(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(HEAD + b"X-Long: ")
    drip(handler, b"x")


def drip_then_hang(handler: BaseHTTPRequestHandler) -> None:
    """Each piece comes within the time that a socket waits for one."""
    handler.wfile.write(HEAD + b"Content-Length: 9999\r\n\r\n")
    drip(handler, seconds=0.4)
    hang(handler)


def hang(_: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def close(_: BaseHTTPRequestHandler) -> None:
    """End the connection without a word."""


HANGING = (hang, drip_body, drip_head, drip_then_hang)
MARGIN = 1.0  # for a busy machine; what hangs or drips here goes on for 3 s

TRANSIENT = {
    "html 502 (Radarr#1145, TMDbLib#270)": Reply(b"<html>502</html>", status=502, content_type="text/html"),
    "html 200": Reply(b"<html>Sign in</html>", content_type="text/html"),
    "429 without Retry-After (Radarr#3610)": Reply({"status_code": 25}, status=429),
    "429 with Retry-After 0 (php-tmdb/api#154)": Reply({}, status=429, headers={"Retry-After": "0"}),
    "429 with nonsense": Reply({}, status=429, headers={"Retry-After": "soon"}),
    "429 with a digit that is no number": Reply({}, status=429, headers={"Retry-After": "\u00b2"}),
    "429 with a date beyond all": Reply(
        {}, status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 +9999999999999"}
    ),
    "429 with a past date": Reply({}, status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "503": Reply({"status_code": 46}, status=503),
    "204": Reply(b"", status=204),
    "invalid json": Reply(b'{"id": 7,,}'),
    "empty": Reply(b""),
    "null": Reply(None),
    "array": Reply([]),
    "truncated": Reply(raw=half_of(json.dumps(FILM).encode())),
    "broken gzip": Reply(b"\x1f\x8bnot gzip"),
    "deeper than it can be written again": Reply(b'{"id": 7, "deep": ' + b"[" * 300 + b"]" * 300 + b"}"),
    "deeper under credits": Reply(b'{"id": 7, "deep": ' + b"[" * 253 + b"]" * 253 + b"}"),
    "html 404": Reply(b"<html>Not here</html>", status=404, content_type="text/html"),
    "closed": Reply(raw=close),
}


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_passing_fault_is_retried_and_the_film_arrives(fake: FakeTmdb, client: TmdbClient, reply: Reply) -> None:
    fake.replies = [reply, Reply(FILM)]

    assert client.fetch_movie(7)["title"] == "Made Up"
    assert len(fake.requests) == 2


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_lasting_fault_ends_in_unavailable_after_three_attempts(
    fake: FakeTmdb, client: TmdbClient, reply: Reply
) -> None:
    fake.replies = [reply]

    with pytest.raises(TmdbUnavailableError, match="TMDB is not available"):
        client.fetch_movie(7)
    assert len(fake.requests) == 3


FINAL = {
    "404": (Reply({"status_code": 34}, status=404), MovieNotFoundError),
    "401": (Reply({"status_code": 7}, status=401), TmdbCredentialError),
    "403": (Reply({"status_code": 5}, status=403), TmdbUnavailableError),
    "another film": (Reply({**FILM, "id": 8}), TmdbUnavailableError),
}


@pytest.mark.parametrize("first", TRANSIENT)
def test_any_two_passing_faults_in_a_row_end_in_the_film(
    fake: FakeTmdb, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module.random, "uniform", lambda *_: 0.0)
    client = TmdbClient(SecretStr(TOKEN), fake.url, limits=OwnLimits(1000))
    for second in TRANSIENT.values():
        fake.replies = [TRANSIENT[first], second, Reply(FILM)]
        assert client.fetch_movie(7)["title"] == "Made Up"
    client.close()


@pytest.mark.parametrize("last", FINAL)
def test_any_fault_before_a_final_answer_ends_in_the_right_error(
    fake: FakeTmdb, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module.random, "uniform", lambda *_: 0.0)
    reply, error = FINAL[last]
    for first in TRANSIENT.values():
        client = TmdbClient(SecretStr(TOKEN), fake.url)  # a refused credential is remembered
        fake.replies = [first, reply]
        with pytest.raises(error):
            client.fetch_movie(7)
        client.close()


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> float:
    """The client's own times, eight times as short; returns the total deadline."""
    monkeypatch.setattr(transport_module, "ATTEMPT_SECONDS", transport_module.ATTEMPT_SECONDS / 8)
    return transport_module.TOTAL_SECONDS / 8


@pytest.mark.parametrize("raw", HANGING)
def test_what_hangs_for_ever_is_given_up_at_the_deadline_and_not_before(
    fake: FakeTmdb, client: TmdbClient, raw: Callable[[BaseHTTPRequestHandler], None], hurry: float
) -> None:
    """frak#136, NAStool#515."""
    fake.replies = [Reply(raw=raw)]
    started = time.monotonic()

    with pytest.raises(TmdbUnavailableError, match="TMDB is not available"):
        client.fetch_movie(7, Deadline(hurry))
    assert hurry <= time.monotonic() - started < hurry + MARGIN
    assert len(fake.requests) == 2  # a retry might have worked


@pytest.mark.parametrize("raw", HANGING)
def test_what_hangs_once_is_asked_again_in_time(
    fake: FakeTmdb, client: TmdbClient, raw: Callable[[BaseHTTPRequestHandler], None], hurry: float
) -> None:
    fake.replies = [Reply(raw=raw), Reply(FILM)]
    started = time.monotonic()

    assert client.fetch_movie(7, Deadline(hurry))["title"] == "Made Up"
    attempt = transport_module.ATTEMPT_SECONDS
    assert attempt <= time.monotonic() - started < attempt + 0.25 + MARGIN  # the longest jitter before the retry


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that drops who wants to connect: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        yield full.getsockname()


HOST = "tmdb.example"


def name_addresses(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """What the host's name leads to."""
    look_up = socket.getaddrinfo
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: found if host == HOST else look_up(host, *rest))


@pytest.mark.parametrize("addresses", [1, 4, 12])
def test_host_whose_addresses_are_all_silent_is_given_up_at_the_deadline(
    silent: tuple[str, int], addresses: int, hurry: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_addresses(monkeypatch, *[silent] * addresses)
    client = TmdbClient(SecretStr(TOKEN), f"http://{HOST}/3")
    started = time.monotonic()

    with pytest.raises(TmdbUnavailableError, match="ConnectTimeout"):
        client.fetch_movie(7, Deadline(hurry))
    assert time.monotonic() - started < hurry + MARGIN
    client.close()


def test_address_behind_silent_ones_is_reached_in_time(
    fake: FakeTmdb, silent: tuple[str, int], hurry: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.replies = [Reply(FILM)]
    name_addresses(monkeypatch, silent, silent, silent, fake.server.server_address)  # type: ignore[arg-type]
    client = TmdbClient(SecretStr(TOKEN), f"http://{HOST}/3")

    assert client.fetch_movie(7, Deadline(hurry))["title"] == "Made Up"
    client.close()


def test_silent_address_is_tried_again_before_an_answer_would_be_late(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "CONNECT_SECONDS", transport_module.CONNECT_SECONDS / 10)
    monkeypatch.setattr(transport_module.random, "uniform", lambda *_: 0.0)
    name_addresses(monkeypatch, silent)
    client = TmdbClient(SecretStr(TOKEN), f"http://{HOST}/3")
    started = time.monotonic()

    with pytest.raises(TmdbUnavailableError, match="ConnectTimeout"):
        client.fetch_movie(7, Deadline(3.0))
    assert 0.9 <= time.monotonic() - started < 0.9 + MARGIN  # three attempts
    client.close()


@pytest.mark.parametrize("host", [HOST, "a" * 70 + ".example"])
def test_name_that_leads_nowhere_is_a_failed_connection(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name_addresses(monkeypatch)
    client = TmdbClient(SecretStr(TOKEN), f"http://{host}/3")

    with pytest.raises(TmdbUnavailableError, match="the connection failed: ConnectionError"):
        client.fetch_movie(7)
    client.close()


def name_proxy(monkeypatch: pytest.MonkeyPatch, proxy: FakeTmdb, not_for: str = "") -> None:
    for name in ("no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)  # they would go before those in capitals
    monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/3"))
    monkeypatch.setenv("NO_PROXY", not_for)


@pytest.mark.parametrize(
    ("not_for", "asked"), [("", "http://127.0.0.1"), ("elsewhere.example,127.0.0.1", "/3/movie/7")]
)
def test_proxy_of_the_environment_is_asked_unless_the_address_is_excepted(
    fake: FakeTmdb, monkeypatch: pytest.MonkeyPatch, not_for: str, asked: str
) -> None:
    name_proxy(monkeypatch, fake, not_for)
    fake.replies = [Reply(FILM)]
    client = TmdbClient(SecretStr(TOKEN), fake.url)

    assert client.fetch_movie(7)["title"] == "Made Up"
    assert [path.startswith(asked) for path in fake.paths] == [True]  # a proxy is given the whole address
    client.close()


@pytest.mark.parametrize("bundle", ["", "/etc/company-certificates.pem"])
def test_certificates_of_the_environment_are_those_that_are_trusted(
    monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    session = transport_module._make_session(SecretStr(TOKEN), "https://tmdb.example/3")

    assert session.verify == (bundle or True)


def test_what_drips_through_a_proxy_is_given_up_at_the_deadline(
    fake: FakeTmdb, hurry: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_proxy(monkeypatch, fake)
    fake.replies = [Reply(raw=drip_body)]
    client = TmdbClient(SecretStr(TOKEN), "http://tmdb.example/3")
    started = time.monotonic()

    with pytest.raises(TmdbUnavailableError, match="TMDB is not available"):
        client.fetch_movie(7, Deadline(hurry))
    assert time.monotonic() - started < hurry + MARGIN
    assert fake.paths[0].startswith("http://tmdb.example/3/movie/7")
    client.close()


def test_who_was_told_to_wait_asks_nothing_meanwhile(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply({}, status=429, headers={"Retry-After": "1"}), Reply(FILM)]
    with pytest.raises(TmdbUnavailableError):
        client.fetch_movie(7, Deadline(0.5))
    with pytest.raises(TmdbUnavailableError, match="no time was left to ask"):
        client.fetch_movie(7, Deadline(0.3))
    assert len(fake.requests) == 1

    started = time.monotonic()
    assert client.fetch_movie(7)["title"] == "Made Up"
    assert time.monotonic() - started > 0.5


def test_after_a_429_the_next_question_is_asked_as_if_nothing_had_been(fake: FakeTmdb, client: TmdbClient) -> None:
    """TMDbLib#75: a client half made; themoviedb.helper#1427: the 429 came again for all that followed."""
    fake.replies = [Reply({"status_code": 25}, status=429)]
    with pytest.raises(TmdbUnavailableError):
        client.fetch_movie(7)

    fake.replies = [Reply(FILM)]
    assert client.fetch_movie(7)["title"] == "Made Up"
    assert len(fake.requests) == 4


def test_no_failure_is_remembered_as_an_answer(fake: FakeTmdb, client: TmdbClient) -> None:
    """archive-movie-browser#42: "no match" for a week."""
    fake.replies = [Reply({}, status=503)]
    with pytest.raises(TmdbUnavailableError):
        client.search("Home")
    fake.replies = [Reply({"status_code": 34}, status=404)]
    with pytest.raises(MovieNotFoundError):
        client.fetch_movie(7)

    fake.replies = [search_page({"id": 7, "title": "Home"}), Reply(FILM)]
    assert client.search("Home").kind == "one"
    assert client.fetch_movie(7)["title"] == "Made Up"


def test_a_film_takes_one_question_and_films_in_a_row_one_connection(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply(FILM)]
    for _ in range(5):
        client.fetch_movie(7)

    assert len(fake.requests) == 5
    assert set(fake.paths) == {"/3/movie/7?append_to_response=credits"}
    assert len({id(connection) for connection in fake.requests}) == 1


def test_retry_after_within_the_deadline_is_honoured(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply({}, status=429, headers={"Retry-After": "1"}), Reply(FILM)]
    started = time.monotonic()

    client.fetch_movie(7)

    assert time.monotonic() - started >= 1.0


def test_retry_after_of_the_last_attempt_is_honoured_by_the_next_question(fake: FakeTmdb, client: TmdbClient) -> None:
    again = Reply({}, status=503)
    fake.replies = [again, again, Reply({}, status=429, headers={"Retry-After": "1"}), Reply(FILM)]
    started = time.monotonic()
    with pytest.raises(TmdbUnavailableError):
        client.fetch_movie(7)

    client.fetch_movie(7)

    assert time.monotonic() - started >= 0.9


def test_nobody_waits_longer_than_a_minute_because_tmdb_asked_for_it(
    fake: FakeTmdb, client: TmdbClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.replies = [Reply({}, status=429, headers={"Retry-After": "3600"}), Reply(FILM)]
    with pytest.raises(TmdbUnavailableError):
        client.fetch_movie(7, Deadline(3))
    slept: list[float] = []
    monkeypatch.setattr(transport_module.time, "sleep", slept.append)

    client.fetch_movie(7, Deadline(100))

    assert sum(slept) == pytest.approx(60, abs=5)


def test_retry_after_beyond_the_deadline_gives_up_at_once(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply({}, status=429, headers={"Retry-After": "3600"})]
    started = time.monotonic()

    with pytest.raises(TmdbUnavailableError):
        client.fetch_movie(7, Deadline(3))
    assert time.monotonic() - started < 1
    assert len(fake.requests) == 1


def test_gzip_without_header_is_read(fake: FakeTmdb, client: TmdbClient) -> None:
    """seerr#3050."""
    fake.replies = [Reply(gzip.compress(json.dumps(FILM).encode()))]

    assert client.fetch_movie(7)["id"] == 7


def test_body_beyond_the_cap_is_refused_without_retry(
    fake: FakeTmdb, client: TmdbClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "MAX_BODY_BYTES", 1000)
    fake.replies = [Reply(b" " * 2000 + b"{}")]

    with pytest.raises(TmdbUnavailableError, match="more than"):
        client.fetch_movie(7)
    assert len(fake.requests) == 1


def test_gzip_bomb_is_refused(fake: FakeTmdb, client: TmdbClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "MAX_BODY_BYTES", 1000)
    fake.replies = [Reply(gzip.compress(b" " * 100_000))]

    with pytest.raises(TmdbUnavailableError, match="more than"):
        client.fetch_movie(7)


def test_large_revenue_and_gender_three_or_null_pass_through(fake: FakeTmdb, client: TmdbClient) -> None:
    """jellyfin#3792, Radarr#168, nCubed#8; tmdb-kotlin#4, TMDbLib#220."""
    fake.replies = [Reply(FILM)]

    film = client.fetch_movie(7)

    assert film["revenue"] == 2_923_706_026
    assert [person["gender"] for person in film["credits"]["cast"]] == [3, None]


def test_404_is_not_found_and_never_an_empty_film(fake: FakeTmdb, client: TmdbClient) -> None:
    """TMDbLib#235, c-eg/themoviedbapi#6."""
    fake.replies = [Reply({"status_code": 34}, status=404)]

    with pytest.raises(MovieNotFoundError, match="TMDB has no movie with id 9"):
        client.fetch_movie(9)
    assert len(fake.requests) == 1


def test_404_that_is_not_tmdbs_says_what_to_look_at(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply(b"<html>Not here</html>", status=404, content_type="text/html")]

    with pytest.raises(TmdbUnavailableError, match="404 that is not TMDB's: check TMDB_API_BASE_URL and any proxy"):
        client.fetch_movie(9)


def test_answer_about_another_film_is_refused(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply(FILM)]

    with pytest.raises(TmdbUnavailableError, match="another film than 8"):
        client.fetch_movie(8)


def test_adult_film_is_not_answered(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply({**FILM, "adult": True})]

    with pytest.raises(MovieNotFoundError, match="adult"):
        client.fetch_movie(7)


def test_missing_credits_are_fetched_apart(fake: FakeTmdb, client: TmdbClient) -> None:
    """seerr#3055, #3206."""
    bare = {name: value for name, value in FILM.items() if name != "credits"}
    fake.replies = [Reply(bare), Reply({"id": 7, "cast": [{"id": 1}], "crew": []})]

    assert client.fetch_movie(7)["credits"] == {"cast": [{"id": 1}], "crew": []}
    assert fake.paths[1] == "/3/movie/7/credits"


def test_credits_that_stay_missing_are_absent_not_empty(fake: FakeTmdb, client: TmdbClient) -> None:
    """seerr#3055, #3206."""
    bare = {name: value for name, value in FILM.items() if name != "credits"}
    fake.replies = [Reply(bare), Reply({}, status=500)]

    assert "credits" not in client.fetch_movie(7)


def test_refused_credential_is_named_and_not_asked_again(fake: FakeTmdb, client: TmdbClient) -> None:
    """stremio-addon-douban#55: 410 refusals a day."""
    fake.replies = [Reply({"status_code": 7}, status=401)]

    for _ in range(3):
        with pytest.raises(TmdbCredentialError, match="TMDB refuses TMDB_API_TOKEN"):
            client.fetch_movie(7)
    assert len(fake.requests) == 1


def test_v3_key_is_recognised_when_refused(fake: FakeTmdb) -> None:
    """stremio-addon-douban#55, jellyfin-newsletter#88."""
    fake.replies = [Reply({"status_code": 7}, status=401)]
    client = TmdbClient(SecretStr("0123456789abcdef" * 2), fake.url)

    with pytest.raises(TmdbCredentialError, match="looks like a v3 API key"):
        client.fetch_movie(7)
    client.close()


def test_token_with_blanks_is_refused_without_showing_it() -> None:
    with pytest.raises(TmdbCredentialError) as caught:
        TmdbClient(SecretStr("secret part\nother"), "http://127.0.0.1:9/3")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "reply", [*TRANSIENT.values(), *(reply for reply, _ in FINAL.values()), *(Reply(raw=raw) for raw in HANGING)]
)
def test_token_stays_out_of_addresses_errors_and_logs_however_it_fails(
    fake: FakeTmdb,
    client: TmdbClient,
    reply: Reply,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """adamayoung/TMDb#434, openposterdb#64, Radarr#3890."""
    monkeypatch.setattr(transport_module, "ATTEMPT_SECONDS", 0.2)
    monkeypatch.setattr(transport_module.random, "uniform", lambda *_: 0.0)
    caplog.set_level(logging.DEBUG)
    fake.replies = [reply]

    with pytest.raises((MovieNotFoundError, TmdbCredentialError, TmdbUnavailableError)) as caught:
        client.fetch_movie(7)

    assert fake.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert not any(TOKEN in path for path in fake.paths)
    assert "urllib3" in {record.name.split(".")[0] for record in caplog.records}  # its own lines are looked through
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert TOKEN not in repr(vars(client.transport))


def test_redirect_is_not_followed_with_the_token(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply({}, status=302, headers={"Location": "http://127.0.0.1:9/steal"})]

    with pytest.raises(TmdbUnavailableError):
        client.fetch_movie(7)


def test_after_five_failed_calls_nobody_waits_for_tmdb(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply(raw=close)]
    for _ in range(5):
        with pytest.raises(TmdbUnavailableError):
            client.fetch_movie(7)
    asked = len(fake.requests)

    with pytest.raises(TmdbUnavailableError, match="several times in a row"):
        client.fetch_movie(7)
    assert len(fake.requests) == asked


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, {"status_code": 22}), (403, {"status_code": 45}), (422, {"errors": ["query is missing"]})],
)
def test_question_that_tmdb_refuses_does_not_keep_others_from_asking(
    fake: FakeTmdb, client: TmdbClient, status: int, body: dict[str, Any]
) -> None:
    fake.replies = [Reply(body, status=status)]
    for _ in range(6):
        with pytest.raises(TmdbUnavailableError, match=f"refused the question with status {status}"):
            client.fetch_movie(7)

    fake.replies = [Reply(FILM)]
    assert client.fetch_movie(7)["title"] == "Made Up"


def test_network_that_refuses_every_question_is_soon_asked_no_more(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply(b"<html>Blocked</html>", status=403, content_type="text/html")]
    for _ in range(5):
        with pytest.raises(TmdbUnavailableError, match="refused the question with status 403"):
            client.fetch_movie(7)

    assert client.transport.breaker.is_open


def test_who_has_time_left_asks_when_the_first_to_ask_had_none(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply(raw=hang), Reply(FILM)]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.fetch_movie, 7, Deadline(0.4))
        wait_until(lambda: len(fake.requests) == 1)
        others = [pool.submit(client.fetch_movie, 7, Deadline(10.0)) for _ in range(3)]
        with pytest.raises(TmdbUnavailableError):
            first.result()
        films = [other.result()["title"] for other in others]

    assert films == ["Made Up"] * 3


def test_who_asks_the_same_of_a_tmdb_that_is_down_shares_the_failure(fake: FakeTmdb, client: TmdbClient) -> None:
    def slow_503(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        handler.wfile.write(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")

    fake.replies = [Reply(raw=slow_503)]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.fetch_movie, 7, Deadline(10.0))
        wait_until(lambda: len(fake.requests) == 1)
        others = [pool.submit(client.fetch_movie, 7, Deadline(10.0)) for _ in range(3)]
        errors = [asked.exception() for asked in (first, *others)]

    assert [type(error) for error in errors] == [TmdbUnavailableError] * 4
    assert len(fake.requests) == 3


def test_callers_at_the_same_time_share_one_call(fake: FakeTmdb, client: TmdbClient) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        body = json.dumps(FILM).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        handler.wfile.write(head.encode() + body)

    fake.replies = [Reply(raw=slow)]
    films: list[Any] = []
    threads = [threading.Thread(target=lambda: films.append(client.fetch_movie(7))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(films) == 8
    assert len(fake.requests) == 1


def test_imdb_id_of_a_series_is_not_a_film(fake: FakeTmdb, client: TmdbClient) -> None:
    """Upload-Assistant#515."""
    fake.replies = [Reply({"movie_results": [], "tv_results": [{"id": 5, "name": "A Series"}]})]

    with pytest.raises(MovieNotFoundError, match="is a series on TMDB, not a film"):
        client.find_by_imdb_id("tt0903747")


def test_imdb_id_of_a_film_and_a_series_gives_the_film(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [Reply({"movie_results": [{"id": 550, "title": "F"}], "tv_results": [{"id": 5}]})]

    assert client.find_by_imdb_id("tt0137523") == 550


def test_nothing_but_an_imdb_id_gets_into_the_path(fake: FakeTmdb, client: TmdbClient) -> None:
    with pytest.raises(MovieNotFoundError):
        client.find_by_imdb_id("tt1/../movie/550")
    assert fake.requests == []


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def search_page(*rows: dict[str, Any], pages: int = 1) -> Reply:
    return Reply({"page": 1, "results": list(rows), "total_pages": pages, "total_results": 20 * pages})


def test_exact_title_beats_the_first_result(fake: FakeTmdb, client: TmdbClient) -> None:
    """xbmc#18894, tmdbv3api#127, jellyfin#9264, #17819."""
    fake.replies = [search_page({"id": 1, "title": "No Way Home", "popularity": 99}, {"id": 2, "title": "Home"})]

    match = client.search("Home")

    assert match.film is not None
    assert match.film.tmdb_id == 2


def test_rows_without_date_poster_or_title_do_no_harm(fake: FakeTmdb, client: TmdbClient) -> None:
    """nefarious#170, gaps#270, mnamer#32; AutoTag#12, Auto_Bangumi#873."""
    rows = [
        {"id": 1, "title": "Home", "release_date": "", "poster_path": None},
        {"id": 2},
        {"title": "no id"},
        None,
        {"id": 3, "title": "Home", "adult": True},
    ]
    fake.replies = [search_page(*rows)]  # type: ignore[arg-type]

    assert [film.tmdb_id for film in client.search("Home").candidates] == [1]


def test_exact_title_on_page_two_is_found(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [
        search_page({"id": 1, "title": "Blueberry"}, pages=2),
        search_page({"id": 2, "title": "Blue"}, pages=2),
    ]

    film = client.search("Blue").film

    assert film is not None
    assert film.tmdb_id == 2
    assert "page=2" in fake.paths[1]


def film(identity: int, title: str, year: int) -> dict[str, Any]:
    return {"id": identity, "title": title, "release_date": f"{year}-06-01"}


def test_exact_title_on_a_later_page_beats_one_that_differs_by_its_article(
    fake: FakeTmdb, client: TmdbClient
) -> None:
    fake.replies = [
        search_page(film(1, "The Fight", 2020), pages=3),
        search_page(film(2, "Fight Night", 2008), pages=3),
        search_page(film(3, "Fight", 2023), pages=3),
    ]

    match = client.search("fight")

    assert [found.tmdb_id for found in match.candidates] == [3]
    assert match.kind == "one"


def test_title_that_differs_by_its_article_is_taken_when_no_page_has_the_exact_one(
    fake: FakeTmdb, client: TmdbClient
) -> None:
    fake.replies = [
        search_page(film(1, "The Fight", 2020), pages=9),
        search_page(film(2, "Fight Night", 2008), pages=9),
    ]

    match = client.search("fight")

    assert match.film is not None
    assert match.film.tmdb_id == 1
    assert len(fake.requests) == 3


def test_films_of_the_same_title_on_later_pages_are_candidates_too(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [
        search_page(film(1, "Blue", 1993), pages=9),
        search_page(film(2, "Blue", 2009), pages=9),
        search_page(film(3, "Blueberry", 2004), film(4, "Blue", 2018), pages=9),
    ]

    assert {found.tmdb_id for found in client.search("Blue").candidates} == {1, 2, 4}
    assert len(fake.requests) == 3  # and no further, though there may be more


def test_search_ends_with_the_page_after_the_last_exact_title(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page(film(1, "Blue", 1993), pages=9), search_page(film(2, "Blueberry", 2004), pages=9)]

    assert client.search("Blue").kind == "one"
    assert len(fake.requests) == 2


def test_what_page_one_had_is_not_lost_when_page_two_fails(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page(film(1, "Blue", 1993), pages=9), Reply({}, status=503)]

    assert client.search("Blue").kind == "one"

    fake.requests.clear()
    fake.replies = [search_page(film(2, "Blueberry", 2004), pages=9), Reply({}, status=503)]
    with pytest.raises(TmdbUnavailableError):
        client.search("Blue")


def test_film_a_year_off_is_found_behind_its_namesakes(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [
        search_page(),
        search_page(film(1, "Home", 2015), pages=2),
        search_page(film(2, "Home", 2009), pages=2),
    ]

    found = client.search("Home", 2010).film

    assert found is not None
    assert found.tmdb_id == 2
    assert ["year=2010" in path for path in fake.paths] == [True, False, False]


def test_film_of_the_exact_year_is_looked_for_behind_one_a_year_off(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page(film(1, "Home", 2009), pages=2), search_page(film(2, "Home", 2010), pages=2)]

    found = client.search("Home", 2010).film

    assert found is not None
    assert found.tmdb_id == 2
    assert len(fake.requests) == 2


@pytest.mark.parametrize("typed", ["Harbour (1963)", "Harbour 1963"])
def test_year_that_is_typed_and_given_is_split_off(fake: FakeTmdb, client: TmdbClient, typed: str) -> None:
    fake.replies = [search_page(), search_page(), search_page(film(1, "Harbour", 1963))]

    found = client.search(typed, 1963).film

    assert found is not None
    assert "query=Harbour&" in fake.paths[2]


def test_year_that_is_typed_stays_when_another_is_given(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page()]

    assert client.search("Harbour 1963", 1970).kind == "none"
    assert len(fake.requests) == 2


def test_every_search_leaves_adult_films_out(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page(film(1, "Other", 2000), pages=2)]

    client.search("Home", 2015)

    assert len(fake.paths) == 4  # two pages with the year and two without
    assert all("include_adult=false" in path for path in fake.paths)


def test_search_never_asks_beyond_the_last_page(fake: FakeTmdb, client: TmdbClient) -> None:
    """TMDbLib#208."""
    fake.replies = [search_page({"id": 1, "title": "Other"}, pages=2)]

    assert client.search("Blue").kind == "similar"
    assert len(fake.requests) == 2


@pytest.mark.parametrize("title", ["Home", "Blue", "Mulan", "The Mummy"])
def test_films_that_share_a_title_are_all_candidates(fake: FakeTmdb, client: TmdbClient, title: str) -> None:
    years = ("1998", "2020")
    rows = [{"id": int(year), "title": title, "release_date": f"{year}-01-02"} for year in years]
    fake.replies = [search_page({"id": 1, "title": f"{title} Returns", "popularity": 99.0}, *rows)]

    match = client.search(title)

    assert match.kind == "several"
    assert {film.year for film in match.candidates} == {1998, 2020}


def test_year_typed_in_the_title_is_split_off(fake: FakeTmdb, client: TmdbClient) -> None:
    films = search_page(
        {"id": 1, "title": "Mulan", "release_date": "1998-06-18"},
        {"id": 2, "title": "Mulan", "release_date": "2020-09-04"},
    )
    fake.replies = [search_page(), films]

    film = client.search("Mulan 2020").film

    assert film is not None
    assert film.tmdb_id == 2
    assert "year=2020" in fake.paths[1]


def test_title_that_ends_in_a_year_is_kept_whole(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page({"id": 1, "title": "Wonder Woman 1984", "release_date": "2020-12-16"})]

    film = client.search("Wonder Woman 1984").film

    assert film is not None
    assert len(fake.requests) == 1


def test_year_filter_that_empties_the_results_is_left_out_once(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page(), search_page({"id": 1, "title": "House", "release_date": "1978-01-01"})]

    film = client.search("House", 1977).film

    assert film is not None
    assert "year=" not in fake.paths[1]


def test_title_is_encoded_once_as_utf8(fake: FakeTmdb, client: TmdbClient) -> None:
    fake.replies = [search_page()]

    client.search("Ночь & день")

    assert "query=%D0%9D%D0%BE%D1%87%D1%8C+%26+%D0%B4%D0%B5%D0%BD%D1%8C" in fake.paths[0]


def test_a_film_that_our_limits_left_no_time_for_is_no_failure_of_tmdb(fake: FakeTmdb) -> None:
    client = TmdbClient(SecretStr(TOKEN), fake.url, limits=OwnLimits(requests_per_second=1))
    fake.replies = [Reply(FILM)]
    client.fetch_movie(7, Deadline(5.0))
    for film in range(8, 20):
        with pytest.raises(TmdbNotAskedError, match="no time was left to ask"):
            client.fetch_movie(film, Deadline(0.01))
    assert not client.transport.breaker.is_open
