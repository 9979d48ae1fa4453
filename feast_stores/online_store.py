"""A Feast online store on PostgreSQL with one wide row per entity key.

Differences to Feast's own: values past their ttl are not served (their status says why), an older write never
replaces a newer one, a lost connection is replaced, and an empty key finds nothing instead of raising.
"""

import asyncio
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

import psycopg
from feast import Entity, FeatureService, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.utils.postgres.postgres_config import ConnectionType
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.utils import _get_table_entity_values, _prepare_entities_to_read_from_online_store
from psycopg_pool import ConnectionPool

from feast_stores.connection import ConnectionConfig, ensure_schema
from feast_stores.online_read import Answer, KeyGroup, ViewRead, group_by_keys, split_answers
from feast_stores.online_response import QuickOnlineResponse, add_features
from feast_stores.online_write import Row, write_rows
from feast_stores.wide_table import WideTable

_MOST_PLANS = 256


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
        self._plans: dict[tuple[Any, ...], tuple[list[KeyGroup], list[FeatureView]]] = {}

    # reading

    def get_online_features(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: list[dict[str, Any]] | Mapping[str, Any],
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """Stored features are answered from their columns; a request for more than that goes Feast's own way."""
        columns = _as_columns(entity_rows)
        is_plain = not include_feature_view_version_metadata and not getattr(features, "precompute_online", False)
        if columns and is_plain and not _is_measured():
            keys, views, key_names, on_demand_views, _, _, response = _prepare_entities_to_read_from_online_store(
                registry, project, features, columns, full_feature_names
            )
            if not on_demand_views:
                self._check_versioned_read_support(views)
                plan = self._plan(config, views, key_names, tuple(keys), full_feature_names=full_feature_names)
                return QuickOnlineResponse(response, self._answers(config, plan, keys))
        return super().get_online_features(
            config,
            features,
            entity_rows,
            registry,
            project,
            full_feature_names,
            include_feature_view_version_metadata,
        )

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
        """Fill the response on Feast's own way."""
        columns = tuple(join_key_values)
        plan = self._plan(
            config, grouped_refs, entity_name_to_join_key_map, columns, full_feature_names=full_feature_names
        )
        answers = self._answers(config, plan, join_key_values)
        for (view, _), answer in zip(grouped_refs, answers, strict=True):
            add_features(online_features_response, answer)
            if include_feature_view_version_metadata:
                _add_version(online_features_response, view)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        read = ViewRead.of(config, table, requested_features)
        values: dict[str, list[Value]] = {key.name: [] for key in read.table.keys}
        for entity_key in entity_keys:
            for name, value in zip(entity_key.join_keys, entity_key.entity_values, strict=True):
                values[name].append(value)
        [answer] = self._answers(config, group_by_keys([read], [tuple(values)]), values)
        return answer.rows()

    async def get_online_features_async(self, *args: Any, **kwargs: Any) -> OnlineResponse:
        """The same in a thread: the answers are those of `get_online_features`, and its pool is shared."""
        return await asyncio.to_thread(self.get_online_features, *args, **kwargs)

    async def online_read_async(self, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(self.online_read, *args, **kwargs)

    def _plan(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        key_names: dict[str, str],
        columns: tuple[str, ...],
        *,
        full_feature_names: bool,
    ) -> list[KeyGroup]:
        """How to read these views for a request with these columns of keys; found once."""
        shape = (full_feature_names, columns, *((id(view), *names) for view, names in grouped_refs))
        known = self._plans.get(shape)
        if known is None:
            reads = [
                ViewRead.of(config, view, names, full_feature_names=full_feature_names)
                for view, names in grouped_refs
            ]
            views = [view for view, _ in grouped_refs]
            asked = [_key_columns(read, view, key_names, columns) for read, view in zip(reads, views, strict=True)]
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            known = self._plans[shape] = (group_by_keys(reads, asked), views)  # held, so that their ids stay theirs
        return known[0]

    def _answers(self, config: RepoConfig, plan: list[KeyGroup], values: Mapping[str, list[Value]]) -> list[Answer]:
        """One answer per view, in the order of the request."""
        answers: dict[int, Answer] = {}
        for group in plan:
            rows = self._fetch(config, group.query, group.parameters(values))
            answers.update(zip(group.places, split_answers(group.reads, rows), strict=True))
        return [answers[place] for place in sorted(answers)]

    def _fetch(self, config: RepoConfig, query: str, parameters: list[list[Any]]) -> list[tuple[Any, ...]]:
        pool = self._pool(config)
        try:
            return _fetch_once(pool, query, parameters)
        except psycopg.NotSupportedError:  # the table was given other types after this connection had prepared
            return _fetch_once(pool, query, parameters, prepare=False)
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

    async def online_write_batch_async(self, *args: Any, **kwargs: Any) -> None:
        await asyncio.to_thread(self.online_write_batch, *args, **kwargs)

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

    async def close(self) -> None:
        """What `feast serve` and `FeatureStore.close` call at their end."""
        await asyncio.to_thread(self.disconnect)

    def disconnect(self) -> None:
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


def _fetch_once(pool: Any, query: str, parameters: list[list[Any]], *, prepare: bool = True) -> list[tuple[Any, ...]]:
    with pool.connection() as connection, connection.cursor(binary=True) as cursor:
        try:
            cursor.execute(query, parameters, prepare=prepare)
        except psycopg.NotSupportedError:
            connection.close()  # its statements are of old tables; the pool opens another
            raise
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _as_columns(entity_rows: list[dict[str, Any]] | Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The request by column; None when its rows do not fit each other, which Feast has words for."""
    if not isinstance(entity_rows, list):
        return entity_rows
    names = entity_rows[0].keys() if entity_rows else ()
    if any(row.keys() != names for row in entity_rows):
        return None
    return {name: [row[name] for row in entity_rows] for name in names}


def _is_measured() -> bool:
    """Whether `feast serve` counts reads: Feast's own way does."""
    metrics = sys.modules.get("feast.metrics")
    return metrics is not None and bool(metrics._config.online_features)


def _key_columns(
    read: ViewRead, view: FeatureView, key_names: dict[str, str], columns: tuple[str, ...]
) -> tuple[str, ...]:
    """The request's column for each key of the view's table."""
    found = _get_table_entity_values(view, key_names, {column: column for column in columns})
    missing = [key.name for key in read.table.keys if key.name not in found]
    if missing:
        raise KeyError(f"The entity rows lack {', '.join(missing)}, which {view.name} is looked up by.")
    return tuple(found[key.name] for key in read.table.keys)


def _add_version(response: GetOnlineFeaturesResponse, view: FeatureView) -> None:
    name = view.projection.name_alias or view.projection.name
    if name not in [known.name for known in response.metadata.feature_view_metadata]:
        version = getattr(view, "current_version_number", 0) or 0
        response.metadata.feature_view_metadata.add(name=name, version=version)
