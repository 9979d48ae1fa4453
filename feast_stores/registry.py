"""Feast's SQL registry in a schema of its own, from the same connection URL as the stores."""

from typing import Any

import psycopg
from feast.infra.registry.sql import SqlRegistry, SqlRegistryConfig
from pydantic import StrictStr, field_validator, model_validator
from sqlalchemy.engine import URL

from feast_stores.connection import connection_parts, connection_url, ensure_schema

_URL_FIELDS = {"user", "password", "host", "port", "dbname"}


class PostgresRegistryConfig(SqlRegistryConfig):  # type: ignore[misc]  # Feast ships no types
    """`path` is a connection URL, `${NAME:-default}` allowed; the tables live in `db_schema`."""

    db_schema: StrictStr = "feast"

    @field_validator("registry_type", mode="before")
    @classmethod
    def _is_sql(cls, _: str) -> str:
        """Feast chooses the registry class by this name; ours is its SQL registry with another configuration."""
        return "sql"

    @model_validator(mode="before")
    @classmethod
    def _prepare_engine(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        schema = values.get("db_schema", "feast")
        engine = {
            "pool_pre_ping": True,  # a restarted server costs one ping, not one failed request
            "pool_events": [(_schema_creator(schema), "first_connect")],
            **values.get("sqlalchemy_config_kwargs", {}),
        }
        urls = {field: sqlalchemy_url(values[field], schema) for field in ("path", "read_path") if values.get(field)}
        return {**values, **urls, "sqlalchemy_config_kwargs": engine}


class PostgresRegistry(SqlRegistry):  # type: ignore[misc]  # Feast ships no types
    """Names the registry type in feature_store.yaml; the configuration class of the same name does the work."""


def sqlalchemy_url(text: str, schema: str) -> str:
    """The URL for SQLAlchemy's psycopg 3 driver, with `schema` as search path."""
    parts = connection_parts(connection_url(text))
    parameters = {name: str(value) for name, value in parts.items() if name not in _URL_FIELDS}
    options = f"{parameters.pop('options', '')} -c search_path={schema}".strip()
    url = URL.create(
        "postgresql+psycopg",
        username=parts.get("user"),
        password=parts.get("password"),
        host=parts.get("host"),
        port=int(parts["port"]) if parts.get("port") else None,
        database=parts.get("dbname"),
        query={**parameters, "options": options},
    )
    return url.render_as_string(hide_password=False)


def _schema_creator(schema: str) -> Any:
    def create(connection: psycopg.Connection[Any], _: object) -> None:
        ensure_schema(connection, schema)
        connection.commit()

    return create
