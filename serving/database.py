"""PostgreSQL for the server: a pool that opens when first needed and recovers when the server comes back."""

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.numeric import Int8
from psycopg_pool import ConnectionPool, PoolTimeout

from common.database import address
from common.errors import DatabaseError, FeatureStoreError

Row = dict[str, Any]
# jit: compiling costs a one-film query 100 times what it saves. Generic plans: planning the live view takes 20 ms,
# running it for one film 2 ms. Page cost: what one film reads is in memory, and an index costs no more than a table.
SESSION = (
    "-c timezone=UTC -c jit=off -c plan_cache_mode=force_generic_plan -c random_page_cost=1.1 "
    "-c statement_timeout=5000"
)
CONNECTIONS = 8  # of a process: more than the cores can use; who finds none free waits for a few milliseconds
READY_CONNECTIONS = 3  # a batch uses two, and another request one
WAIT_SECONDS = 3.0
IDLE_SECONDS = 1.0
PATIENCE_SECONDS = 6.0  # a server that is stopped or cut off keeps none of its own timeouts
PAUSE_SECONDS = 3.0  # nobody waits for such a server again for so long


class _Connection(psycopg.Connection[Row]):
    """A pooled connection that remembers when it last answered."""

    answered_at = 0.0


class _Watchdog:
    """Cuts off connections that have not answered in time; whoever waits for one then gets its error."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}  # by file descriptor
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self.bit_at = float("-inf")

    @contextmanager
    def watch(self, connection: psycopg.Connection[Row]) -> Iterator[None]:
        """Give a connection PATIENCE_SECONDS for what is done inside, which is to be one question."""
        descriptor = self.begin(connection)
        try:
            yield
        finally:
            self.end(descriptor)

    def begin(self, connection: psycopg.Connection[Row]) -> int:
        """Watch a connection from now on; returns what to `end()` it with."""
        descriptor = connection.fileno()
        with self._lock:
            self._deadlines[descriptor] = time.monotonic() + PATIENCE_SECONDS
            if self._thread is None:
                self._stopped = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=[self._stopped], name="database-watchdog", daemon=True
                )
                self._thread.start()
        return descriptor

    def end(self, descriptor: int) -> None:
        """The connection has answered."""
        with self._lock:
            self._deadlines.pop(descriptor, None)

    def stop(self) -> None:
        """Let the thread end; the next watch starts another."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopped.set()
        if thread is not None:
            thread.join()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(0.5):
            with self._lock:
                for descriptor, deadline in self._deadlines.items():
                    if time.monotonic() > deadline:
                        self.bit_at = time.monotonic()
                        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as line:
                            line.shutdown(socket.SHUT_RDWR)


