"""Fixtures that several kinds of tests share: a PostgreSQL server, empty databases in it, the real films."""

import atexit
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

# An import of Feast sets this, also for the parallel workers that a process starts afterwards; with it set,
# prometheus_client shares the numbers of all registries. So: not set, and imported before Feast is.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
import prometheus_client  # noqa: F401
import psycopg
import pytest
from hypothesis import settings as hypothesis_settings

from common.embedded_postgres import EmbeddedPostgres
from common.migrations import migrate

ROOT = Path(__file__).resolve().parent.parent

# The same cases in every run, and no deadline: the machines that run this are noisy.
hypothesis_settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis_settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Keep DuckDB quiet at the end of a parallel worker: its modules outlive the interpreter there."""
    if hasattr(config, "workerinput"):
        atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real PostgreSQL server: TEST_DB_CONNECTION_STRING, else an embedded one of this session."""
    existing = os.environ.get("TEST_DB_CONNECTION_STRING")
    if existing:
        yield existing
        return
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), free_port())
    server.start()
    yield server.url
    server.delete()


@pytest.fixture(scope="session")
def make_database(postgres_server: str) -> Iterator["DatabaseMaker"]:
    """Makes empty databases with our tables in them, and drops them at the end of the session."""
    maker = DatabaseMaker(postgres_server)
    yield maker
    maker.drop_all()


@pytest.fixture
def database_url(make_database: "DatabaseMaker") -> str:
    """URL of an empty database with our tables in it, for one test."""
    return make_database()


@pytest.fixture(scope="module")
def module_database_url(make_database: "DatabaseMaker") -> str:
    """URL of an empty database with our tables in it, for the tests of one file."""
    return make_database()


class DatabaseMaker:
    """Creates and drops databases on a server."""

    def __init__(self, server_url: str) -> None:
        self.server_url = server_url
        self.names: list[str] = []

    def __call__(self) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._execute(f"create database {name}")
        self.names.append(name)
        url = f"{self.server_url.rsplit('/', 1)[0]}/{name}"
        migrate(url)
        return url

    def drop_all(self) -> None:
        for name in self.names:
            self._drop(name)

    def _drop(self, name: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                return self._execute(f"drop database if exists {name} with (force)")
            except psycopg.errors.InsufficientPrivilege:  # PostgreSQL's own autovacuum is in it for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real films (movies.csv.gz, tmdb_payloads.jsonl.gz); they may not be redistributed."""
    folder = Path(os.environ.get("REAL_FILMS_DIR", ROOT.parent / "shared" / "data"))
    if not (folder / "movies.csv.gz").exists():
        pytest.skip("the real films are not here: they may not be redistributed (set REAL_FILMS_DIR to their folder)")
    return folder
