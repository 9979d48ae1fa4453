# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""PostgreSQL to Arrow and back through ADBC, which speaks COPY's binary format on both ways."""

import contextlib
import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import adbc_driver_postgresql.dbapi as adbc  # type: ignore[import-untyped]
import psycopg
import pyarrow as pa
from feast.type_map import pg_type_code_to_arrow
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from feast_stores.feature_source import quote

BATCH_BYTES = 16 * 1024 * 1024
_NO_ADBC_TYPE = {  # PostgreSQL's type: the type to send it as
    "numeric": "double precision",  # what Feast makes of it
    "smallint": "integer",
    "date": "timestamp",
    "character": "text",
    "uuid": "text",
    "json": "text",
    "jsonb": "text",
}

_UNIQUE_INDEX = """
    select 1
    from pg_index as index
    where index.indrelid = to_regclass(%(relation)s)
        and index.indisunique and index.indisvalid and index.indpred is null and index.indexprs is null
        and %(columns)s::text[] @> (
            select array_agg(attribute.attname::text)
            from pg_attribute as attribute
            where attribute.attrelid = index.indrelid and attribute.attnum = any(index.indkey)
        )
"""


class ArrowConnection:
    """A database in UTC; unqualified tables are looked up in `schema`, then in public."""

    def __init__(self, connection: str, schema: str) -> None:
        options = conninfo_to_dict(connection).get("options") or ""
        self.conninfo = make_conninfo(
            connection, options=f"{options} -c search_path={schema},public -c timezone=UTC".strip()
        )

    @cached_property
    def _session(self) -> Any:
        """Carries the rows."""
        return adbc.connect(self.conninfo)

    @cached_property
    def _catalog(self) -> psycopg.Connection[Any]:
        """Answers small questions: ADBC has no prepared ones and no column types of PostgreSQL."""
        return psycopg.connect(self.conninfo, autocommit=True)

    @classmethod
    @contextlib.contextmanager
    def open(cls, config: Any) -> Iterator["ArrowConnection"]:
        """A session for a store's configuration, closed at the end; what it wrote is rolled back."""
        connection = cls(config.connection, config.db_schema)
        try:
            yield connection
        finally:
            connection.close()

    def close(self) -> None:
        for name in ("_session", "_catalog"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The query's rows as Arrow batches of about 16 MB; the first is empty and tells the columns."""
        options = {"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
        with self._session.cursor(adbc_stmt_kwargs=options) as cursor:
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
            yield from reader

    def table(self, query: str) -> pa.Table:
        """The query's rows in one Arrow table."""
        with self._session.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetch_arrow_table()

    def plan(self, query: str) -> dict[str, Any]:
        """The planner's root node for the query, estimates only."""
        with self._session.cursor(adbc_stmt_kwargs={"adbc.postgresql.use_copy": "false"}) as cursor:
            cursor.execute(f"explain (format json) {query}")
            answer = cursor.fetch_arrow_table().column(0)[0].as_py()
        root: dict[str, Any] = json.loads(answer)[0]["Plan"]
        return root

    def create_temporary(self, name: str, rows: pa.Table) -> None:
        """A temporary table with statistics, in place of an earlier one, gone with the session."""
        with self._session.cursor() as cursor:
            cursor.adbc_ingest(name, rows, mode="replace", temporary=True)
            cursor.execute(f"analyze {quote(name)}")

    def describe(self, relation: str, columns: list[str] | None = None) -> "dict[str, Column]":
        """The relation's columns and their types, all of them unless named."""
        names = ", ".join(map(quote, columns)) if columns is not None else "*"
        found = self._catalog.execute(f"select {names} from {relation} limit 0").description or []
        return {item.name: Column(item.name, item.type_code) for item in found}

    def is_unique(self, relation: str, columns: list[str]) -> bool:
        """Whether a unique index of the table spans these columns or fewer; a query has no index."""
        if relation.startswith("("):
            return False
        found = self._catalog.execute(_UNIQUE_INDEX, {"relation": relation, "columns": columns})
        return found.fetchone() is not None


class Column:
    """How a column of PostgreSQL travels, and as what Feast hands it out."""

    def __init__(self, name: str, type_code: int) -> None:
        self.name = name
        known = psycopg.adapters.types.get(type_code)
        self.postgres_type = known.regtype if known else "text"
        self.arrow_type: pa.DataType = pg_type_code_to_arrow(type_code)

    @property
    def quoted(self) -> str:
        return quote(self.name)

    @property
    def expression(self) -> str:
        """The column in a select list, in a type that ADBC carries."""
        cast = _NO_ADBC_TYPE.get(self.postgres_type)
        return f"{self.quoted}::{cast}" if cast else self.quoted