class Database:
    """Short queries on pooled connections, each its own transaction.

    Args:
        url: a PostgreSQL URL.
        connections: at most so many at a time.
    """

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        self._url = url
        self._connections = connections
        self._pool: ConnectionPool[psycopg.Connection[Row]] | None = None
        self._lock = threading.Lock()
        self._planned_query: str | None = None
        self._watchdog = _Watchdog()

    def fetch(self, query: str, parameters: Sequence[Any] | None = None) -> list[Row]:
        """Run one statement and return its rows.

        Raises:
            DatabaseError: the server is away or too slow.
            FeatureStoreError: a table or view does not exist yet.
        """
        with self._borrow() as connection, self._watchdog.watch(connection):
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def fetch_for_each(self, query: str, keys: Sequence[int]) -> list[Row]:
        """Run a prepared query for all keys at once: planning it takes longer than running it.

        Args:
            query: takes its keys as the array `%(keys)s`.

        Raises:
            DatabaseError, FeatureStoreError: as `fetch()`.
        """
        with self._borrow() as connection, self._watchdog.watch(connection):
            return _run_for_each(connection, query, keys).fetchall()

    def plan(self, query: str) -> None:
        """Let a query of `fetch_for_each()` be planned on every connection, those of today and those to come.

        Raises:
            DatabaseError, FeatureStoreError: as `fetch()`.
        """
        self._planned_query = query
        with self._translated(), ExitStack() as stack:
            pool = self._open_pool()
            for _ in range(pool.min_size):
                self._plan(stack.enter_context(pool.connection(timeout=WAIT_SECONDS)))

    def _plan(self, connection: psycopg.Connection[Row]) -> None:
        if self._planned_query is not None:
            with self._watchdog.watch(connection):
                _run_for_each(connection, self._planned_query, [0])

    def _configure(self, connection: psycopg.Connection[Row]) -> None:
        """A new connection is ready for requests; where the views are missing, the request will say so."""
        with suppress(psycopg.errors.ProgrammingError):
            self._plan(connection)

    @contextmanager
    def rehearse(self) -> Iterator["Rehearsal"]:
        """A transaction that is rolled back whatever happens. Each of its statements has PATIENCE_SECONDS of its own.

        Raises:
            DatabaseError, FeatureStoreError: as `fetch()`.
        """
        with self._borrow() as connection, ExitStack() as stack:
            rehearsal = Rehearsal(connection, self._watchdog)
            stack.callback(self._watchdog.end, connection.fileno())
            with self._watchdog.watch(connection):
                stack.enter_context(connection.transaction(force_rollback=True))
            stack.callback(self._watchdog.begin, connection)  # for the rollback
            rehearsal.fetch("set local lock_timeout = '2s'")
            yield rehearsal

    @contextmanager
    def _borrow(self) -> Iterator[psycopg.Connection[Row]]:
        """A connection of the pool, with errors as ours; nobody waits for a server that has just been silent."""
        if time.monotonic() - self._watchdog.bit_at < PAUSE_SECONDS:
            raise self._silent()
        pool = self._open_pool()
        with self._translated(), pool.connection(timeout=WAIT_SECONDS) as connection:
            yield connection

    def _check_when_idle(self, connection: psycopg.Connection[Row]) -> None:
        """Ask a connection that rested whether it still lives; asking each time costs as much as the query."""
        now = time.monotonic()
        if isinstance(connection, _Connection) and now - connection.answered_at < IDLE_SECONDS:
            return
        with self._watchdog.watch(connection):
            ConnectionPool.check_connection(connection)
        if isinstance(connection, _Connection):
            connection.answered_at = now

    def _silent(self) -> DatabaseError:
        return DatabaseError(
            f"PostgreSQL at {address(self._url)} does not answer: it is away, or too busy. `make up` starts it."
        )

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
            raise self._silent() from error
        except psycopg.Error as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DatabaseError(f"PostgreSQL at {address(self._url)} refused a query ({reason}).") from error

    def close(self) -> None:
        """Close all connections, and end the thread that watches them."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None
        self._watchdog.stop()

    def _open_pool(self) -> ConnectionPool[psycopg.Connection[Row]]:
        with self._lock:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self._url,
                    connection_class=_Connection,
                    min_size=min(READY_CONNECTIONS, self._connections),
                    max_size=self._connections,
                    kwargs={"options": SESSION, "autocommit": True, "row_factory": dict_row, "connect_timeout": 3},
                    configure=self._configure,
                    check=self._check_when_idle,
                    reconnect_timeout=20,
                    open=True,
                    name="serving",
                )
            return self._pool


def _run_for_each(connection: psycopg.Connection[Row], query: str, keys: Sequence[int]) -> psycopg.Cursor[Row]:
    """Prepared, so that it is planned once; binary, since a hundred numbers a row need not be written as text."""
    return connection.execute(query, {"keys": bigints(keys)}, prepare=True, binary=True)


def bigints(numbers: Sequence[int]) -> list[Int8]:
    """Numbers as bigint whatever their size: psycopg sends small ones as other types, and plans each type anew."""
    return [Int8(number) for number in numbers]


class Rehearsal:
    """Statements on one connection whose transaction is never kept: to ask what would follow from a change."""

    def __init__(self, connection: psycopg.Connection[Row], watchdog: _Watchdog) -> None:
        self._connection = connection
        self._watchdog = watchdog

    def fetch(self, query: str, parameters: Sequence[Any] | None = None) -> list[Row]:
        """As `Database.fetch()`, seeing what was changed before."""
        with self._watchdog.watch(self._connection):
            cursor = self._connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def fetch_for_each(self, query: str, keys: Sequence[int]) -> list[Row]:
        """As `Database.fetch_for_each()`, seeing what was changed before."""
        with self._watchdog.watch(self._connection):
            return _run_for_each(self._connection, query, keys).fetchall()
