"""The embedded server: repeatable, survives a kill, keeps to itself."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from common.embedded_postgres import EmbeddedPostgres
from common.errors import DatabaseError
from tests.conftest import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path, free_port())
    made.start()
    yield made
    made.delete()


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def test_start_twice_is_one_server(server: EmbeddedPostgres) -> None:
    first = postmaster(server)
    server.start()
    assert postmaster(server) == first


def test_committed_rows_survive_kill_9(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select 1 as one")
    os.kill(postmaster(server), signal.SIGKILL)
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)


def test_a_lock_of_a_dead_or_foreign_process_is_dropped(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    assert not server.is_running()
    server.start()
    assert server.is_running()


def test_the_role_is_no_superuser_and_the_clock_is_utc(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("select current_setting('is_superuser'), current_setting('timezone')").fetchone()
    assert row == ("off", "UTC")


def test_nobody_enters_as_superuser(server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="pg_hba"):
        psycopg.connect(server.url.replace("bechdel@", "postgres@"))


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(DatabaseError, match="is taken by another program"):
            EmbeddedPostgres(tmp_path, other.getsockname()[1]).start()


def test_stop_without_a_server_says_so(tmp_path: Path) -> None:
    assert not EmbeddedPostgres(tmp_path, 1).stop()
