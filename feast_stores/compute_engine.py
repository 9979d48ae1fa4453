"""A Feast compute engine that materializes inside the database."""

from typing import Literal

from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig


class PostgresComputeEngineConfig(LocalComputeEngineConfig):  # type: ignore[misc]  # Feast ships no types
    """`batch_engine: {type: feast_stores.compute_engine.PostgresComputeEngine}`."""

    type: Literal["feast_stores.compute_engine.PostgresComputeEngine"] = (
        "feast_stores.compute_engine.PostgresComputeEngine"
    )


class PostgresComputeEngine(LocalComputeEngine):  # type: ignore[misc]  # Feast ships no types
    """Feast's local engine, until the database does its work."""
