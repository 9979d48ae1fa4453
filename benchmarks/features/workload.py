# ruff: noqa: S608 - the names are ours
"""Made-up data, and the same feature views in Feast's own stores and in ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import numpy as np
import psycopg
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int64
from psycopg.conninfo import conninfo_to_dict

from common.migrations import migrate

DATABASE = "bechdel_benchmark"
VIEWS = 2
FEATURES = 6  # per view: four floats, two integers
ZIPF_EXPONENT = 0.6  # at 100,000 rows Feast's own join takes about as long as on the product's film x genre shape
HEAVY_ZIPF_EXPONENT = 1.1  # one key of 10,000 has 15 % of the rows: 70 times as many pairs in Feast's own join
ROWS_PER_KEY = 10
FIRST_MOMENT = 1_577_836_800_000_000  # 2020-01-01 in microseconds
SPAN = 1000 * 86_400_000_000  # event times spread over 1,000 days

ENTITY = Entity(name="entity", join_keys=["entity_id"], value_type=ValueType.INT64)


@contextmanager
def benchmark_database(server_url: str) -> Iterator[str]:
    """URL of an empty database with our tables, on the server of `server_url`; dropped at the end."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {DATABASE} with (force)")
        connection.execute(f"create database {DATABASE}")
        url = f"{server_url.rsplit('/', 1)[0]}/{DATABASE}"
        try:
            migrate(url)
            yield url
        finally:
            connection.execute(f"drop database {DATABASE} with (force)")


@dataclass(frozen=True)
class Workload:
    """`rows` labels with zipf-distributed keys, and per view `versions` times as many feature rows."""

    rows: int
    versions: int
    zipf_exponent: float = ZIPF_EXPONENT

    @property
    def name(self) -> str:
        return f"zipf_{self.zipf_exponent:.1f}_{self.rows}_x{self.versions}".replace(".", "_")

    @property
    def labels_query(self) -> str:
        return f"select entity_id, event_timestamp, label from {self.name}_labels"

    @property
    def references(self) -> list[str]:
        return [f"{self.name}_v{view}:v{view}_f{i}" for view in range(VIEWS) for i in range(FEATURES)]

    def features_query(self, view: int) -> str:
        columns = ", ".join(f"v{view}_f{i}" for i in range(FEATURES))
        return f"select entity_id, event_timestamp, {columns} from {self.name}_v{view}"

    def create(self, url: str) -> None:
        """Fill the tables; a unique index on (key, event time) as the dbt models have it."""
        random = np.random.default_rng(20)
        with adbc.connect(url) as connection, connection.cursor() as cursor:
            for view in range(VIEWS):
                cursor.adbc_ingest(f"{self.name}_v{view}", self._features(random, view))
            cursor.adbc_ingest(f"{self.name}_labels", self._labels(random))
            connection.commit()
        with psycopg.connect(url, autocommit=True) as connection:
            for view in range(VIEWS):
                connection.execute(f"create unique index on {self.name}_v{view} (entity_id, event_timestamp)")
                connection.execute(f"vacuum analyze {self.name}_v{view}")
            connection.execute(f"vacuum analyze {self.name}_labels")

    def views(self) -> list[FeatureView]:
        return [feature_view(f"{self.name}_v{view}", f"v{view}_f") for view in range(VIEWS)]

    def _keys(self, random: np.random.Generator, count: int) -> Any:
        weights = 1 / np.arange(1, self.rows // ROWS_PER_KEY + 1) ** self.zipf_exponent
        return np.searchsorted(np.cumsum(weights / weights.sum()), random.random(count)).astype(np.int64)

    def _features(self, random: np.random.Generator, view: int) -> pa.Table:
        count = self.rows * self.versions
        moments = FIRST_MOMENT + random.integers(0, SPAN, count)
        columns: dict[str, Any] = {
            "entity_id": self._keys(random, count),
            "event_timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "created_timestamp": pa.array(moments + 3_600_000_000, pa.timestamp("us", "UTC")),
        }
        for i in range(FEATURES):
            columns[f"v{view}_f{i}"] = random.random(count) if i < 4 else random.integers(0, 1000, count)
        return pa.table(columns)

    def _labels(self, random: np.random.Generator) -> pa.Table:
        moments = FIRST_MOMENT + random.integers(0, SPAN, self.rows)
        return pa.table(
            {
                "entity_id": self._keys(random, self.rows),
                "event_timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
                "label": random.integers(0, 2, self.rows),
            }
        )


def feature_view(table: str, prefix: str) -> FeatureView:
    return FeatureView(
        name=table,
        entities=[ENTITY],
        ttl=timedelta(0),
        schema=[Field(name=f"{prefix}{i}", dtype=Float64 if i < 4 else Int64) for i in range(FEATURES)],
        source=PostgreSQLSource(
            name=table,
            table=table,
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        ),
    )


def create_latest_table(url: str, table: str, keys: int) -> FeatureView:
    """One row per key: what materialization and online reads are measured on."""
    columns = ", ".join(f"random() as o_f{i}" for i in range(4))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"""
            create table {table} as
            select
                number::bigint as entity_id,
                timestamptz '2020-01-01' + (number % 1000) * interval '1 hour' as event_timestamp,
                timestamptz '2023-01-01' as created_timestamp,
                {columns}, number::bigint as o_f4, (number % 1000)::bigint as o_f5
            from generate_series(1, {keys}) as number
        """)
        connection.execute(f"create unique index on {table} (entity_id, event_timestamp)")
        connection.execute(f"vacuum analyze {table}")
    return feature_view(table, "o_f")


def feasts_own_store(url: str, folder: Path) -> FeatureStore:
    """Feast's Postgres stores, with the settings that serve it best (pool, latest rows only, large batches)."""
    parts = conninfo_to_dict(url)
    database = {
        "type": "postgres", "host": parts["host"], "port": int(parts["port"]), "database": parts["dbname"],
        "user": parts["user"], "password": parts.get("password", "none"), "sslmode": parts.get("sslmode", "prefer"),
    }  # fmt: skip
    return _store(
        "feast",
        folder,
        offline_store={**database, "db_schema": "public"},
        online_store={**database, "db_schema": "online_feast", "conn_type": "pool"},
    )


def our_store(url: str, folder: Path) -> FeatureStore:
    return _store(
        "ours",
        folder,
        offline_store={
            "type": "feast_stores.offline_store.PointInTimePostgresOfflineStore",
            "connection": url,
            "db_schema": "public",
        },
        online_store={
            "type": "feast_stores.online_store.WidePostgresOnlineStore",
            "connection": url,
            "db_schema": "online_ours",
        },
        batch_engine={"type": "feast_stores.compute_engine.PostgresComputeEngine"},
    )


def _store(name: str, folder: Path, **stores: Any) -> FeatureStore:
    config = RepoConfig(
        project=name,
        registry=str(folder / f"{name}.db"),
        entity_key_serialization_version=3,
        materialization={"pull_latest_features": True, "online_write_batch_size": 10_000},
        **stores,
    )
    return FeatureStore(config=config)
