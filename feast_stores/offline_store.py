"""Feast's Postgres offline store, with a point-in-time join that finishes."""

from typing import Literal

from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
)

from feast_stores.connection import ConnectionConfig


class PointInTimePostgresOfflineStoreConfig(ConnectionConfig, PostgreSQLOfflineStoreConfig):  # type: ignore[misc]
    """`connection` is a URL, `${NAME:-default}` allowed; `db_schema` is where unqualified tables are looked up."""

    type: Literal["feast_stores.offline_store.PointInTimePostgresOfflineStore"] = (
        "feast_stores.offline_store.PointInTimePostgresOfflineStore"
    )


class PointInTimePostgresOfflineStore(PostgreSQLOfflineStore):  # type: ignore[misc]  # Feast ships no types
    """Feast's Postgres offline store behind one connection URL."""
