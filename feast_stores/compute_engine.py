"""A Feast compute engine that materializes inside the database, where the rows already are.

One `insert ... select ... on conflict` per view and run, in one transaction: readers see all of a run or nothing of
it, a killed run leaves nothing behind and is simply run again, and a second run over the same rows changes none.
"""

import logging
import time
from typing import Any, Literal

from feast import BatchFeatureView, FeatureView, StreamFeatureView
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.registry.base_registry import BaseRegistry

from feast_stores.connection import ConnectionConfig, server_of
from feast_stores.materialization import Materialization
from feast_stores.online_store import WidePostgresOnlineStore
from feast_stores.wide_table import WideTable

logger = logging.getLogger(__name__)


class PostgresComputeEngineConfig(LocalComputeEngineConfig):  # type: ignore[misc]  # Feast ships no types
    """`batch_engine: {type: feast_stores.compute_engine.PostgresComputeEngine}`."""

    type: Literal["feast_stores.compute_engine.PostgresComputeEngine"] = (
        "feast_stores.compute_engine.PostgresComputeEngine"
    )


class PostgresComputeEngine(LocalComputeEngine):  # type: ignore[misc]  # Feast ships no types
    """Materializes in the database where that is possible, and Feast's local way where it is not."""

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        obstacle = self._obstacle(task)
        if obstacle:
            logger.info("materialize view=%s where=python reason=%s", task.feature_view.name, obstacle)
            return super()._materialize_one(registry, task, **kwargs)
        job_id = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
        try:
            self._run(task)
        except Exception as error:  # noqa: BLE001 - Feast raises the job's error
            return LocalMaterializationJob(job_id=job_id, status=MaterializationJobStatus.ERROR, error=error)
        return LocalMaterializationJob(job_id=job_id, status=MaterializationJobStatus.SUCCEEDED)

    def _run(self, task: MaterializationTask) -> None:
        started = time.monotonic()
        config = self.repo_config
        work = Materialization.of(
            task.feature_view, config.offline_store.db_schema, start=task.start_time, end=task.end_time
        )
        with self.online_store.transaction(config) as connection:
            changed = work.run(connection, WideTable.of(config, task.feature_view))
        seconds = time.monotonic() - started
        logger.info(
            "materialize view=%s where=database rows_changed=%d seconds=%.2f",
            task.feature_view.name,
            changed,
            seconds,
        )

    def _obstacle(self, task: MaterializationTask) -> str | None:
        """Why the database cannot do this alone; None when it can."""
        view, config = task.feature_view, self.repo_config
        if not isinstance(self.online_store, WidePostgresOnlineStore):
            return "the online store is not WidePostgresOnlineStore"
        if not isinstance(config.offline_store, ConnectionConfig):
            return "the offline store is not PointInTimePostgresOfflineStore"
        if server_of(config.offline_store.connection) != server_of(config.online_store.connection):
            return "source and target are different databases"
        if not isinstance(view.batch_source, PostgreSQLSource):
            return "the source is not a PostgreSQL table or query"
        if _is_transformed(view):
            return "the view transforms its source"
        if not WideTable.of(config, view).is_plain:
            return "a feature has a type that only Feast can encode"
        return None


def _is_transformed(view: BatchFeatureView | StreamFeatureView | FeatureView) -> bool:
    return bool(getattr(view, "feature_transformation", None) or getattr(view, "udf", None))
