# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""Point-in-time join by sort and merge: features stream to DuckDB in Arrow batches, its ASOF join does the rest.

DuckDB keeps to its memory limit and spills to a folder that is removed afterwards. Times are compared as whole
microseconds, so that neither zones nor time types can differ between the two databases.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from feast_stores.arrow_transfer import Column
from feast_stores.entity_rows import MOMENT, ROW
from feast_stores.feature_source import FeatureSource, quote

if TYPE_CHECKING:
    import duckdb

EVENT_TIME = "_event_us"
CREATED_TIME = "_created_us"
# Two times in one number, ordered by the first: created times stay below 2**61 microseconds until the year 75,000.
_SHIFT = f"{2**62}::hugeint"
_MIDDLE = f"{2**61}::hugeint"


@dataclass(frozen=True)
class Clocks:
    """Which part the created time plays: none, the tiebreaker between equal event times, or also a filter."""

    breaks_ties: bool
    filters: bool

    @property
    def carry_created(self) -> bool:
        return self.breaks_ties or self.filters


def transfer_query(source: FeatureSource, columns: dict[str, Column], clocks: Clocks) -> str:
    """PostgreSQL: the rows to hand over, under names that cannot collide."""
    parts = [f"{columns[column].expression} as key_{i}" for i, column in enumerate(source.keys.values())]
    parts += [f"{columns[feature.column].expression} as feature_{i}" for i, feature in enumerate(source.features)]
    parts.append(f"{quote(source.event_time)}::timestamptz as event_time")
    if clocks.carry_created and source.created_time:
        parts.append(f"{quote(source.created_time)}::timestamptz as created_time")
    return f"select {', '.join(parts)} from {source.known_rows}"


def merge(
    features: Iterable[pa.RecordBatch],
    entities: pa.Table,
    source: FeatureSource,
    *,
    clocks: Clocks,
    memory_limit: str,
) -> pa.Table:
    """The features of each entity row in its order.

    Args:
        features: rows of `transfer_query`.
        entities: `_row`, `_moment` and the key columns of `source`.
        clocks: as in `transfer_query`.
        memory_limit: what DuckDB may hold before it spills, such as "2GB".
    """
    import duckdb  # imported late: who only reads online rows, as a server does, needs 16 MB less

    with (
        tempfile.TemporaryDirectory(prefix="feast-join-") as spill,
        duckdb.connect(config={"memory_limit": memory_limit, "temp_directory": spill}) as database,
    ):
        database.execute("set preserve_insertion_order = false")
        database.execute("set python_enable_replacements = false")  # a misspelt table is no Python variable
        _load(database, features)
        database.register("entities", entities)
        return database.sql(join_query(source, clocks)).to_arrow_table()


def _load(database: "duckdb.DuckDBPyConnection", batches: Iterable[pa.RecordBatch]) -> None:
    for number, batch in enumerate(batches):
        database.register("batch", pa.Table.from_batches([batch]))
        database.execute("insert into features from batch" if number else "create table features as from batch")
    database.unregister("batch")


def join_query(source: FeatureSource, clocks: Clocks) -> str:
    """DuckDB: the newest row of each entity row's key that was known at its moment."""
    same_key = [f"entity.{quote(key)} = feature.key_{i}" for i, key in enumerate(source.keys)]
    expired = f"feature.event_us < epoch_us(entity.{MOMENT}) - {source.ttl_seconds * 1_000_000}"
    outputs = [
        f"case when {expired} then null else feature.feature_{i} end as {quote(feature.name)}"
        if source.ttl_seconds
        else f"feature.feature_{i} as {quote(feature.name)}"
        for i, feature in enumerate(source.features)
    ]
    by_version = clocks.breaks_ties and not clocks.filters
    moment = f"epoch_us({MOMENT}) * {_SHIFT} + {_MIDDLE}" if by_version else f"epoch_us({MOMENT})"
    return f"""
        select {", ".join(outputs)}
        from (select *, {moment} as search_moment from entities) as entity
        asof left join ({_searchable(source, clocks)}) as feature
            on {" and ".join([*same_key, "entity.search_moment >= feature.known_from"])}
        order by entity.{ROW}
    """


def _searchable(source: FeatureSource, clocks: Clocks) -> str:
    """The features with `known_from`, the number that the ASOF join compares."""
    timed = "select *, epoch_us(event_time) as event_us from features"
    if not clocks.carry_created:
        return f"select *, event_us as known_from from ({timed})"
    versions = f"select *, event_us * {_SHIFT} + epoch_us(created_time) as version from ({timed})"
    if not clocks.filters:
        return f"select *, version as known_from from ({versions})"
    keys = ", ".join(f"key_{i}" for i in range(len(source.keys)))
    # A row becomes visible when both its times have passed; one that a newer version hides by then never matters.
    return f"""
        select *, greatest(event_us, epoch_us(created_time)) as known_from
        from ({versions})
        qualify version = max(version) over ({f"partition by {keys}" if keys else ""} order by known_from)
    """
