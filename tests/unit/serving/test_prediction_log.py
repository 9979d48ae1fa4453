"""The log never stops an answer: what it cannot take is dropped and counted."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import DatabaseError
from serving import prediction_log
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog, StageClock
from tests.serving_parts import FakeDatabase, Platform


def make_log(**options: Any) -> tuple[PredictionLog, FakeDatabase, Metrics]:
    database, metrics = FakeDatabase(), Metrics()
    return PredictionLog(database, metrics, **options), database, metrics  # type: ignore[arg-type]


def counted(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"bechdel_prediction_log_{name}_total") or 0.0


def test_full_queue_drops_and_counts() -> None:
    log, _, metrics = make_log(queue_rows=2)
    for _ in range(5):
        log.put(object())  # type: ignore[arg-type]

    assert counted(metrics, "dropped") == 3


def test_answer_comes_while_the_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "RETRY_SECONDS", 0.01)
    platform = Platform()
    metrics = platform.app.extensions["bechdel"].metrics
    fetch = platform.database.fetch

    def refuse(*statement: Any) -> list[dict[str, Any]]:
        if statement and "prediction_log" in statement[0]:
            raise DatabaseError("away")
        return fetch(*statement)

    platform.log.stop()
    monkeypatch.setattr(platform.database, "fetch", refuse)
    assert platform.client.post("/api/v1/predictions", json={"tmdb_id": 5}).status_code == 200
    platform.log.write_queued()

    assert counted(metrics, "dropped") == 1


def test_stopping_writes_what_is_queued() -> None:
    platform = Platform()
    platform.client.post("/api/v1/predictions", json={"tmdb_id": 5}, headers={"X-Request-ID": "mine"})
    platform.log.stop()

    [(_, [batch])] = platform.database.statements
    assert '"request_id":"mine"' in batch


def test_putting_a_row_costs_microseconds() -> None:
    log, _, _ = make_log()
    started = time.perf_counter()
    for _ in range(1000):
        log.put(object())  # type: ignore[arg-type]

    assert time.perf_counter() - started < 0.5


def test_clock_counts_the_waiting_for_each_item_and_for_an_error_and_not_the_work_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(prediction_log, "time", SimpleNamespace(perf_counter=lambda: now))
    metrics = Metrics()
    clock = StageClock(metrics)
    seen: list[int] = []

    def parts() -> Iterator[int]:
        nonlocal now
        for part in (1, 2):
            now += 5.0
            yield part
        now += 3.0
        raise DatabaseError("gone")

    def work() -> None:
        nonlocal now
        for part in clock.each("live_features", parts()):
            seen.append(part)
            now += 100.0

    with pytest.raises(DatabaseError):
        work()

    assert seen == [1, 2]
    assert clock.seconds == {"live_features": 13.0}
    observed = metrics.registry.get_sample_value("bechdel_stage_seconds_count", {"stage": "live_features"})
    assert observed == 3
    assert list(StageClock(metrics).each("model", iter([]))) == []
