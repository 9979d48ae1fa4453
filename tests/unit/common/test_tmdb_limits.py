"""Limits, circuit breaker and single flight."""

import threading
import time

import pytest

from common.tmdb.limits import CircuitBreaker, OwnLimits, RateLimiter, SingleFlight, Start


def test_start_beyond_the_limit_waits_for_the_window() -> None:
    limiter = RateLimiter(2, window_seconds=1.0)
    latest = time.monotonic() + 60

    waits = [limiter.reserve(latest) for _ in range(5)]

    assert [round(wait or 0) for wait in waits] == [0, 0, 1, 1, 2]


def test_start_after_the_deadline_is_refused_and_takes_nothing() -> None:
    limiter = RateLimiter(1, window_seconds=10.0)
    limiter.reserve(time.monotonic() + 60)

    assert limiter.reserve(time.monotonic() + 1) is None
    assert limiter.reserve(time.monotonic() + 60) == pytest.approx(10, abs=0.5)


def test_process_alone_keeps_its_rate_and_its_connections() -> None:
    limits = OwnLimits(requests_per_second=5, connections=2)
    soon = time.monotonic() + 0.05

    first, second = limits.take(soon), limits.take(soon)

    assert first == second == Start(wait_seconds=0.0)
    assert limits.take(soon) is None  # both connections are in use
    for _ in range(3):
        limits.give_back(Start(0.0))
        assert limits.take(soon + 1) == Start(0.0)
    limits.give_back(Start(0.0))
    assert limits.take(soon) is None  # five have started within the second
    late = limits.take(time.monotonic() + 5)
    assert late is not None
    assert late.wait_seconds == pytest.approx(1.05, abs=0.2)


def test_open_breaker_lets_one_caller_in_after_a_while() -> None:
    breaker = CircuitBreaker(threshold=2, open_seconds=0.1)
    breaker.failed()
    assert breaker.seconds_closed_to_us() == 0
    breaker.failed()
    assert breaker.is_open
    assert breaker.seconds_closed_to_us() > 0

    time.sleep(0.12)

    assert breaker.seconds_closed_to_us() == 0
    assert breaker.seconds_closed_to_us() > 0


def test_success_closes_the_breaker() -> None:
    breaker = CircuitBreaker(threshold=1, open_seconds=60)
    breaker.failed()
    breaker.succeeded()

    assert not breaker.is_open
    assert breaker.seconds_closed_to_us() == 0


def test_error_of_a_flight_reaches_everybody_and_is_not_kept() -> None:
    flights: SingleFlight[int] = SingleFlight()
    errors: list[Exception] = []

    def fail() -> int:
        time.sleep(0.2)
        raise ValueError("once")

    def ask() -> None:
        try:
            flights.do("key", fail, 5)
        except ValueError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(errors) == 3
    assert flights.do("key", lambda: 7, 5) == 7
