"""One film's features by dbt's live views, for a film with 100 cast and 200 crew entries."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
FILM = 900_000_001
OTHER_FILMS = 2_000


def measure_live_views(url: str, *, rounds: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds of reading every live view of one film in one query."""
    _build_views(url)
    with psycopg.connect(url, autocommit=True) as connection:
        _land_films(connection)
        views = connection.execute("select viewname from pg_views where schemaname = 'live' order by 1").fetchall()
        query = _one_film_query([view for (view,) in views])
        times = []
        for number in range(rounds):
            film = FILM + number % 20  # twenty films of the same size: no film is special
            started = time.perf_counter()
            connection.execute(query, {"key": film}, prepare=True).fetchall()
            times.append((time.perf_counter() - started) * 1000)
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def _build_views(url: str) -> None:
    subprocess.run(
        [
            Path(sys.executable).with_name("dbt"), "run", "--quiet", "--select", "+path:models/live",
            "--project-dir", ROOT / "dbt_project", "--profiles-dir", ROOT / "dbt_project",
        ],
        env={"DB_CONNECTION_STRING": url, "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        check=True,
    )  # fmt: skip


def _one_film_query(views: list[str]) -> sql.Composed:
    """As the server asks: the key stands in each view's own condition."""
    names = [view for view in views if view.startswith("live_movie_")]
    joins = sql.SQL(" ").join(
        sql.SQL("left join (select * from {view} where movie_id = %(key)s::bigint) as {alias} on true").format(
            view=sql.Identifier("live", name), alias=sql.Identifier(name)
        )
        for name in names
    )
    columns = sql.SQL(", ").join(sql.SQL("{}.*").format(sql.Identifier(name)) for name in names)
    return sql.SQL("select {} from raw.tmdb_movies as landed {} where landed.tmdb_id = %(key)s::bigint").format(
        columns, joins
    )


def _land_films(connection: psycopg.Connection) -> None:
    """Twenty films with 100 cast and 200 crew entries among smaller ones."""
    with connection.cursor().copy(
        "copy raw.tmdb_movies (tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at) "
        "from stdin"
    ) as copy:
        for number in range(OTHER_FILMS):
            cast, crew = (100, 200) if number < 20 else (20, 30)
            payload = json.dumps(_film(FILM + number, cast, crew))
            copy.write_row((FILM + number, payload, "sample", True, str(number), "2026-01-01", "2026-01-01"))
    connection.execute("vacuum analyze raw.tmdb_movies")


def _film(tmdb_id: int, cast: int, crew: int) -> dict[str, object]:
    jobs = ["Director", "Screenplay", "Producer", "Editor", "Gaffer", "Sound"]
    return {
        "id": tmdb_id, "imdb_id": f"tt{tmdb_id}", "title": f"Film {tmdb_id}", "original_title": f"Film {tmdb_id}",
        "original_language": "en", "overview": "She leaves her mother and he follows the king. " * 8,
        "tagline": "A woman returns", "runtime": 110, "release_date": "2013-11-27", "budget": 150_000_000,
        "revenue": 0, "popularity": 12.5, "vote_average": 7.3, "vote_count": 100, "poster_path": None,
        "genres": [{"id": 16, "name": "Animation"}, {"id": 10751, "name": "Family"}],
        "production_companies": [{"name": "Studio"}], "production_countries": [{"name": "United States of America"}],
        "credits": {
            "cast": [_person(i, order=i, character=f"Role {i}" if i % 3 else "Nurse") for i in range(cast)],
            "crew": [_person(1000 + i, job=jobs[i % 6], department="Production") for i in range(crew)],
        },
    }  # fmt: skip


def _person(number: int, **role: object) -> dict[str, object]:
    return {"id": number, "name": f"Person {number}", "gender": number % 4, "credit_id": f"c{number}", **role}
