"""The merge join by itself, in DuckDB, on rows one can see."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from feast_stores.feature_source import Feature, FeatureSource
from feast_stores.merge_join import Clocks, merge

START = datetime(2020, 1, 1, tzinfo=UTC)
STAMP = pa.timestamp("us", "UTC")


def source(ttl_seconds: int = 0) -> FeatureSource:
    return FeatureSource("view", "t", {"movie_id": "movie_id"}, (Feature("v", "v"),), "event", "created", ttl_seconds)


def at(*hours: int) -> pa.Array:
    return pa.array([START + timedelta(hours=hour) for hour in hours], STAMP)


def joined(labels: list[tuple[int, int]], clocks: Clocks, ttl_seconds: int = 0) -> list[int | None]:
    """One film: a value of hour 1 written at hours 2 and 6, a value of hour 4 written at hour 5."""
    features = pa.RecordBatch.from_pydict({
        "key_0": [1, 1, 1], "feature_0": [10, 11, 40], "event_time": at(1, 1, 4), "created_time": at(2, 6, 5),
    })  # fmt: skip
    entities = pa.table({
        "_row": np.arange(len(labels)), "_moment": at(*(hour for _, hour in labels)),
        "movie_id": [movie for movie, _ in labels],
    })  # fmt: skip
    found = merge([features], entities, source(ttl_seconds), clocks=clocks, memory_limit="100MB")
    values: list[int | None] = found["v"].to_pylist()
    return values


TIES = Clocks(breaks_ties=True, filters=False)


def test_rows_come_back_in_the_order_asked() -> None:
    assert joined([(1, 9), (1, 0), (2, 9), (1, 4), (1, 3)], TIES) == [40, None, None, 40, 11]


def test_the_later_written_of_two_equal_events_wins() -> None:
    assert joined([(1, 1)], TIES) == [11]


@pytest.mark.parametrize(("hour", "value"), [(1, None), (2, 10), (4, 10), (5, 40), (6, 40)])
def test_rows_written_later_are_not_known_yet(hour: int, value: int | None) -> None:
    assert joined([(1, hour)], Clocks(breaks_ties=True, filters=True)) == [value]


@pytest.mark.parametrize(("hour", "value"), [(3, 11), (6, 40), (7, None)])
def test_the_ttl_border_is_inside(hour: int, value: int | None) -> None:
    assert joined([(1, hour)], TIES, ttl_seconds=2 * 3600) == [value]
