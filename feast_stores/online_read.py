# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""Online reads: one query for all views that share their keys, answers in the order of the keys asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from feast_stores.feature_source import quote
from feast_stores.values import NULL, ValueColumn, decode_column
from feast_stores.wide_table import EVENT_TIME, WideTable

_MICROSECONDS = 1_000_000
_PRESENT = int(FieldStatus.PRESENT)
_NOT_FOUND = int(FieldStatus.NOT_FOUND)
_EXPIRED = int(FieldStatus.OUTSIDE_MAX_AGE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ViewRead:
    """What one view contributes to a read."""

    table: WideTable
    features: tuple[ValueColumn, ...]
    ttl: timedelta | None

    @property
    def oldest(self) -> int | None:
        """Event time in microseconds below which a value is expired now; None when values never expire."""
        if not self.ttl:
            return None
        return (datetime.now(UTC) - self.ttl - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Answer:
    """One view's rows in the order of the keys: event times in microseconds (None: no row), then values by column."""

    event_times: list[int | None]
    statuses: list[int]
    columns: list[list[Any]]


def read_query(reads: Sequence[ViewRead]) -> str:
    """One row per key asked for; a missing row gives nulls. Parameters: one array per key column."""
    keys = reads[0].table.keys
    outputs: list[str] = []
    joins: list[str] = []
    for i, read in enumerate(reads):
        outputs.append(f"(extract(epoch from view_{i}.{EVENT_TIME}) * {_MICROSECONDS})::bigint")
        outputs += [feature.codec.read.format(f"view_{i}.{quote(feature.name)}") for feature in read.features]
        same = [
            f"view_{i}.{quote(own.name)} = {key.codec.write.format(f'asked.key_{j}')}"
            for j, (own, key) in enumerate(zip(read.table.keys, keys, strict=True))
        ]
        joins.append(f"left join {read.table.path} as view_{i} on {' and '.join(same)}")
    arrays = ", ".join(f"%s::{_parameter_type(key)}[]" for key in keys)
    names = ", ".join(f"key_{i}" for i in range(len(keys)))
    return f"""
        select {", ".join(outputs)}
        from unnest({arrays}) with ordinality as asked ({names}, place)
        {" ".join(joins)}
        order by asked.place
    """


def key_arrays(table: WideTable, values: Mapping[str, Sequence[Any]]) -> list[list[Any]]:
    """The parameters of `read_query` from Feast's values by join key; an empty value is null and finds nothing."""
    return [[key.codec.encode(value) for value in values[key.name]] for key in table.keys]


def split_answers(reads: Sequence[ViewRead], rows: Sequence[tuple[Any, ...]]) -> list[Answer]:
    """Cut the query's rows into one answer per view."""
    columns = list(zip(*rows, strict=True)) if rows else []
    answers = []
    start = 0
    for read in reads:
        end = start + 1 + len(read.features)
        answers.append(_answer(read, columns[start:end]))
        start = end
    return answers


def _answer(read: ViewRead, columns: Sequence[Sequence[Any]]) -> Answer:
    if not columns:
        return Answer([], [], [[] for _ in read.features])
    event_times = list(columns[0])
    oldest = read.oldest
    statuses = [_status(event_time, oldest) for event_time in event_times]
    values = [
        decode_column(feature.codec, list(column)) for feature, column in zip(read.features, columns[1:], strict=True)
    ]
    if _EXPIRED in statuses:
        for column in values:
            column[:] = [
                NULL if status == _EXPIRED else value for status, value in zip(statuses, column, strict=True)
            ]
    return Answer(event_times, statuses, values)


def _status(event_time: int | None, oldest: int | None) -> int:
    if event_time is None:
        return _NOT_FOUND
    if oldest is not None and event_time < oldest:
        return _EXPIRED
    return _PRESENT


def _parameter_type(key: ValueColumn) -> str:
    return "bigint" if key.codec.sql_type == "timestamptz" else key.codec.sql_type
