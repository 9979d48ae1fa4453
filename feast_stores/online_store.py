"""A Feast online store on PostgreSQL with one wide row per entity key.

Differences to Feast's own: values past their ttl are not served (their status says why), an older write never
replaces a newer one, a lost connection is replaced, and an empty key finds nothing instead of raising.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
from feast import Entity, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.utils.postgres.postgres_config import ConnectionType
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.utils import _get_table_entity_values
from google.protobuf.timestamp_pb2 import Timestamp
from psycopg_pool import ConnectionPool

from feast_stores.connection import ConnectionConfig, ensure_schema
from feast_stores.online_read import EPOCH, Answer, ViewRead, key_arrays, read_query, split_answers
from feast_stores.online_response import QuickOnlineResponse
from feast_stores.online_write import Row, write_rows
from feast_stores.wide_table import WideTable


class WidePostgresOnlineStoreConfig(ConnectionConfig):
    """`connection` is a URL, `${NAME:-default}` allowed; the tables live in `db_schema`."""

    type: Literal["feast_stores.online_store.WidePostgresOnlineStore"] = (
        "feast_stores.online_store.WidePostgresOnlineStore"
    )
    conn_type: ConnectionType = ConnectionType.pool


class WidePostgresOnlineStore(OnlineStore):  # type: ignore[misc]  # Feast ships no types
    """Online features in typed columns."""

    def __init__(self) -> None:
        self._pools: dict[str, ConnectionPool[psycopg.Connection[Any]]] = {}
        self._queries: dict[tuple[Any, ...], str] = {}

    # reading

    def get_online_features(self, *args: Any, **kwargs: Any) -> OnlineResponse:
        response = super().get_online_features(*args, **kwargs)
        return QuickOnlineResponse(response.proto, response._feature_types)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        read = _view_read(config, table, requested_features)
        values: dict[str, list[Value]] = {key.name: [] for key in read.table.keys}
        for entity_key in entity_keys:
            for name, value in zip(entity_key.join_keys, entity_key.entity_values, strict=True):
                values[name].append(value)
        [answer] = self._answers(config, [read], key_arrays(read.table, values))
        return _as_rows(read, answer)

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        join_key_values: dict[str, list[Value]],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: GetOnlineFeaturesResponse,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """Fill Feast's response: one query for all views that are asked for the same keys."""
        reads = [_view_read(config, view, features) for view, features in grouped_refs]
        arrays = [
            key_arrays(read.table, _get_table_entity_values(view, entity_name_to_join_key_map, join_key_values))
            for read, (view, _) in zip(reads, grouped_refs, strict=True)
        ]
        answers: dict[int, Answer] = {}
        for group in _same_keys(reads, arrays):
            found = self._answers(config, [reads[i] for i in group], arrays[group[0]])
            answers.update(zip(group, found, strict=True))
        for i, (view, _) in enumerate(grouped_refs):
            _fill(online_features_response, view, reads[i], answers[i], full_feature_names=full_feature_names)
            if include_feature_view_version_metadata:
                _add_version(online_features_response, view)

    def _answers(self, config: RepoConfig, reads: Sequence[ViewRead], arrays: list[list[Any]]) -> list[Answer]:
        shape = tuple((read.table.path, read.features) for read in reads)
        query = self._queries.get(shape)
        if query is None:
            query = self._queries[shape] = read_query(reads)
        return split_answers(reads, self._fetch(config, query, arrays))

    def _fetch(self, config: RepoConfig, query: str, parameters: list[list[Any]]) -> list[tuple[Any, ...]]:
        pool = self._pool(config)
        try:
            return _fetch_once(pool, query, parameters)
        except psycopg.OperationalError:
            pool.check()  # the server went away: drop every dead connection, then ask again
            return _fetch_once(pool, query, parameters)

    # writing

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        with self.transaction(config) as connection:
            write_rows(connection, WideTable.of(config, table), data)
        if progress:
            progress(len(data))

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],  # noqa: ARG002 - Feast's signature
        entities_to_keep: Sequence[Entity],  # noqa: ARG002
        partial: bool,  # noqa: ARG002
    ) -> None:
        with self.transaction(config) as connection:
            ensure_schema(connection, config.online_store.db_schema)
            for view in tables_to_delete:
                WideTable.of(config, view).drop(connection)
            for view in tables_to_keep:
                WideTable.of(config, view).create_or_alter(connection)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:  # noqa: ARG002
        with self.transaction(config) as connection:
            for view in tables:
                WideTable.of(config, view).drop(connection)

    @contextmanager
    def transaction(self, config: RepoConfig) -> Iterator[psycopg.Connection[Any]]:
        """A connection in a transaction of its own: all of it is seen by readers, or nothing."""
        pool = self._pool(config)
        pool.check()
        with pool.connection() as connection, connection.transaction():
            yield connection

    def close(self) -> None:
        """Give the connections back; the next call opens new ones."""
        while self._pools:
            self._pools.popitem()[1].close()

    def _pool(self, config: RepoConfig) -> "ConnectionPool[psycopg.Connection[Any]]":
        settings = config.online_store
        pool = self._pools.get(settings.connection)
        if pool is None:
            pool = self._pools[settings.connection] = ConnectionPool(
                settings.connection,
                min_size=settings.min_conn,
                max_size=settings.max_conn,
                kwargs={"autocommit": True, "options": "-c timezone=UTC -c plan_cache_mode=force_generic_plan"},
                open=True,
            )
            weakref.finalize(self, pool.close)  # Feast has no moment at which a store is closed
        return pool


