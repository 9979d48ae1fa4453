"""Connections to PostgreSQL, with errors that say which server and what to do."""

from typing import Any
from urllib.parse import quote, urlsplit

import psycopg

from common.errors import DatabaseError


def address(url: str) -> str:
    """`host:port/database` of a PostgreSQL URL, without user and password, for messages."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"


def connect(url: str, **options: Any) -> psycopg.Connection:
    """Open a connection whose session clock is UTC.

    Args:
        url: a PostgreSQL URL, as in DB_CONNECTION_STRING.
        options: passed to `psycopg.connect`, for example `autocommit=True`.

    Raises:
        DatabaseError: when the server cannot be reached or refuses the login.
    """
    try:
        return psycopg.connect(url, **{"connect_timeout": 10, "options": "-c timezone=UTC", **options})
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"PostgreSQL at {address(url)} cannot be reached ({what_it_said(error)}). "
            "Start it with `make up`, or correct DB_CONNECTION_STRING."
        ) from error


def what_it_said(error: psycopg.OperationalError) -> str:
    """The reason in psycopg's text, which also repeats the address, asks back, and lists the tries of a name."""
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    said = [line.rpartition(" failed: ")[2] for line in lines if line and not line.startswith("Multiple connection")]
    # of several addresses the one where a server has answered tells more than one where none is
    return next((line for line in said if "FATAL" in line), said[0] if said else "no reason")


def store_address(url: str) -> str:
    """The URL of MLflow's tables in a database: a schema of their own, whoever logs in."""
    return f"{url}{'&' if '?' in url else '?'}options={quote('-csearch_path=mlflow')}"
