# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""Writes of feature rows that come through Python: one statement per batch, one array per column."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feast_stores.feature_source import quote
from feast_stores.values import ValueColumn
from feast_stores.wide_table import CREATED_TIME, EVENT_TIME, WideTable

# Feast names the key of a view without entities when it reads and materializes, not when it writes a frame
_NO_KEY = {DUMMY_ENTITY_ID: Value(string_val=DUMMY_ENTITY_VAL)}

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


def write_rows(connection: psycopg.Connection[Any], table: WideTable, rows: Sequence[Row]) -> None:
    """Write Feast's rows; features that a row does not name keep their stored values."""
    by_features: dict[frozenset[str], list[Row]] = defaultdict(list)
    for row in rows:
        by_features[frozenset(row[1])].append(row)
    for names, group in by_features.items():
        features = table.chosen(names)
        connection.execute(_statement(table, features), _arrays(table, features, group))


def _statement(table: WideTable, features: Sequence[ValueColumn]) -> str:
    """Upsert from arrays. Of several rows of a key the newest is taken, the later one when they are equally new."""
    columns = (*table.keys, *features)
    arrays = [*(_array(column) for column in columns), "%s::timestamptz[]", "%s::timestamptz[]"]
    names = [*(quote(column.name) for column in columns), EVENT_TIME, CREATED_TIME]
    written = [column.codec.write.format(f"given.{quote(column.name)}") for column in columns]
    keys = ", ".join(f"given.{quote(key.name)}" for key in table.keys)
    rows = f"""
        select distinct on ({keys}) {", ".join(written)}, given.{EVENT_TIME}, given.{CREATED_TIME}
        from unnest({", ".join(arrays)}) with ordinality as given ({", ".join(names)}, place)
        order by {keys}, given.{EVENT_TIME} desc, given.{CREATED_TIME} desc nulls last, given.place desc
    """
    return table.upsert(rows, features)


def _array(column: ValueColumn) -> str:
    sql_type = "bigint" if column.codec.sql_type == "timestamptz" else column.codec.sql_type
    return f"%s::{sql_type}[]"


def _arrays(table: WideTable, features: Sequence[ValueColumn], rows: Sequence[Row]) -> list[list[Any]]:
    keys = [{**_NO_KEY, **dict(zip(row[0].join_keys, row[0].entity_values, strict=True))} for row in rows]
    arrays: list[list[Any]] = [[key.codec.encode(values[key.name]) for values in keys] for key in table.keys]
    arrays += [[feature.codec.encode(row[1][feature.name]) for row in rows] for feature in features]
    arrays.append([_utc(row[2]) for row in rows])
    arrays.append([_utc(row[3]) for row in rows])
    return arrays


def _utc(moment: datetime | None) -> datetime | None:
    """A naive time is UTC, as everywhere in Feast."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
