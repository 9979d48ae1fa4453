"""The point-in-time join: Feast's store, ours, and DuckDB's bare ASOF join over the same tables."""

import time
from dataclasses import dataclass

import adbc_driver_postgresql.dbapi as adbc
import duckdb
import psycopg
from feast import FeatureStore

from benchmarks.features.memory import MEBIBYTE, peak_memory
from benchmarks.features.workload import ENTITY, FEATURES, VIEWS, Workload


@dataclass(frozen=True)
class JoinResult:
    """The best run. `temporary_mb` is what PostgreSQL wrote to temporary files, `memory_mb` our process's growth."""

    engine: str
    rows: int
    versions: int
    zipf_exponent: float
    seconds: float
    temporary_mb: float
    memory_mb: float


def measure_join(engine: str, store: FeatureStore | None, workload: Workload, url: str, *, runs: int) -> JoinResult:
    """The best of some runs, from an SQL entity frame to a pandas frame."""
    if store is not None:
        store.apply([ENTITY, *workload.views()])
    before = _temporary_bytes(url)
    seconds = []
    with peak_memory(url) as memory:
        for _ in range(runs):
            started = time.perf_counter()
            rows = _run(store, workload, url)
            seconds.append(time.perf_counter() - started)
            if rows != workload.rows:
                raise RuntimeError(f"{engine} returned {rows} rows for {workload.rows} labels")
    temporary = (_temporary_bytes(url) - before) / runs / MEBIBYTE
    return JoinResult(
        engine,
        workload.rows,
        workload.versions,
        workload.zipf_exponent,
        min(seconds),
        temporary,
        memory.process_mb,
    )


def _run(store: FeatureStore | None, workload: Workload, url: str) -> int:
    if store is None:
        return _duckdb_asof(workload, url)
    job = store.get_historical_features(entity_df=workload.labels_query, features=workload.references)
    return len(job.to_df())


def _duckdb_asof(workload: Workload, url: str) -> int:
    """What a script by hand would do: load everything as Arrow, join, make a frame."""
    tables = {}
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        for name, query in [
            ("labels", workload.labels_query),
            *((f"v{view}", workload.features_query(view)) for view in range(VIEWS)),
        ]:
            cursor.execute(query)
            tables[name] = cursor.fetch_arrow_table()
    with duckdb.connect() as database:
        for name, table in tables.items():
            database.register(name, table)
        columns = ", ".join(f"v{view}.v{view}_f{i}" for view in range(VIEWS) for i in range(FEATURES))
        joins = " ".join(
            f"asof left join v{view} on labels.entity_id = v{view}.entity_id "
            f"and labels.event_timestamp >= v{view}.event_timestamp"
            for view in range(VIEWS)
        )
        query = f"select labels.*, {columns} from labels {joins}"  # noqa: S608 - the names are ours
        return len(database.sql(query).to_arrow_table().to_pandas())


def _temporary_bytes(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        time.sleep(1.1)  # sessions that ended report within a second
        row = connection.execute(
            "select temp_bytes from pg_stat_database where datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0
