"""Materialization into the online stores, and reads from them."""

import math
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import psycopg
from feast import FeatureStore, FeatureView

from benchmarks.features.memory import peak_memory
from benchmarks.features.workload import ENTITY, FEATURES

READS_PER_TURN, TURNS = 25, 4


@dataclass(frozen=True)
class MaterializationResult:
    """Keys a second into an empty table, and the memory it took: our process's, and PostgreSQL's where it is seen."""

    engine: str
    keys: int
    keys_per_second: float
    memory_mb: float
    server_memory_mb: float | None


def measure_materialization(
    engine: str, store: FeatureStore, view: FeatureView, keys: int, url: str, *, runs: int
) -> MaterializationResult:
    """The best of some runs, each into an empty table."""
    store.apply([ENTITY, view])
    seconds = []
    with peak_memory(url) as memory, psycopg.connect(url, autocommit=True) as connection:
        for _ in range(runs):
            connection.execute(f"truncate online_{engine}.{engine}_{view.name}")
            started = time.perf_counter()
            store.materialize(datetime(2019, 1, 1, tzinfo=UTC), datetime.now(UTC), feature_views=[view.name])
            seconds.append(time.perf_counter() - started)
    return MaterializationResult(engine, keys, keys / min(seconds), memory.process_mb, memory.server_mb)


def measure_reads(
    stores: dict[str, FeatureStore], view: FeatureView, keys: int, sizes: tuple[int, ...], *, rounds: int
) -> dict[str, dict[int, float]]:
    """p50 in ms of `get_online_features(...).to_dict()` by store and number of keys, the best of some rounds.

    The stores take turns: a busy moment of the machine hits both. A turn is more than one read, since Feast remembers
    for a whole process what a request means in the registry, and forgets it when another registry is asked. In turns
    of one read both stores would look it up every time, 2 ms, as no server does.
    """
    features = [f"{view.name}:o_f{i}" for i in range(FEATURES)]
    chosen = random.Random(7)  # noqa: S311 - the same keys in every run
    best: dict[str, dict[int, float]] = {name: dict.fromkeys(sizes, math.inf) for name in stores}
    for size in sizes:
        for _ in range(rounds):
            times: dict[str, list[float]] = {name: [] for name in stores}
            for _ in range(TURNS):
                requests = [_choose(chosen, keys, size) for _ in range(READS_PER_TURN)]
                for name, store in stores.items():
                    times[name] += [_read_ms(store, features, rows) for rows in requests]
            for name, measured in times.items():
                best[name][size] = min(best[name][size], median(measured))
    return best


def _choose(chosen: random.Random, keys: int, size: int) -> list[dict[str, int]]:
    return [{"entity_id": chosen.randint(1, keys)} for _ in range(size)]


def _read_ms(store: FeatureStore, features: list[str], rows: list[dict[str, int]]) -> float:
    started = time.perf_counter()
    store.get_online_features(features=features, entity_rows=rows).to_dict()
    return (time.perf_counter() - started) * 1000
