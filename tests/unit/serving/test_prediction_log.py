"""The log never stops an answer: what it cannot take is dropped and counted."""

import time
from typing import Any

import pytest

from common.errors import DatabaseError
from serving import prediction_log
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog
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
