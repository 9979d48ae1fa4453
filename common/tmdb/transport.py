"""One GET to TMDB: kept-alive connections, deadlines, retries, and every body checked before it is believed."""

import gzip
import logging
import random
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import orjson
import requests
import urllib3
from pydantic import SecretStr
from requests.auth import AuthBase

from common.errors import TmdbCredentialError, TmdbNotAskedError, TmdbUnavailableError
from common.tmdb.connection import TimedAdapter, answer_by
from common.tmdb.limits import CircuitBreaker, Limits, OwnLimits, SingleFlight, Start

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
ATTEMPT_SECONDS = 5.0  # to the last byte: what hangs or drips leaves time for another attempt
TOTAL_SECONDS = 10.0
ATTEMPTS = 3
KEPT_CONNECTIONS = 10  # while nobody asks
MAX_BODY_BYTES = 5_000_000  # the largest recorded answer has 208 kB; revisit if TMDB's answers grow
CREDENTIAL_MEMORY_SECONDS = 60.0  # a refused credential is not tried again for this long
SETTINGS_PAGE = "https://www.themoviedb.org/settings/api"


class Deadline:
    """The moment after which an answer is of no use; shared by all calls that one request needs."""

    def __init__(self, seconds: float = TOTAL_SECONDS) -> None:
        self.at = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - time.monotonic())


@dataclass(frozen=True)
class Answer:
    """TMDB's decoded answer: `status` is 200 or 404, `body` is a JSON object (empty for 404)."""

    status: int
    body: dict[str, Any]


class _Transient(Exception):  # noqa: N818 - not an error of ours, a reason to try again
    """An attempt failed in a way that another attempt may cure.

    Attributes:
        wait_seconds: what TMDB asked for with Retry-After, None when it asked for nothing.
    """

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class _RefusedError(TmdbUnavailableError):
    """TMDB is there and does not take the question; that says nothing about other questions."""


class _OutOfTime(Exception):  # noqa: N818 - what to do about it depends on who asked
    """A question was given up because its deadline came, which says nothing to who has more time."""

    def __init__(self, deadline: Deadline, failure: TmdbUnavailableError) -> None:
        super().__init__(str(failure))
        self.deadline, self.failure = deadline, failure


