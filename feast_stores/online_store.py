"""Feast's Postgres online store, with one wide row per entity key."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import psycopg
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
)
from feast.infra.utils.postgres.connection_utils import _get_connection_pool
from feast.infra.utils.postgres.postgres_config import ConnectionType
from feast.repo_config import RepoConfig

from feast_stores.connection import ConnectionConfig


class WidePostgresOnlineStoreConfig(ConnectionConfig, PostgreSQLOnlineStoreConfig):  # type: ignore[misc]
    """`connection` is a URL, `${NAME:-default}` allowed; the tables live in `db_schema`."""

    type: Literal["feast_stores.online_store.WidePostgresOnlineStore"] = (
        "feast_stores.online_store.WidePostgresOnlineStore"
    )
    conn_type: ConnectionType = ConnectionType.pool  # a single connection never recovers from a lost server


class WidePostgresOnlineStore(PostgreSQLOnlineStore):  # type: ignore[misc]  # Feast ships no types
    """Feast's Postgres online store behind one connection URL."""

    @contextlib.contextmanager
    def _get_conn(self, config: RepoConfig, autocommit: bool = False) -> Iterator[psycopg.Connection[Any]]:
        if not self._conn_pool:
            self._conn_pool = _get_connection_pool(config.online_store)
            self._conn_pool.open()
        with self._conn_pool.connection() as connection:
            connection.set_autocommit(autocommit)
            yield connection