def _fetch_once(pool: Any, query: str, parameters: list[list[Any]]) -> list[tuple[Any, ...]]:
    with pool.connection() as connection, connection.cursor(binary=True) as cursor:
        cursor.execute(query, parameters, prepare=True)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _view_read(config: RepoConfig, view: FeatureView, names: list[str] | None) -> ViewRead:
    table = WideTable.of(config, view)
    features = {feature.name: feature for feature in table.features}
    chosen = tuple(features[name] for name in names) if names else table.features
    return ViewRead(table, chosen, getattr(view, "ttl", None))


def _same_keys(reads: Sequence[ViewRead], arrays: Sequence[list[list[Any]]]) -> list[list[int]]:
    """Positions of the views that ask for the same values of the same kind of key."""
    groups: list[list[int]] = []
    for i, read in enumerate(reads):
        types = [key.codec.sql_type for key in read.table.keys]
        for group in groups:
            first = reads[group[0]].table.keys
            if [key.codec.sql_type for key in first] == types and arrays[group[0]] == arrays[i]:
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _fill(
    response: GetOnlineFeaturesResponse,
    view: FeatureView,
    read: ViewRead,
    answer: Answer,
    *,
    full_feature_names: bool,
) -> None:
    prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
    response.metadata.feature_names.val.extend(prefix + feature.name for feature in read.features)
    times = [_timestamp(event_time) for event_time in answer.event_times]
    for values in answer.columns:
        response.results.add(values=values, statuses=answer.statuses, event_timestamps=times)


def _add_version(response: GetOnlineFeaturesResponse, view: FeatureView) -> None:
    name = view.projection.name_alias or view.projection.name
    if name not in [known.name for known in response.metadata.feature_view_metadata]:
        version = getattr(view, "current_version_number", 0) or 0
        response.metadata.feature_view_metadata.add(name=name, version=version)


def _timestamp(microseconds: int | None) -> Timestamp:
    if microseconds is None:
        return Timestamp()
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def _as_rows(read: ViewRead, answer: Answer) -> list[tuple[datetime | None, dict[str, Value] | None]]:
    """What `online_read` returns: an expired row is like none."""
    oldest = read.oldest
    rows: list[tuple[datetime | None, dict[str, Value] | None]] = []
    for i, event_time in enumerate(answer.event_times):
        if event_time is None or (oldest is not None and event_time < oldest):
            rows.append((None, None))
            continue
        values = {feature.name: column[i] for feature, column in zip(read.features, answer.columns, strict=True)}
        rows.append((EPOCH + timedelta(microseconds=event_time), values))
    return rows
