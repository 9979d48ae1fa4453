# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""Online reads: one query for all views that share their keys, answers in the order of the keys asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.repo_config import RepoConfig

from feast_stores.feature_source import quote
from feast_stores.values import ValueColumn
from feast_stores.wide_table import EVENT_TIME, WideTable

MICROSECONDS = 1_000_000
_PRESENT = int(FieldStatus.PRESENT)
_NOT_FOUND = int(FieldStatus.NOT_FOUND)
_EXPIRED = int(FieldStatus.OUTSIDE_MAX_AGE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ViewRead:
    """What one view contributes to a read; `names` are its features' names in the response."""

    table: WideTable
    features: tuple[ValueColumn, ...]
    names: tuple[str, ...]
    ttl: timedelta | None

    @classmethod
    def of(
        cls, config: RepoConfig, view: Any, features: Sequence[str] | None = None, *, full_feature_names: bool = False
    ) -> "ViewRead":
        """Some features of a feature view, all unless named."""
        table = WideTable.of(config, view)
        known = {feature.name: feature for feature in table.features}
        chosen = tuple(known[name] for name in features) if features else table.features
        prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
        return cls(table, chosen, tuple(prefix + feature.name for feature in chosen), getattr(view, "ttl", None))

    @property
    def oldest(self) -> int | None:
        """Event time in microseconds below which a value is expired now; None when values never expire."""
        if not self.ttl:
            return None
        return (datetime.now(UTC) - self.ttl - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class KeyGroup:
    """Views that are asked for the same keys: one query reads them.

    `columns` are the request's columns that hold the keys, in the order of the tables' keys; `places` are the views'
    positions in the request.
    """

    columns: tuple[str, ...]
    places: tuple[int, ...]
    reads: tuple[ViewRead, ...]
    query: str

    def parameters(self, values: Mapping[str, Sequence[Any]]) -> list[list[Any]]:
        """One array per key from Feast's values by column; an empty value is null and finds nothing."""
        keys = self.reads[0].table.keys
        return [
            [key.codec.encode(value) for value in values[column]]
            for key, column in zip(keys, self.columns, strict=True)
        ]


@dataclass(frozen=True)
class Answer:
    """One view's rows in the order of the keys, by column.

    Event times are in microseconds, None where there is no row. Values are as PostgreSQL gives them, None also where
    they are expired.
    """

    read: ViewRead
    event_times: Sequence[int | None]
    statuses: Sequence[int]
    columns: Sequence[Sequence[Any]]

    def named_columns(self) -> Iterator[tuple[str, ValueColumn, Sequence[Any]]]:
        """Each feature with its name in the response and its values."""
        return zip(self.read.names, self.read.features, self.columns, strict=True)

    def rows(self) -> list[tuple[datetime | None, dict[str, Any] | None]]:
        """What Feast's `online_read` returns: an expired row is like none."""
        columns = {feature.name: feature.as_feast(column) for _, feature, column in self.named_columns()}
        return [
            (_EPOCH + timedelta(microseconds=event_time), {name: column[i] for name, column in columns.items()})
            if event_time is not None and status == _PRESENT
            else (None, None)
            for i, (event_time, status) in enumerate(zip(self.event_times, self.statuses, strict=True))
        ]


def group_by_keys(reads: Sequence[ViewRead], columns: Sequence[tuple[str, ...]]) -> list[KeyGroup]:
    """The views that take keys of the same types from the same columns of the request, together."""
    groups: dict[tuple[tuple[str, ...], ...], list[int]] = {}
    for place, (read, names) in enumerate(zip(reads, columns, strict=True)):
        types = tuple(key.codec.sql_type for key in read.table.keys)
        groups.setdefault((names, types), []).append(place)
    return [
        KeyGroup(names, tuple(places), tuple(reads[place] for place in places), _query([reads[i] for i in places]))
        for (names, _), places in groups.items()
    ]


def _query(reads: Sequence[ViewRead]) -> str:
    """One row per key asked for; a missing row gives nulls. Parameters: one array per key column."""
    keys = reads[0].table.keys
    outputs: list[str] = []
    joins: list[str] = []
    for i, read in enumerate(reads):
        outputs.append(f"(extract(epoch from view_{i}.{EVENT_TIME}) * {MICROSECONDS})::bigint")
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


def split_answers(reads: Sequence[ViewRead], rows: Sequence[tuple[Any, ...]]) -> list[Answer]:
    """Cut the query's rows into one answer per view."""
    width = sum(1 + len(read.features) for read in reads)
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    answers = []
    start = 0
    for read in reads:
        end = start + 1 + len(read.features)
        answers.append(_answer(read, columns[start], columns[start + 1 : end]))
        start = end
    return answers


def _answer(read: ViewRead, event_times: Sequence[int | None], columns: Sequence[Sequence[Any]]) -> Answer:
    oldest = read.oldest
    statuses = [_status(event_time, oldest) for event_time in event_times]
    if _EXPIRED in statuses:
        columns = [
            [None if status == _EXPIRED else value for status, value in zip(statuses, column, strict=True)]
            for column in columns
        ]
    return Answer(read, event_times, statuses, columns)


def _status(event_time: int | None, oldest: int | None) -> int:
    if event_time is None:
        return _NOT_FOUND
    if oldest is not None and event_time < oldest:
        return _EXPIRED
    return _PRESENT


def _parameter_type(key: ValueColumn) -> str:
    return "bigint" if key.codec.sql_type == "timestamptz" else key.codec.sql_type
