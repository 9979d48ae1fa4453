"""What the server counts, for Prometheus. One registry per app, so that several apps can live in one process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The server's counters and clocks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "bechdel_requests", "Requests answered", ["endpoint", "method", "status"], registry=self.registry
        )
        self.latency = Histogram(
            "bechdel_request_seconds",
            "Time to answer",
            ["endpoint"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.stages = Histogram(
            "bechdel_stage_seconds",
            "Time in one stage of a prediction",
            ["stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.verdicts = Counter("bechdel_verdicts", "Predictions by verdict", ["verdict"], registry=self.registry)
        self.landed = Counter(
            "bechdel_tmdb_lookups",
            "Live films by where their data came from: fresh, fetched, stale or none",
            ["result"],
            registry=self.registry,
        )
        self.champion = Gauge(
            "bechdel_champion_loaded_timestamp_seconds",
            "When the serving model was loaded",
            ["version"],
            registry=self.registry,
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Clock one stage of a prediction."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(name).observe(time.perf_counter() - started)
