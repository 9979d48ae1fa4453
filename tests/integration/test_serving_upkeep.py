"""The jobs beside the server, run as a person runs them: the backfill can be stopped at any moment, old rows go."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from benchmarks.serving.landing_table import forget, land, landed_as_before
from common.errors import DatabaseError
from common.settings import Settings
from serving import upkeep
from tests.fake_tmdb import TOKEN, FakeTmdb
from tests.feature_films import ROOT

FILMS = range(1, 101)
GONE, LIMITED, SYNTHETIC = 7, 11, 900_000_001


@pytest.fixture
def tmdb() -> Iterator[FakeTmdb]:
    fake = FakeTmdb()
    yield fake
    fake.close()


@pytest.fixture
def environment(database_url: str, tmdb: FakeTmdb) -> dict[str, str]:
    with psycopg.connect(database_url) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.dim_movies (movie_id bigint, is_synthetic bool, popularity_rank bigint)"
        )
        connection.cursor().executemany(
            "insert into marts.dim_movies values (%s, %s, %s)",
            [(film, film == SYNTHETIC, film) for film in (*FILMS, SYNTHETIC)],
        )
    return {"DB_CONNECTION_STRING": database_url, "TMDB_API_TOKEN": TOKEN, "TMDB_API_BASE_URL": tmdb.url}


def start(command: str, environment: dict[str, str], output: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *command.split()],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


def landed(database_url: str) -> set[int]:
    with psycopg.connect(database_url) as connection:
        return {film for (film,) in connection.execute("select tmdb_id from raw.tmdb_movies where source = 'api'")}


def stop_after(process: subprocess.Popen[str], with_signal: signal.Signals, database_url: str, films: int) -> str:
    deadline = time.monotonic() + 60
    while len(landed(database_url)) < films:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(with_signal)
    return process.communicate(timeout=60)[0]


def test_backfill_goes_on_where_it_was_stopped_and_keeps_to_the_limits(
    environment: dict[str, str], database_url: str, tmdb: FakeTmdb
) -> None:
    """A 429 in the middle fails no film: overseerr#2853. One that is gone ends nothing: streamchaser#502."""
    tmdb.missing.add(GONE)
    tmdb.inject(LIMITED, "429", "429")

    stop_after(start("backfill", environment), signal.SIGKILL, database_url, 25)
    after_kill = landed(database_url)
    said = stop_after(start("backfill", environment), signal.SIGINT, database_url, len(after_kill) + 25)
    after_stop = landed(database_url)
    last = start("backfill", environment)
    summary = last.communicate(timeout=60)[0]

    assert landed(database_url) == set(FILMS) - {GONE}
    assert "Traceback" not in said
    assert f"{len(FILMS) - 1 - len(after_stop)} of {len(FILMS) - len(after_stop)} films fetched" in summary
    assert "1 are not on TMDB, 0 failed" in summary
    times_asked = {film: tmdb.asked[f"/3/movie/{film}"] for film in FILMS if film not in (GONE, LIMITED)}
    assert sum(times_asked.values()) - len(times_asked) <= 2 * 8  # eight were on their way at each stop
    assert tmdb.asked[f"/3/movie/{LIMITED}"] >= 3
    assert tmdb.asked[f"/3/movie/{SYNTHETIC}"] == 0
    assert tmdb.most_a_second <= 16  # of 20: the rest is for people
    assert tmdb.peak <= 8


def test_backfill_shows_a_bar_on_a_terminal_and_lines_elsewhere(environment: dict[str, str]) -> None:
    near, far = pty.openpty()
    shown = start("backfill --limit 30", {**environment, "TERM": "xterm", "COLUMNS": "80"}, far)
    shown.wait(60)
    os.close(far)
    text = os.read(near, 65536).decode(errors="replace")
    os.close(near)
    plain = start("backfill --limit 30", environment).communicate(timeout=60)[0]

    assert "films from TMDB" in text
    assert "━" in text
    assert "30/30" in text
    assert plain.splitlines() == ["30 of 30 films fetched, 0 are not on TMDB, 0 failed."]


