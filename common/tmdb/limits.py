"""What keeps us polite to TMDB and quick when it is not well: a rate limit, a circuit breaker, single flight."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class RateLimiter:
    """At most `limit` starts in any window; a caller that would start too late is told so instead of waiting."""

    def __init__(self, limit: int, window_seconds: float = 1.05) -> None:
        """A window a little over a second keeps the rate at the other end, after the network's jitter."""
        self._starts: deque[float] = deque(maxlen=limit)
        self._window_seconds = window_seconds
        self._paused_until = 0.0
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
            start = max(now, self._paused_until)
            if len(self._starts) == self._starts.maxlen:
                start = max(start, self._starts[0] + self._window_seconds)
            if start > latest:
                return None
            self._starts.append(start)
            return start - now

    def pause(self, seconds: float) -> None:
        """Nobody starts for a while: TMDB asked one of us to wait."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)


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
            flight.set_result(call())
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._flights[key]
        return flight.result()
