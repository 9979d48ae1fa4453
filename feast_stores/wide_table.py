"""The table behind a feature view online: one row per entity key, one typed column per feature."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from feast.feature_view import DUMMY_ENTITY_FIELD
from feast.infra.online_stores.helpers import compute_table_id
from feast.repo_config import RepoConfig

from feast_stores.feature_source import quote
from feast_stores.values import ValueColumn

EVENT_TIME = "_event_ts"
CREATED_TIME = "_created_ts"
_LONGEST_NAME = 63  # PostgreSQL cuts longer identifiers, so that two views could meet in one table


@dataclass(frozen=True)
class WideTable:
    """Where a feature view lives online."""

    schema: str
    name: str
    keys: tuple[ValueColumn, ...]
    features: tuple[ValueColumn, ...]

    @classmethod
    def of(cls, config: RepoConfig, view: Any) -> "WideTable":
        versioned = config.registry.enable_online_feature_view_versioning
        return cls(
            schema=config.online_store.db_schema,
            name=_short(compute_table_id(config.project, view, versioned)),
            keys=tuple(ValueColumn.from_field(field) for field in view.entity_columns or [DUMMY_ENTITY_FIELD]),
            features=tuple(ValueColumn.from_field(field) for field in view.features),
        )

    @property
    def path(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def is_plain(self) -> bool:
        """Whether plain SQL can fill every column."""
        return all(column.codec.is_plain for column in (*self.keys, *self.features))

    def chosen(self, names: Iterable[str]) -> tuple[ValueColumn, ...]:
        """The features of these names, in the table's order."""
        wanted = set(names)
        return tuple(feature for feature in self.features if feature.name in wanted)

    def insert(self, rows: str, features: Sequence[ValueColumn]) -> str:
        """Write `rows`, a query of keys, features and both times with one row per key, of which none is stored."""
        columns = [*(quote(column.name) for column in (*self.keys, *features)), EVENT_TIME, CREATED_TIME]
        return f"insert into {self.path} as stored ({', '.join(columns)}) {rows}"

    def upsert(self, rows: str, features: Sequence[ValueColumn]) -> str:
        """As `insert`, into what is stored.

        An older row never replaces a newer one; between equal event times the later written wins, and a row that
        would change nothing is not touched.
        """
        changed = [*(quote(feature.name) for feature in features), EVENT_TIME, CREATED_TIME]
        updates = ", ".join(f"{column} = excluded.{column}" for column in changed)
        old = ", ".join(f"stored.{column}" for column in changed)
        new = ", ".join(f"excluded.{column}" for column in changed)
        return f"""
            {self.insert(rows, features)}
            on conflict ({", ".join(quote(key.name) for key in self.keys)}) do update set {updates}
            where (
                    excluded.{EVENT_TIME} > stored.{EVENT_TIME}
                    or excluded.{EVENT_TIME} = stored.{EVENT_TIME}
                    and (excluded.{CREATED_TIME} >= stored.{CREATED_TIME}) is not false
                )
                and ({old}) is distinct from ({new})
        """  # nosec B608 - identifiers are quoted, values travel as parameters

    def lock_if_empty(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether the table is empty, and stays so for other writers while the transaction lasts; readers go on."""
        if not self._is_empty(connection):
            return False
        connection.execute(f"lock table {self.path} in share row exclusive mode")
        return self._is_empty(connection)

    def create_or_alter(self, connection: psycopg.Connection[Any]) -> None:
        """Bring the table to the view's definition: values of unchanged features stay."""
        found = self._found_columns(connection)
        keys = {key.name: key.codec.sql_type for key in self.keys}
        fixed = {**keys, EVENT_TIME: "timestamptz", CREATED_TIME: "timestamptz"}
        if found and any(found.get(name) != sql_type for name, sql_type in fixed.items()):
            self.drop(connection)  # other keys: nothing stored fits
            found = {}
        if not found:
            connection.execute(self._create())
            return
        wanted = {feature.name: feature.codec.sql_type for feature in self.features}
        gone = [name for name in found if name not in fixed and found[name] != wanted.get(name)]
        new = [name for name in wanted if found.get(name) != wanted[name]]
        changes = [f"drop column {quote(name)}" for name in gone]
        changes += [f"add column {quote(name)} {wanted[name]}" for name in new]
        if changes:
            connection.execute(f"alter table {self.path} {', '.join(changes)}")

    def drop(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"drop table if exists {self.path}")

    def _create(self) -> str:
        columns = [f"{quote(key.name)} {key.codec.sql_type} not null" for key in self.keys]
        columns += [f"{quote(feature.name)} {feature.codec.sql_type}" for feature in self.features]
        columns += [f"{EVENT_TIME} timestamptz not null", f"{CREATED_TIME} timestamptz"]
        keys = ", ".join(quote(key.name) for key in self.keys)
        return f"create table {self.path} ({', '.join(columns)}, primary key ({keys}))"

    def _is_empty(self, connection: psycopg.Connection[Any]) -> bool:
        return connection.execute(f"select from {self.path} limit 1").fetchone() is None  # nosec B608 - quoted

    def _found_columns(self, connection: psycopg.Connection[Any]) -> dict[str, str]:
        """The stored table's columns and types by the names used here; empty when there is no table."""
        rows = connection.execute(
            """
            select attname, replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz')
            from pg_attribute
            where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
            """,
            [self.path],
        )
        return dict(rows.fetchall())


def _short(name: str) -> str:
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name.encode()[: _LONGEST_NAME - 13].decode(errors='ignore')}_{digest}"
