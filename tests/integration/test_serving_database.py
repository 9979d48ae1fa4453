"""The server's pool: what a slow database is allowed, and what is left when it is closed."""

import threading
import time
from collections.abc import Iterator

import pytest

from common.errors import DatabaseError
from serving import database as database_module
from serving.database import Database


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """One whose watchdog bites after a second, or half a second more."""
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 1.0)
    made = Database(database_url)
    yield made
    made.close()


def watchdogs() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "database-watchdog"}


def test_rehearsal_of_many_short_questions_is_no_silence(database: Database) -> None:
    with database.rehearse() as rehearsal:
        for _ in range(3):
            rehearsal.fetch("select pg_sleep(0.6)")
        time.sleep(1.2)  # nobody waits for the database meanwhile
        assert rehearsal.fetch("select 1 as one") == [{"one": 1}]


def test_question_of_a_rehearsal_that_is_not_answered_is_cut_off(database: Database) -> None:
    started = time.monotonic()

    with pytest.raises(DatabaseError), database.rehearse() as rehearsal:
        rehearsal.fetch("select pg_sleep(4)")
    assert 1.0 <= time.monotonic() - started < 2.5


def test_closed_database_leaves_no_thread_and_opens_again(database: Database) -> None:
    others = watchdogs()
    database.fetch("select 1")
    [own] = watchdogs() - others

    database.close()

    assert not own.is_alive()
    assert database.fetch("select 2 as two") == [{"two": 2}]
    assert len(watchdogs() - others) == 1
