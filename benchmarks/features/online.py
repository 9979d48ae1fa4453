"""Materialization into the online stores, and reads from them."""

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from feast import FeatureStore, FeatureView

from benchmarks.features.point_in_time import peak_memory
from benchmarks.features.workload import ENTITY, FEATURES


@dataclass(frozen=True)
class MaterializationResult:
    """One run into an empty table."""

    engine: str
    keys: int
    keys_per_second: float
    memory_mb: float


def measure_materialization(engine: str, store: FeatureStore, view: FeatureView, keys: int) -> MaterializationResult:
    store.apply([ENTITY, view])
    started = time.perf_counter()
    with peak_memory() as memory:
        store.materialize(datetime(2019, 1, 1, tzinfo=UTC), datetime.now(UTC), feature_views=[view.name])
    return MaterializationResult(engine, keys, keys / (time.perf_counter() - started), memory[0])


def measure_reads(
    stores: dict[str, FeatureStore], view: FeatureView, keys: int, sizes: tuple[int, ...], *, rounds: int
) -> dict[str, dict[int, float]]:
    """p50 in milliseconds of `get_online_features(...).to_dict()`, by store and number of keys.

    The stores take turns read by read, so that a busy moment of the machine hits both.
    """
    features = [f"{view.name}:o_f{i}" for i in range(FEATURES)]
    chosen = random.Random(7)  # noqa: S311 - the same keys in every run
    times: dict[str, dict[int, list[float]]] = {name: {size: [] for size in sizes} for name in stores}
    for size in sizes:
        for _ in range(rounds):
            rows = [{"entity_id": chosen.randint(1, keys)} for _ in range(size)]
            for name, store in stores.items():
                started = time.perf_counter()
                store.get_online_features(features=features, entity_rows=rows).to_dict()
                times[name][size].append((time.perf_counter() - started) * 1000)
    return {name: {size: median(values) for size, values in by_size.items()} for name, by_size in times.items()}
