"""Every prediction as a row of `serving.prediction_log`, written in batches behind the answers' back.

An answer never waits for the log and never fails with it: what finds the queue full, or cannot be written after a few
attempts, is dropped and counted.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson

from common.errors import PlatformError
from serving.database import Database
from serving.metrics import Metrics

T = TypeVar("T")
logger = logging.getLogger(__name__)

QUEUE_ROWS = 20_000  # about 20 s of the busiest measured traffic, 60 MB
BATCH_ROWS = 500
LINGER_SECONDS = 0.5
ATTEMPTS = 3
RETRY_SECONDS = 2.0

_INSERT = """
    insert into serving.prediction_log (
        request_id, predicted_at, movie_id, payload_hash, model_name, model_version, feature_service, vector,
        rating_probabilities, probability, verdict, is_live, is_cached, degraded, stage_seconds
    )
    select
        request_id, predicted_at, movie_id, payload_hash, model_name, model_version, feature_service, vector,
        rating_probabilities, probability, verdict, is_live, is_cached, degraded, stage_seconds
    from jsonb_to_recordset(%s::jsonb) as logged (
        request_id text, predicted_at timestamptz, movie_id bigint, payload_hash text, model_name text,
        model_version text, feature_service text, vector jsonb, rating_probabilities double precision[],
        probability double precision, verdict text, is_live boolean, is_cached boolean, degraded text[],
        stage_seconds jsonb
    )
"""


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One row of the log.

    Attributes:
        vector: the film's feature values by name as JSON text; made once per film and model.
        stage_seconds: time in each stage of the request, which a batch's films share.
    """

    request_id: str
    movie_id: int
    payload_hash: str | None
    model_name: str
    model_version: str
    feature_service: str
    vector: bytes
    rating_probabilities: tuple[float, ...]
    verdict: str
    is_live: bool
    is_cached: bool
    degraded: tuple[str, ...]
    stage_seconds: Mapping[str, float]
    predicted_at: datetime


class PredictionLog:
    """A bounded queue and one thread that empties it into the database."""

    def __init__(self, database: Database, metrics: Metrics, *, queue_rows: int = QUEUE_ROWS) -> None:
        self._database = database
        self._metrics = metrics
        self._queue: queue.Queue[LoggedPrediction] = queue.Queue(queue_rows)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, row: LoggedPrediction) -> None:
        """Hand over a row; returns at once."""
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            self._metrics.log_dropped.inc()

    def start(self) -> None:
        """Write in the background until `stop()`."""
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Write what is queued, for at most so long; safe to call twice."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def write_queued(self) -> int:
        """Write one batch of what is queued now; returns its size."""
        rows = self._take()
        if rows:
            self._write(rows)
        return len(rows)

    def _run(self) -> None:
        while not self._stopped.wait(LINGER_SECONDS):
            while self.write_queued() == BATCH_ROWS:
                pass
        while self.write_queued():
            pass

    def _take(self) -> list[LoggedPrediction]:
        rows: list[LoggedPrediction] = []
        try:
            while len(rows) < BATCH_ROWS:
                rows.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return rows

    def _write(self, rows: list[LoggedPrediction]) -> None:
        batch = orjson.dumps([_as_json(row) for row in rows]).decode()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._database.fetch(_INSERT, [batch])
            except PlatformError as error:
                if attempt == ATTEMPTS or self._stopped.is_set():
                    self._metrics.log_dropped.inc(len(rows))
                    logger.warning("prediction log dropped rows=%d reason=%s", len(rows), error)
                    return
                self._stopped.wait(RETRY_SECONDS)
            except Exception:  # a row that cannot be written must not end the thread
                self._metrics.log_dropped.inc(len(rows))
                logger.exception("prediction log dropped rows=%d", len(rows))
                return
            else:
                self._metrics.log_written.inc(len(rows))
                return


class StageClock:
    """Times of one request's stages: kept for the log, and observed for Prometheus. For one thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str) -> "_Stage":
        """A context that clocks one stage."""
        return _Stage(self, name)

    def each(self, name: str, items: Iterator[T]) -> Iterator[T]:
        """The items, with the time that each was waited for, and that after which there was an error instead."""
        while True:
            started = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            except Exception:
                self.add(name, time.perf_counter() - started)
                raise
            self.add(name, time.perf_counter() - started)
            yield item

    def add(self, name: str, seconds: float) -> None:
        """Note the time of a stage that has ended."""
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 6)
        self._metrics.stage(name).observe(seconds)


class _Stage:
    def __init__(self, clock: StageClock, name: str) -> None:
        self._clock, self._name = clock, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._clock.add(self._name, time.perf_counter() - self._started)


def _as_json(row: LoggedPrediction) -> dict[str, Any]:
    return {
        "request_id": row.request_id,
        "predicted_at": row.predicted_at,
        "movie_id": row.movie_id,
        "payload_hash": row.payload_hash,
        "model_name": row.model_name,
        "model_version": row.model_version,
        "feature_service": row.feature_service,
        "vector": orjson.Fragment(row.vector),
        "rating_probabilities": row.rating_probabilities,
        "probability": row.rating_probabilities[3],
        "verdict": row.verdict,
        "is_live": row.is_live,
        "is_cached": row.is_cached,
        "degraded": row.degraded,
        "stage_seconds": row.stage_seconds,
    }
