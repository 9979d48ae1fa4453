"""Feast's Postgres offline store, with a point-in-time join that finishes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView, OnDemandFeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
    PostgreSQLRetrievalJob,
    _get_entity_df_event_timestamp_range,
)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import RepoConfig
from pydantic import StrictStr

from feast_stores.arrow_transfer import ArrowConnection
from feast_stores.connection import ConnectionConfig
from feast_stores.entity_rows import EntityRows
from feast_stores.feature_source import FeatureSource
from feast_stores.point_in_time import join
from feast_stores.probe_join import statement


class PointInTimePostgresOfflineStoreConfig(ConnectionConfig, PostgreSQLOfflineStoreConfig):  # type: ignore[misc]
    """`connection` is a URL, `${NAME:-default}` allowed; `db_schema` is where unqualified tables are looked up."""

    type: Literal["feast_stores.offline_store.PointInTimePostgresOfflineStore"] = (
        "feast_stores.offline_store.PointInTimePostgresOfflineStore"
    )
    join_memory: StrictStr = "2GB"  # what a large join may hold before it spills to disk


@dataclass(frozen=True)
class _Request:
    """What is asked: features of `sources` for the entity rows, a frame or a query."""

    config: PointInTimePostgresOfflineStoreConfig
    entity_df: pd.DataFrame | str
    event_time: str
    sources: tuple[FeatureSource, ...]
    filter_created: bool

    def table(self) -> pa.Table:
        with ArrowConnection.open(self.config) as connection:
            return join(
                connection,
                _entity_rows(self.entity_df, self.event_time, connection),
                self.sources,
                filter_created=self.filter_created,
                memory_limit=self.config.join_memory,
            )

    def statement(self) -> str:
        if not isinstance(self.entity_df, str):
            raise ValueError(
                "to_sql() needs the entity rows in the database, and they are a pandas frame. "
                "Write them into a table and pass a query over it as entity_df."
            )
        with ArrowConnection.open(self.config) as connection:
            described = [
                (source, connection.describe(f"{source.relation} as source", source.columns))
                for source in self.sources
            ]
        return statement(self.entity_df, self.event_time, described, filter_created=self.filter_created)


class PointInTimeRetrievalJob(PostgreSQLRetrievalJob):  # type: ignore[misc]  # Feast ships no types
    """A join that runs when its result is asked for; rows come back in the order of the entity rows."""

    def __init__(self, request: _Request, **options: Any) -> None:
        super().__init__(**options)
        self._request = request

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's signature
        return self._request.table()

    def to_sql(self) -> str:
        """One statement with the same rows, in any order. Large joins are computed otherwise, and faster.

        Raises:
            ValueError: the entity rows are a frame, which no statement of the database can name.
        """
        return self._request.statement()


class PointInTimePostgresOfflineStore(PostgreSQLOfflineStore):  # type: ignore[misc]  # Feast ships no types
    """Feast's Postgres offline store with another `get_historical_features`; all else is inherited."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        if entity_df is None:  # a range of the tables themselves: nothing to join to
            return PostgreSQLOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project, full_feature_names, **kwargs
            )
        if isinstance(entity_df, str):
            entity_df = entity_df.strip().rstrip(";")
        schema = _entity_schema(entity_df, config)
        event_time = offline_utils.infer_event_timestamp_from_entity_df(schema)
        span = _get_entity_df_event_timestamp_range(entity_df, event_time, config)
        contexts = offline_utils.get_feature_view_query_context(feature_refs, feature_views, registry, project, span)
        sources = tuple(FeatureSource.from_context(item, full_feature_names=full_feature_names) for item in contexts)
        return PointInTimeRetrievalJob(
            _Request(config.offline_store, entity_df, event_time, sources, filter_by_created_timestamp),
            query="",
            config=config,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[column for column in schema if column != event_time],
                min_event_timestamp=span[0],
                max_event_timestamp=span[1],
            ),
        )


def _entity_rows(entity_df: pd.DataFrame | str, event_time: str, connection: ArrowConnection) -> EntityRows:
    if isinstance(entity_df, str):
        return EntityRows.from_query(entity_df, event_time, connection)
    return EntityRows.from_frame(entity_df, event_time)


def _entity_schema(entity_df: pd.DataFrame | str, config: RepoConfig) -> dict[str, Any]:
    """Columns and pandas types of the entity rows; of a query only times matter, to find the event time."""
    if not isinstance(entity_df, str):
        return dict(entity_df.dtypes)
    with ArrowConnection.open(config.offline_store) as connection:
        columns = connection.describe(f"({entity_df}) as entity_rows")
    time_type, other_type = np.dtype("datetime64[ns]"), np.dtype(object)
    return {
        name: time_type if pa.types.is_timestamp(column.arrow_type) else other_type
        for name, column in columns.items()
    }
