"""PostgreSQL for the server: a pool that opens when first needed and recovers when the server comes back."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from common.database import address
from common.errors import DatabaseError, FeatureStoreError

Row = dict[str, Any]
# jit: compiling costs a one-film query 100 times what it saves. Generic plans: planning the live views takes 20 ms,
# running them for one film 1 ms.
SESSION = "-c timezone=UTC -c jit=off -c plan_cache_mode=force_generic_plan -c statement_timeout=8000"
WAIT_SECONDS = 3.0
IDLE_SECONDS = 1.0


class _Connection(psycopg.Connection[Row]):
    """A pooled connection that remembers when it last answered."""

    answered_at = 0.0


def _check_when_idle(connection: psycopg.Connection[Row]) -> None:
    """Ask a connection that rested whether it still lives; asking each time costs as much as the query."""
    now = time.monotonic()
    if isinstance(connection, _Connection) and now - connection.answered_at < IDLE_SECONDS:
        return
    ConnectionPool.check_connection(connection)
    if isinstance(connection, _Connection):
        connection.answered_at = now


class Database:
    """Short queries on pooled connections, each its own transaction.

    Args:
        url: a PostgreSQL URL.
        connections: at most so many at a time; as many as there are request threads.
    """

    def __init__(self, url: str, connections: int = 16) -> None:
        self._url = url
        self._connections = connections
        self._pool: ConnectionPool[psycopg.Connection[Row]] | None = None
        self._lock = threading.Lock()

    def fetch(self, query: str, parameters: Sequence[Any] | None = None) -> list[Row]:
        """Run one statement and return its rows.

        Raises:
            DatabaseError: the server is away or too slow.
            FeatureStoreError: a table or view does not exist yet.
        """
        with self._translated(), self._open_pool().connection(timeout=WAIT_SECONDS) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def fetch_for_each(self, query: str, keys: Sequence[int]) -> list[Row]:
        """Run one prepared query for each key, all in one round trip, and return their rows together.

        Args:
            query: takes its key as `%(key)s`.

        Raises:
            DatabaseError, FeatureStoreError: as `fetch()`.
        """
        with self._translated(), self._open_pool().connection(timeout=WAIT_SECONDS) as connection:
            with connection.pipeline():
                cursors = [connection.execute(query, {"key": key}, prepare=True) for key in keys]
            return [row for cursor in cursors for row in cursor.fetchall()]

    @contextmanager
    def rehearse(self) -> Iterator["Rehearsal"]:
        """A transaction that is rolled back whatever happens.

        Raises:
            DatabaseError, FeatureStoreError: as `fetch()`.
        """
        with (
            self._translated(),
            self._open_pool().connection(timeout=WAIT_SECONDS) as connection,
            connection.transaction(force_rollback=True),
        ):
            connection.execute("set local lock_timeout = '2s'")
            yield Rehearsal(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """psycopg's errors as ours."""
        try:
            yield
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedColumn) as e:
            raise FeatureStoreError(
                f"The feature tables are not built yet ({e.diag.message_primary}). Run: make up"
            ) from e
        except PoolTimeout as error:
            raise DatabaseError(
                f"PostgreSQL at {address(self._url)} does not answer. Start it with `make up`."
            ) from error
        except psycopg.Error as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DatabaseError(f"PostgreSQL at {address(self._url)} refused a query ({reason}).") from error

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _open_pool(self) -> ConnectionPool[psycopg.Connection[Row]]:
        with self._lock:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self._url,
                    connection_class=_Connection,
                    min_size=1,
                    max_size=self._connections,
                    kwargs={"options": SESSION, "autocommit": True, "row_factory": dict_row, "connect_timeout": 3},
                    check=_check_when_idle,
                    reconnect_timeout=20,
                    open=True,
                    name="serving",
                )
            return self._pool


class Rehearsal:
    """Statements on one connection whose transaction is never kept: to ask what would follow from a change."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def fetch(self, query: str, parameters: Sequence[Any] | None = None) -> list[Row]:
        """As `Database.fetch()`, seeing what was changed before."""
        cursor = self._connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []

    def fetch_for_each(self, query: str, keys: Sequence[int]) -> list[Row]:
        """As `Database.fetch_for_each()`, seeing what was changed before."""
        return [row for key in keys for row in self._connection.execute(query, {"key": key}).fetchall()]
