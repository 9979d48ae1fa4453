"""TMDB's limits in the database: what one process takes is gone for the others, and comes back if it dies."""

import time
from collections.abc import Iterator

import pytest

from common.tmdb.limits import Start
from serving import tmdb_limits
from serving.database import Database
from serving.tmdb_limits import CONNECTIONS, JOB_CONNECTIONS, PACE_SECONDS, SharedLimits


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def processes(database: Database) -> Iterator[tuple[SharedLimits, SharedLimits]]:
    """A server's and a job's limits; each has its own memory, as two processes have."""
    server, job = SharedLimits(database), SharedLimits(database, is_job=True)
    yield server, job
    server.close()
    job.close()


def take(limits: SharedLimits, seconds: float = 0.2) -> Start | None:
    return limits.take(time.monotonic() + seconds)


def test_what_one_process_has_taken_no_other_gets(processes: tuple[SharedLimits, SharedLimits]) -> None:
    server, job = processes

    taken = [take(limits) for limits in (server, server, job, job)]
    more = [take(server) for _ in range(CONNECTIONS - 4)]

    assert len({start.connection for start in (*taken, *more) if start}) == CONNECTIONS
    assert take(server) is None
    assert take(job) is None


def test_job_leaves_two_connections_to_people(processes: tuple[SharedLimits, SharedLimits]) -> None:
    server, job = processes

    assert all(take(job) for _ in range(JOB_CONNECTIONS))
    assert take(job) is None
    assert [start.wait_seconds if start else None for start in (take(server), take(server))] == [0.0, 0.0]


def test_people_take_a_connection_before_its_pace_is_over_and_jobs_wait(
    processes: tuple[SharedLimits, SharedLimits],
) -> None:
    server, job = processes
    for start in [take(server) for _ in range(CONNECTIONS)]:
        assert start is not None
        server.give_back(start)
    server.close()  # until all is given back

    assert take(job) is None
    start = take(server, seconds=5.0)
    assert start is not None
    assert 0 < start.wait_seconds <= PACE_SECONDS
    assert take(job, seconds=5.0) is not None


def test_connection_of_a_process_that_died_comes_back(
    processes: tuple[SharedLimits, SharedLimits], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tmdb_limits, "LOST_SECONDS", 1.0)
    server, _ = processes
    lost = [take(server) for _ in range(CONNECTIONS)]
    assert take(server) is None

    again = take(server, seconds=5.0)

    assert again is not None
    assert again.connection in {start.connection for start in lost if start}
    server.give_back(Start(0.0, again.connection, lost[0].starts_at if lost[0] else None))
    server.close()
    assert again.connection not in {start.connection for _ in range(9) if (start := take(server))}  # it has moved on


def test_clock_that_is_set_back_holds_nobody_up(
    processes: tuple[SharedLimits, SharedLimits], database: Database
) -> None:
    server, job = processes
    database.fetch("update serving.tmdb_connections set free_at = now() + interval '1 hour', starts_at = free_at")

    starts = [take(job), *(take(server) for _ in range(CONNECTIONS - 1))]

    assert [start.wait_seconds if start else None for start in starts] == [0.0] * CONNECTIONS
    assert take(server) is None


def test_what_is_given_back_after_closing_is_free(processes: tuple[SharedLimits, SharedLimits]) -> None:
    server, _ = processes
    starts = [take(server) for _ in range(CONNECTIONS)]
    server.close()
    assert starts[0] is not None

    server.give_back(starts[0])

    found = take(server, seconds=2.0)
    assert found is not None
    assert found.connection == starts[0].connection


def test_database_without_the_table_leaves_the_own_limits(
    processes: tuple[SharedLimits, SharedLimits], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = processes
    database.fetch("drop table serving.tmdb_connections")

    starts = [take(server) for _ in range(CONNECTIONS)]

    assert starts == [Start(0.0)] * CONNECTIONS
    assert take(server) is None
    assert len([record for record in caplog.records if "tmdb limits not shared" in record.message]) == 1
    for start in starts:
        assert start is not None
        server.give_back(start)
    assert take(server) == Start(0.0)
