"""What the server counts, for Prometheus; with several workers the numbers are those of all of them together.

Several workers share numbers by files in a folder, which `python -m serving run` names to prometheus_client: then any
worker can answer for all. Otherwise each app has a registry of its own, so that several can live in one process.
"""

from functools import lru_cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The server's counters and clocks.

    Args:
        shared_folder: where all workers keep their numbers; None for a process of its own.
    """

    def __init__(self, shared_folder: Path | None = None) -> None:
        self._shared_folder = shared_folder
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered", "endpoint", "method", "status")
        self.latency = self._histogram("request_seconds", "Time to answer", "endpoint")
        self.stages = self._histogram("stage_seconds", "Time in one stage of a prediction", "stage")
        self.verdicts = self._counter("verdicts", "Predictions by verdict", "verdict")
        self.landed = self._counter(
            "tmdb_lookups", "Films by where their data came from: fresh, fetched, stale or none", "result"
        )
        self.cache = self._counter("vector_cache", "Films by whether they had been scored before", "result")
        self.log_written = self._counter("prediction_log_written", "Predictions written to serving.prediction_log")
        self.log_dropped = self._counter("prediction_log_dropped", "Predictions that the log could not take")
        self.feedback = self._counter("feedback", "Ratings given by users", "rating")
        self.champion_version = self._gauge("champion_version", "Version of the model that answers, 0 for none")
        self.champion_loaded = self._gauge(
            "champion_loaded_timestamp_seconds", "When it was loaded; its age is time() minus this"
        )
        # to find a label's number takes longer than to count: remembered for what each film counts
        self.stage = lru_cache(maxsize=None)(self.stages.labels)
        self.verdict = lru_cache(maxsize=None)(self.verdicts.labels)
        self.lookup = lru_cache(maxsize=None)(self.landed.labels)

    def note_champion(self, version: str, loaded_at: float) -> None:
        """Another model answers from now on."""
        self.champion_version.set(int(version) if version.isdigit() else 0)
        self.champion_loaded.set(loaded_at)

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        if self._shared_folder is None:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, path=str(self._shared_folder))  # type: ignore[no-untyped-call]
        return generate_latest(everybody)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"bechdel_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"bechdel_{name}", text, labels, buckets=BUCKETS, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"bechdel_{name}", text, registry=self.registry, multiprocess_mode="livemostrecent")
