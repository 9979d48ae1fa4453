"""One film's features by dbt's live view, for a film with 100 cast and 200 crew entries."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from serving.database import SESSION

ROOT = Path(__file__).resolve().parents[2]
LARGE_FILM = 990_000_000  # above every made-up film
LARGE_FILMS = 20  # of the same size: no film is special
CAST, CREW = 100, 200
ONE_FILM = "select * from live.live_movie_features where movie_id = %(key)s::bigint"

Film = dict[str, Any]


def measure_live_view(url: str, *, rounds: int, sample_films: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds of reading the features of all families of one film.

    The film's people have track records: they are those of the made-up films that are loaded and built first.
    """
    _build_view(url, sample_films)
    with psycopg.connect(url, autocommit=True, options=SESSION) as connection:
        _land_large_films(connection)
        times = []
        for number in range(rounds):
            film = {"key": LARGE_FILM + number % LARGE_FILMS}
            started = time.perf_counter()
            rows = connection.execute(ONE_FILM, film, prepare=True).fetchall()
            times.append((time.perf_counter() - started) * 1000)
            if len(rows) != 1:
                raise RuntimeError(f"The live view gave {len(rows)} rows for film {film['key']}.")
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def _build_view(url: str, sample_films: int) -> None:
    """Made-up films in the raw tables, and everything that the live view reads."""
    dbt = Path(sys.executable).with_name("dbt")
    with tempfile.TemporaryDirectory(prefix="bench-live-") as folder:
        folders = ("--project-dir", ROOT / "dbt_project", "--profiles-dir", ROOT / "dbt_project")
        written = ("--target-path", f"{folder}/target", "--log-path", f"{folder}/logs")  # not over the project's own
        # `build`, not `run`: the track records read a snapshot
        build = (dbt, "build", "--quiet", "--select", "+path:models/live", "--exclude-resource-type", "test",
                 "unit_test", *folders, *written)  # fmt: skip
        environment = {
            "DB_CONNECTION_STRING": url, "STATE_DIR": folder, "MOVIES_SOURCE": "sample",
            "SAMPLE_FILMS": str(sample_films), "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        for command in ((sys.executable, "-m", "ingestion", "load"), build):
            _run(command, environment)


def _run(command: Sequence[str | Path], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")


def _land_large_films(connection: psycopg.Connection[Any]) -> None:
    """Films with 100 cast and 200 crew entries, played and made by people of the other films."""
    cast, crew = (_credits(connection, kind) for kind in ("cast", "crew"))
    template = connection.execute("select payload from raw.tmdb_movies where payload ->> 'tagline' != '' limit 1")
    ((film,),) = template.fetchall()
    chosen = random.Random(7)  # noqa: S311 - the same people in every run
    with connection.cursor().copy(
        "copy raw.tmdb_movies (tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at) "
        "from stdin"
    ) as copy:
        for key in range(LARGE_FILM, LARGE_FILM + LARGE_FILMS):
            people = {"cast": _billed(chosen.choices(cast, k=CAST)), "crew": chosen.choices(crew, k=CREW)}
            payload = json.dumps({**film, "id": key, "release_date": "2024-06-01", "credits": people})
            copy.write_row((key, payload, "sample", True, str(key), "2026-01-01", "2026-01-01"))
    connection.execute("vacuum analyze raw.tmdb_movies")


def _credits(connection: psycopg.Connection[Any], kind: str) -> list[Film]:
    found = connection.execute(
        "select jsonb_array_elements(payload -> 'credits' -> %s::text) from raw.tmdb_movies", [kind]
    )
    return [credit for (credit,) in found]


def _billed(cast: list[Film]) -> list[Film]:
    return [{**member, "order": order} for order, member in enumerate(cast)]
