"""Landing table and prediction log as before a measurement, once it is over; also when a run was interrupted."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg

from common.settings import Settings

_BEFORE = "serving.landed_before_benchmark"
_COLUMNS = "tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at"


@contextmanager
def landed_as_before(settings: Settings, films: Sequence[int]) -> Iterator[None]:
    """The landing table may hold any of these films meanwhile, and is afterwards as it was; nor are they logged."""
    with psycopg.connect(settings.database_url) as connection:
        _put_back(connection)  # of a run that was killed
        # stored alike: `create table as` would compress the answers, and they would come back compressed
        connection.execute(f"create table {_BEFORE} (like raw.tmdb_movies including storage)")
        connection.execute(
            f"insert into {_BEFORE} ({_COLUMNS}) select {_COLUMNS} from raw.tmdb_movies where tmdb_id = any(%s)",  # noqa: S608 - constants
            [list(films)],
        )
        connection.execute(
            """
            create table serving.films_of_benchmark as
            select
                unnest(%s::bigint[]) as film,
                (select coalesce(max(prediction_id), 0) from serving.prediction_log) as last_logged
            """,
            [list(films)],
        )
    try:
        yield
    finally:
        with psycopg.connect(settings.database_url) as connection:
            _put_back(connection)


def _put_back(connection: psycopg.Connection) -> None:
    [(exists,)] = connection.execute("select to_regclass(%s) is not null", [_BEFORE]).fetchall()
    if exists:
        connection.execute(
            "delete from raw.tmdb_movies where tmdb_id in (select film from serving.films_of_benchmark)"
        )
        connection.execute(f"insert into raw.tmdb_movies ({_COLUMNS}) select {_COLUMNS} from {_BEFORE}")  # noqa: S608 - constants
        connection.execute(
            """
            delete from serving.prediction_log using serving.films_of_benchmark as asked
            where movie_id = asked.film and prediction_id > asked.last_logged
            """
        )
        connection.execute(f"drop table {_BEFORE}, serving.films_of_benchmark")


def land(settings: Settings, bodies: Mapping[int, bytes]) -> None:
    """The films have landed just now, and nobody has asked for them."""
    with psycopg.connect(settings.database_url) as connection:
        connection.cursor().executemany(
            """
            insert into raw.tmdb_movies
                (tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at)
            values (%s, %s, 'api', false, 'benchmark', now(), now())
            """,
            [(film, body.decode()) for film, body in bodies.items()],
        )


def forget(settings: Settings, films: Sequence[int]) -> None:
    """No film has landed."""
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("delete from raw.tmdb_movies where tmdb_id = any(%s)", [list(films)])
