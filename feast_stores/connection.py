"""One connection URL, in place of Feast's host, port, user, password and database.

Feast fills `${NAME}` in feature_store.yaml with `os.path.expandvars`, which knows no defaults and leaves an unset
variable as literal text. What it leaves reaches us, and is expanded here by the shell's rule `${NAME:-default}`.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import psycopg
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, StrictStr, model_validator

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<fallback>:-(?P<default>[^}]*))?\}")
_SCHEME = re.compile(r"^postgres(ql)?(\+\w+)?://")


def expand_variables(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace `${NAME:-default}` and `${NAME}`; an empty variable counts as unset, as in the shell.

    Raises:
        ValueError: a variable without default is not set.
    """
    values = os.environ if environment is None else environment

    def value_of(match: re.Match[str]) -> str:
        value = values.get(match["name"])
        if value:
            return value
        if match["fallback"] is None:
            raise ValueError(
                f"The environment variable {match['name']} is not set. "
                f"Set it, or write ${{{match['name']}:-default}} in feature_store.yaml."
            )
        return match["default"]

    return _VARIABLE.sub(value_of, text)


def connection_url(text: str) -> str:
    """The expanded URL with libpq's own scheme: `postgres://` and SQLAlchemy's `postgresql+driver://` work too."""
    return _SCHEME.sub("postgresql://", expand_variables(text))


def connection_parts(url: str) -> dict[str, Any]:
    """What libpq reads in the URL: percent-escapes undone, parameters such as `sslmode` beside user and host.

    Raises:
        ValueError: libpq cannot read it. The message leaves the URL out, since it may hold a password.
    """
    try:
        parts = dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        raise ValueError(
            "The connection is no PostgreSQL URL. Write postgresql://user:password@host:port/database, "
            "with special characters of the password percent-encoded."
        ) from None
    return parts


class ConnectionConfig(PostgreSQLConfig):  # type: ignore[misc]  # Feast ships no types
    """Reads the one field `connection` and fills Feast's own fields from it."""

    connection: StrictStr = Field(repr=False)
    sslmode: StrictStr | None = "prefer"  # libpq's default; Feast's is "require", which local servers refuse

    @model_validator(mode="before")
    @classmethod
    def _fill_from_connection(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "connection" not in values:
            return values
        url = connection_url(str(values["connection"]))
        parts = connection_parts(url)
        filled = {
            "host": parts.get("host", "127.0.0.1"),
            "port": int(parts.get("port", 5432)),
            "database": parts.get("dbname", parts.get("user", "postgres")),
            "user": parts.get("user", ""),
            "password": parts.get("password", ""),
            "sslmode": parts.get("sslmode", "prefer"),
        }
        return {**filled, **values, "connection": url}


def ensure_schema(connection: psycopg.Connection[Any], schema: str) -> None:
    """Create the schema if it is absent. Asked first: even `if not exists` wants the right to create."""
    known = connection.execute("select to_regnamespace(%s)", [sql.Identifier(schema).as_string(connection)])
    row = known.fetchone()
    if row is None or row[0] is None:
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))


def server_of(url: str) -> tuple[Any, ...]:
    """What tells one database from another: host, port and database."""
    parts = connection_parts(url)
    return tuple(parts.get(name) for name in ("host", "hostaddr", "port", "dbname"))