def test_expire_deletes_what_is_older_than_180_days_and_only_that(
    environment: dict[str, str], database_url: str
) -> None:
    def days_ago(days: int) -> datetime:
        return datetime.now(UTC) - timedelta(days=days)

    with psycopg.connect(database_url) as connection:
        for film, source, age in ((1, "api", 181), (2, "api", 179), (3, "file", 400), (4, "sample", 400)):
            connection.execute(
                "insert into raw.tmdb_movies values (%s, %s, %s, %s, '', %s, %s)",
                [film, Jsonb({"id": film}), source, source == "sample", days_ago(age), days_ago(age)],
            )
        connection.execute(
            "insert into serving.feedback (request_id, movie_id, rating, given_at) values ('r', 1, 3, %s)",
            [days_ago(400)],
        )

    log(database_url, "old", [1], days_old=181)
    log(database_url, "new", [1], days_old=179)

    said = start("expire", environment).communicate(timeout=60)[0]

    with psycopg.connect(database_url) as connection:
        films = [film for (film,) in connection.execute("select tmdb_id from raw.tmdb_movies order by tmdb_id")]
        feedback = connection.execute("select count(*) from serving.feedback").fetchone()
    assert (films, logged(database_url), feedback) == ([2, 3, 4], ["new"], (1,))
    assert said.strip() == "1 TMDB answers and 1 logged predictions older than 180 days deleted."


def test_expire_deletes_in_parts_and_says_how_far_it_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upkeep, "ANSWERS_AT_A_TIME", 2)
    monkeypatch.setattr(upkeep, "PREDICTIONS_AT_A_TIME", 3)
    monkeypatch.setattr(upkeep, "SECONDS_BETWEEN_LINES", -1.0)
    answered(database_url, range(1, 6), days_old=181)
    log(database_url, "old", [*range(1, 8)], days_old=181)
    log(database_url, "new", [1], days_old=179)

    upkeep.expire(Settings(db_connection_string=database_url))

    assert capsys.readouterr().out.splitlines() == [
        "2 old TMDB answers deleted so far",
        "4 old TMDB answers deleted so far",
        "5 old TMDB answers deleted so far",
        "3 old logged predictions deleted so far",
        "6 old logged predictions deleted so far",
        "7 old logged predictions deleted so far",
        "5 TMDB answers and 7 logged predictions older than 180 days deleted.",
    ]
    assert logged(database_url) == ["new"]


def test_expire_that_fails_in_the_middle_keeps_what_it_has_done(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PREDICTIONS_AT_A_TIME", 1)
    for request, days_old in (("oldest", 184), ("older", 183), ("kept", 182), ("last", 181)):
        log(database_url, request, [1], days_old=days_old)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            create function refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;
            create trigger refuse before delete on serving.prediction_log
            for each row when (old.request_id = 'kept') execute function refuse();
            """
        )

    with pytest.raises(DatabaseError, match="not this one"):
        upkeep.expire(Settings(db_connection_string=database_url))

    assert logged(database_url) == ["kept", "last"]


def test_benchmark_that_was_killed_gives_the_landing_table_back_at_the_next_run(database_url: str) -> None:
    settings = Settings(db_connection_string=database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into raw.tmdb_movies values (1, '{}', 'file', false, 'mine', now(), now())")
    log(database_url, "mine", [1, 2])

    killed = landed_as_before(settings, [1, 2])
    killed.__enter__()
    forget(settings, [1])
    land(settings, {1: b'{"id": 1}', 2: b'{"id": 2}'})
    log(database_url, "measured", [2])
    with landed_as_before(settings, [1]):
        pass

    with psycopg.connect(database_url) as connection:
        assert connection.execute("select tmdb_id, payload_hash from raw.tmdb_movies").fetchall() == [(1, "mine")]
        assert connection.execute("select distinct request_id from serving.prediction_log").fetchall() == [("mine",)]


def answered(database_url: str, films: Iterable[int], *, days_old: int) -> None:
    """An answer of TMDB for each film."""
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(
            "insert into raw.tmdb_movies values (%s, '{}', 'api', false, '', now() - %s * interval '1 day', now())",
            [(film, days_old) for film in films],
        )


def logged(database_url: str) -> list[str]:
    """Request ids in the prediction log, in their order."""
    with psycopg.connect(database_url) as connection:
        return [name for (name,) in connection.execute("select request_id from serving.prediction_log order by 1")]


def log(database_url: str, request_id: str, films: list[int], *, days_old: int = 0) -> None:
    """A row of the prediction log for each film."""
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(
            """
            insert into serving.prediction_log
                (request_id, predicted_at, movie_id, model_name, model_version, feature_service, vector,
                rating_probabilities, probability, verdict, is_live, is_cached, degraded, stage_seconds)
            values (%s, now() - %s * interval '1 day', %s, '', '1', '', '{}',
                '{0,0,0,1}', 1, 'pass', true, false, '{}', '{}')
            """,
            [(request_id, days_old, film) for film in films],
        )