class _Bearer(AuthBase):
    """The credential as a header. Given as `auth`, so that a .netrc entry cannot replace it."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return request


class TmdbTransport:
    """Sends GETs to TMDB within the limits that its operators ask for.

    Args:
        token: the API Read Access Token.
        base_url: of API version 3, without a slash at the end.
        limits: how often TMDB is asked. It counts per IP address (about 50 a second and 20 connections,
            https://github.com/grantholle/moviedb-promise/issues/74), so leave room. Default: this process's own.
    """

    def __init__(self, token: SecretStr, base_url: str, *, limits: Limits | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = SecretStr(token.get_secret_value().strip())
        self._session = _make_session(self._token, self._base_url)
        self._limits = limits or OwnLimits()
        self._paused_until = 0.0  # on the monotonic clock: TMDB asked one of us to wait
        self._flights: SingleFlight[Answer] = SingleFlight()
        self.breaker = CircuitBreaker()
        self._credential_refused_until = 0.0

    def get(self, path: str, params: Mapping[str, str | int], deadline: Deadline) -> Answer:
        """GET `path` below the base URL.

        Raises:
            TmdbCredentialError: the credential is refused; asking again is useless.
            TmdbUnavailableError: no usable answer before the deadline.
        """
        key = f"{path}?{sorted(params.items())}"
        while True:
            try:
                return self._flights.do(key, lambda: self._call(path, params, deadline), deadline.remaining)
            except TimeoutError as error:
                raise TmdbUnavailableError("TMDB did not answer in time. Try again in a minute.") from error
            except _OutOfTime as early:  # perhaps of somebody else, whom we followed
                if early.deadline is deadline or deadline.remaining <= 0:
                    raise early.failure from None

    @property
    def is_refused(self) -> bool:
        """Whether TMDB refused the credential within the last minute."""
        return time.monotonic() < self._credential_refused_until

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()
        self._limits.close()

    def _call(self, path: str, params: Mapping[str, str | int], deadline: Deadline) -> Answer:
        if self.is_refused:
            raise self._credential_error()
        wait = self.breaker.seconds_closed_to_us()
        if wait > 0:
            message = f"TMDB has failed several times in a row. It is asked again in {wait:.0f} seconds."
            raise TmdbNotAskedError(message, wait)
        try:
            answer = self._call_with_retries(path, params, deadline)
        except BaseException as error:
            self._tell_breaker(error.failure if isinstance(error, _OutOfTime) else error)
            raise
        self.breaker.succeeded()
        return answer

    def _tell_breaker(self, failure: BaseException) -> None:
        if isinstance(failure, TmdbCredentialError | _RefusedError):  # TMDB is there
            self.breaker.succeeded()
        elif not isinstance(failure, TmdbNotAskedError):  # which says nothing about TMDB
            self.breaker.failed()

    def _call_with_retries(self, path: str, params: Mapping[str, str | int], deadline: Deadline) -> Answer:
        reason = ""
        for attempt in range(ATTEMPTS):
            start = self._wait_for_start(deadline)
            if start is None and attempt == 0:
                message = "TMDB was not asked: no time was left to ask. Try again in a minute."
                raise _OutOfTime(deadline, TmdbNotAskedError(message, 1.0))
            if start is None:
                break
            try:
                return self._attempt(path, params, deadline)
            except _Transient as failure:
                reason = str(failure)
                logger.info("tmdb attempt failed path=%s attempt=%d reason=%r", path, attempt + 1, reason)
                wait = self._wait_before_retry(attempt, failure)
            finally:
                self._limits.give_back(start)
            if wait >= deadline.remaining:
                break
            time.sleep(wait)
        else:
            raise _unavailable(path, reason)
        raise _OutOfTime(deadline, _unavailable(path, reason))

    def _wait_for_start(self, deadline: Deadline) -> Start | None:
        """Wait until TMDB may be asked; None when that comes too late."""
        pause = self._paused_until - time.monotonic()
        if pause >= deadline.remaining:
            return None
        if pause > 0.0:  # `sleep(0)` takes a tenth of a millisecond
            time.sleep(pause)
        start = self._limits.take(deadline.at)
        if start is not None and start.wait_seconds > 0.0:
            time.sleep(start.wait_seconds)
        return start

    def _wait_before_retry(self, attempt: int, failure: _Transient) -> float:
        """Seconds: as TMDB asked, else a random share of an exponential delay; 0 after the last attempt.

        What TMDB asked for is noted for all other questions too.
        """
        if failure.wait_seconds is not None:
            self._paused_until = max(self._paused_until, time.monotonic() + min(failure.wait_seconds, 60.0))
        if attempt == ATTEMPTS - 1:
            return 0.0
        if failure.wait_seconds is not None:
            return failure.wait_seconds
        return random.uniform(0.05, 0.25 * 2**attempt)  # noqa: S311 - jitter, not a secret

    def _attempt(self, path: str, params: Mapping[str, str | int], deadline: Deadline) -> Answer:
        left = min(ATTEMPT_SECONDS, deadline.remaining)
        if left <= 0:
            raise _Transient("it took too long")
        try:
            return self._send(path, params, Deadline(left))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # only the kind of the error: its text may hold the address with its parameters
            raise _Transient(f"the connection failed: {type(error).__name__}") from error

    def _send(self, path: str, params: Mapping[str, str | int], deadline: Deadline) -> Answer:
        left = deadline.remaining
        answer_by.set(deadline.at)
        with self._session.get(
            f"{self._base_url}/{path}",
            params=dict(params),
            timeout=(min(CONNECT_SECONDS, left), left),
            stream=True,
            allow_redirects=False,
        ) as response:
            return self._judge(response, _read_body(response))

    def _judge(self, response: requests.Response, body: bytes) -> Answer:
        """Turn a status and a body into an answer, or into the right kind of failure."""
        status = response.status_code
        if status == 200:
            return Answer(200, _decode_object(body, response.headers.get("Content-Type", "")))
        if status == 404 and "html" not in response.headers.get("Content-Type", "").lower():
            return Answer(404, {})
        if status == 401:
            self._credential_refused_until = time.monotonic() + CREDENTIAL_MEMORY_SECONDS
            raise self._credential_error()
        if status == 429 or status >= 500:
            raise _Transient(f"it answered {status}", _parse_retry_after(response.headers.get("Retry-After")))
        if status == 204 or 300 <= status < 400:
            raise _Transient(f"it answered {status} without a film")
        if status == 404:
            raise _Transient("the answer is a 404 that is not TMDB's: check TMDB_API_BASE_URL and any proxy")
        message = f"TMDB refused the question with status {status}."
        # without JSON it is the network before TMDB, or a proxy, that refuses, and it will refuse other questions too
        raise _RefusedError(message) if _read_error(response, body) else TmdbUnavailableError(message)

    def _credential_error(self) -> TmdbCredentialError:
        if re.fullmatch(r"[0-9a-fA-F]{32}", self._token.get_secret_value()):
            return TmdbCredentialError(
                "TMDB refuses TMDB_API_TOKEN: it looks like a v3 API key. "
                f"Set it to the API Read Access Token, the long one that begins with eyJ, from {SETTINGS_PAGE}."
            )
        return TmdbCredentialError(
            f"TMDB refuses TMDB_API_TOKEN. Set it to the API Read Access Token from {SETTINGS_PAGE}."
        )


def _unavailable(path: str, reason: str) -> TmdbUnavailableError:
    logger.warning("tmdb unavailable path=%s reason=%r", path, reason)
    return TmdbUnavailableError(f"TMDB is not available ({reason}). Try again in a minute.")


def _make_session(token: SecretStr, base_url: str) -> requests.Session:
    if not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
        raise TmdbCredentialError(
            "TMDB_API_TOKEN holds characters that no token has (blanks, line ends or letters beyond ASCII). "
            f"Copy the API Read Access Token from {SETTINGS_PAGE} again."
        )
    session = requests.Session()
    # proxies and certificates that the environment names, once: requests would look for them at every question, which
    # takes it as long as sending one
    found = session.merge_environment_settings(base_url, {}, None, None, None)
    session.proxies, session.verify, session.trust_env = found["proxies"], found["verify"], False
    session.auth = _Bearer(token)
    session.headers.update({"Accept": "application/json", "Accept-Encoding": "gzip"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = TimedAdapter(pool_connections=1, pool_maxsize=KEPT_CONNECTIONS, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _read_body(response: requests.Response) -> bytes:
    """The body, given up as soon as it is too long."""
    parts: list[bytes] = []
    size = 0
    while chunk := response.raw.read1(65536, decode_content=True):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise TmdbUnavailableError(f"TMDB sent more than {MAX_BODY_BYTES // 1_000_000} MB for one question.")
    return b"".join(parts)


def _read_error(response: requests.Response, body: bytes) -> dict[str, Any]:
    """The JSON of an error; empty when it has none, as that of a proxy or of another server at the address."""
    try:
        return _decode_object(body, response.headers.get("Content-Type", ""))
    except _Transient:
        return {}


def _decode_object(body: bytes, content_type: str) -> dict[str, Any]:
    """Decode a JSON object, also one that is gzipped without saying so (incident of 2026-05-20, seerr#3050).

    orjson reads nesting that it cannot write: such an object could not be stored.
    """
    if "json" not in content_type.lower():
        raise _Transient(f"it answered {content_type.split(';')[0] or 'no content type'} instead of JSON")
    if body.startswith(b"\x1f\x8b"):
        body = _gunzip(body)
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _Transient("its answer is not valid JSON") from error
    if not isinstance(decoded, dict):
        raise _Transient("its answer is not a JSON object")
    try:
        orjson.dumps([decoded])  # in a list: credits that were asked for apart are put into their film
    except TypeError as error:
        raise _Transient("its answer is nested too deeply") from error
    return decoded


def _gunzip(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = decompressor.decompress(body, MAX_BODY_BYTES)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise _Transient("its answer is broken gzip") from error
    if decompressor.unconsumed_tail:
        raise TmdbUnavailableError(f"TMDB sent more than {MAX_BODY_BYTES // 1_000_000} MB for one question.")
    return plain


def _parse_retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; None when it is absent, zero, past or nonsense (back off ourselves then)."""
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value) or None
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
