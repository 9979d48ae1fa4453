"""What keeps us polite to TMDB and quick when it is not well: limits, a circuit breaker, single flight."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Start:
    """The right to ask TMDB once.

    Attributes:
        wait_seconds: to sleep before asking.
        connection, starts_at: of a start that other processes know of.
    """

    wait_seconds: float
    connection: int | None = None
    starts_at: datetime | None = None


class Limits(Protocol):
    """How often TMDB may be asked, and on how many connections at a time."""

    def take(self, latest: float) -> Start | None:
        """The next start, None when it would come after `latest` on the monotonic clock."""

    def give_back(self, start: Start) -> None:
        """The question is answered, or given up."""

    def close(self) -> None:
        """Nothing more is asked."""


class OwnLimits:
    """The limits of a process that knows of no other."""

    def __init__(self, requests_per_second: int = 20, connections: int = 10) -> None:
        self._starts = RateLimiter(requests_per_second)
        self._connections = threading.BoundedSemaphore(connections)

    def take(self, latest: float) -> Start | None:
        if not self._connections.acquire(timeout=max(0.0, latest - time.monotonic())):
            return None
        wait = self._starts.reserve(latest)
        if wait is None:
            self._connections.release()
            return None
        return Start(wait)

    def give_back(self, start: Start) -> None:
        del start  # one is as good as another
        self._connections.release()

    def close(self) -> None:
        """Nothing is kept."""


class RateLimiter:
    """At most `limit` starts in any window; a caller that would start too late is told so instead of waiting."""

    def __init__(self, limit: int, window_seconds: float = 1.05) -> None:
        """A window a little over a second keeps the rate at the other end, after the network's jitter."""
        self._starts: deque[float] = deque(maxlen=limit)
        self._window_seconds = window_seconds
        self._lock = threading.Lock()

    def reserve(self, latest: float) -> float | None:
        """Take the next free start.

        Args:
            latest: on the monotonic clock; a start after it is of no use to the caller.

        Returns:
            Seconds to sleep before starting; None when the next start is too late (nothing is taken then).
        """
        with self._lock:
            now = time.monotonic()
            start = now
            if len(self._starts) == self._starts.maxlen:
                start = max(now, self._starts[0] + self._window_seconds)
            if start > latest:
                return None
            self._starts.append(start)
            return start - now


class CircuitBreaker:
    """After `threshold` failed calls in a row nobody waits for TMDB; one caller at a time tries again later."""

    def __init__(self, threshold: int = 5, open_seconds: float = 15.0) -> None:
        self._threshold = threshold
        self._open_seconds = open_seconds
        self._failures = 0
        self._closed_again_at = 0.0
        self._lock = threading.Lock()

    def seconds_closed_to_us(self) -> float:
        """0 when a call may be made; else seconds until the next attempt. A half-open breaker lets one in."""
        with self._lock:
            now = time.monotonic()
            if self._failures < self._threshold:
                return 0.0
            if now < self._closed_again_at:
                return self._closed_again_at - now
            self._closed_again_at = now + self._open_seconds
            return 0.0

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= self._threshold:
                self._closed_again_at = time.monotonic() + self._open_seconds

    @property
    def is_open(self) -> bool:
        """Whether callers are being turned away now."""
        with self._lock:
            return self._failures >= self._threshold and time.monotonic() < self._closed_again_at


class SingleFlight(Generic[Result]):
    """Callers that ask for the same thing at the same time share one call and its result or error."""

    def __init__(self) -> None:
        self._flights: dict[str, Future[Result]] = {}
        self._lock = threading.Lock()

    def do(self, key: str, call: Callable[[], Result], timeout: float) -> Result:
        """Run `call`, or wait for the one that is already running for this key.

        Raises:
            TimeoutError: the other caller's call took longer than `timeout` seconds.
        """
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            return flight.result(timeout)
        try:
            result = call()
        except BaseException as error:
            self._forget(key)
            flight.set_exception(error)
            raise
        self._forget(key)
        flight.set_result(result)
        return result

    def _forget(self, key: str) -> None:
        """Before the flight ends: who asks anew because of how it ended shall not find it again."""
        with self._lock:
            del self._flights[key]
