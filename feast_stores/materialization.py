# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""Materialization as one SQL statement: from the source table into the wide online table of the same database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

from feast_stores.feature_source import quote
from feast_stores.values import ValueColumn
from feast_stores.wide_table import CREATED_TIME, EVENT_TIME, WideTable

# for the sort of the newest rows; the server's default of 4 MB spills at 30,000 rows
_WORK_MEMORY = "128MB"


@dataclass(frozen=True)
class Materialization:
    """The newest row of every key within a span of event times, ends included.

    `columns` maps the names of keys and features to the source's columns; `schema` is where an unqualified
    `relation` is looked up.
    """

    relation: str
    schema: str
    columns: dict[str, str]
    event_time: str
    created_time: str | None
    start: datetime
    end: datetime

    @classmethod
    def of(cls, view: Any, schema: str, start: datetime, end: datetime) -> "Materialization":
        source = view.batch_source
        original = {name: column for column, name in source.field_mapping.items()}
        names = [*(field.name for field in view.entity_columns), *(field.name for field in view.features)]
        return cls(
            relation=source.get_table_query_string(),
            schema=schema,
            columns={name: original.get(name, name) for name in names},
            event_time=original.get(source.timestamp_field, source.timestamp_field),
            created_time=original.get(source.created_timestamp_column, source.created_timestamp_column) or None,
            start=start,
            end=end,
        )

    def run(self, connection: psycopg.Connection[Any], table: WideTable) -> int:
        """Write the rows within the connection's transaction; returns how many were new or changed."""
        connection.execute("select set_config('search_path', %s, true)", [f"{quote(self.schema)}, public"])
        connection.execute("select set_config('work_mem', %s, true)", [_WORK_MEMORY])
        # into an empty table without looking for conflicts: half the work
        write = table.insert if table.lock_if_empty(connection) else table.upsert
        statement = write(self._newest_rows(table), table.features)
        return connection.execute(statement, {"start": self.start, "end": self.end}).rowcount

    def _newest_rows(self, table: WideTable) -> str:
        outputs = [f"{self._output(column)} as {quote(column.name)}" for column in (*table.keys, *table.features)]
        event_time = f"{quote(self.event_time)}::timestamptz"
        created_time = f"{quote(self.created_time)}::timestamptz" if self.created_time else "null::timestamptz"
        keys = self._key_columns(table.keys)
        known_keys = "".join(f" and {key} is not null" for key in keys)
        newest_first = [*keys, f"{event_time} desc", f"{created_time} desc nulls last"]
        return f"""
            select distinct on ({", ".join(keys) or "true"})
                {", ".join(outputs)}, {event_time} as {EVENT_TIME}, {created_time} as {CREATED_TIME}
            from {self.relation} as source
            where {event_time} between %(start)s::timestamptz and %(end)s::timestamptz{known_keys}
            order by {", ".join(newest_first if keys else ["true", *newest_first])}
        """

    def _key_columns(self, keys: Sequence[ValueColumn]) -> list[str]:
        return [quote(self.columns[key.name]) for key in keys if key.name in self.columns]

    def _output(self, column: ValueColumn) -> str:
        if column.name == DUMMY_ENTITY_ID:
            return f"'{DUMMY_ENTITY_VAL}'::text"
        return f"{quote(self.columns[column.name])}::{column.codec.sql_type}"
