"""Hand-made films in the raw tables, and dbt and Feast run over them as a person would: by their commands."""

import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from feast import FeatureStore
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

ROOT = Path(__file__).resolve().parent.parent
LOADED_AT = datetime(2026, 1, 1, tzinfo=UTC)

WOMAN_FIRST = [
    {"id": 11, "name": "Ada Alm", "gender": 1, "character": "Queen Elin", "order": 0},
    {"id": 12, "name": "Bo Berg", "gender": 2, "character": "Guard #2", "order": 1},
    {"id": 13, "name": "Cim Carl", "gender": 0, "character": "", "order": 3},
    {"id": 14, "name": "Dea Dahl", "gender": 1, "character": "Nurse", "order": 4},
]
TWO_DIRECTORS = [
    {"id": 21, "name": "Eva Ek", "gender": 1, "job": "Director", "department": "Directing"},
    {"id": 22, "name": "Finn Falk", "gender": 2, "job": "Director", "department": "Directing"},
    {"id": 21, "name": "Eva Ek", "gender": 1, "job": "Writer", "department": "Writing"},
]
ADAS = [{"id": 41 + nth, "name": f"Ada {nth}", "gender": 1, "job": "Gaffer"} for nth in range(3)]
FULL_PAYLOAD = {
    "imdb_id": "tt0000101",
    "title": "The Queen &amp; the Sea",
    "original_title": "Drottningen",
    "original_language": "sv",
    "overview": "She leaves her brother and sails with a woman she hardly knows.",
    "tagline": "Mother of storms",
    "runtime": 101,
    "budget": 2_000_000,
    "release_date": "1999-06-18",
    "genres": [{"id": 18, "name": "Drama"}, {"id": 12, "name": "Adventure"}],
    "production_countries": [{"iso_3166_1": "SE", "name": "Sweden"}],
    "production_companies": [{"id": 1, "name": "Northern Light"}, {"id": 2, "name": "Harbour"}],
    "credits": {"cast": WOMAN_FIRST, "crew": TWO_DIRECTORS},
}


def fill_raw_tables(database_url: str) -> None:
    """Six films: of both sources, rated only, no credits, an empty answer, unknown genders, published figures."""
    with psycopg.connect(database_url) as connection:
        add_rated_film(connection, 1, title="Old title", budget=0.0)
        add_rated_film(connection, 2, title="Rated only", cast=WOMAN_FIRST, release_date=None)
        add_rated_film(
            connection, 3, title="Without credits", cast=WOMAN_FIRST, crew=[*TWO_DIRECTORS, *ADAS], budget=5e6
        )
        add_payload(connection, 1, FULL_PAYLOAD)
        add_payload(
            connection, 3, {"title": "Without credits", "release_date": "2001-02-03", "genres": [], "budget": 0}
        )
        add_payload(connection, 4, {})
        figures = {"cast_female_representation": 40.0, "crew_female_representation": 12.5}
        add_rated_film(connection, 6, title="Without lists", **figures)
        add_payload(connection, 6, {"title": "Without lists", "overview": "ADA and Ada meet Bo."})
        silent = [{"id": 31, "name": "Ada Ask", "gender": 0, "order": 0}, {"id": 32, "order": 1}]
        add_payload(connection, 5, {**FULL_PAYLOAD, "overview": "", "credits": {"cast": silent, "crew": []}})


def add_rated_film(connection: psycopg.Connection[Any], tmdbid: int, *, title: str, **columns: Any) -> None:
    """A row of raw.movies; `columns` replaces what is not the point of a test."""
    row = {
        "tmdbid": tmdbid, "imdbid": 100 + tmdbid, "title": title, "year": 1998, "bt_score": 3, "dubious": 0,
        "genres": ["Drama"], "production_companies": [], "production_countries": ["Sweden"],
        "release_date": date(1998, 5, 5), "cast": [], "crew": [], "budget": 1e6, "source": "file",
        "is_synthetic": False, "source_row": tmdbid, "row_hash": str(tmdbid), "first_loaded_at": LOADED_AT,
        "loaded_at": LOADED_AT, **columns,
    }  # fmt: skip
    values = [Jsonb(value) if isinstance(value, list) else value for value in row.values()]
    names = ", ".join(f'"{name}"' for name in row)
    places = ", ".join(["%s"] * len(row))
    connection.execute(f"insert into raw.movies ({names}) values ({places})", values)  # noqa: S608  # names are ours


def add_first_load(connection: psycopg.Connection[Any]) -> None:
    """The books say that everything so far came with the first load: it is history, docs/decisions/0010."""
    for target in ("raw.movies", "raw.tmdb_movies"):
        connection.execute(
            "insert into raw.loads values (default, %s, 'file', '', 0, 0, 0, 0, 0, 0, %s, %s)",
            [target, LOADED_AT, LOADED_AT],
        )


def add_payload(connection: psycopg.Connection[Any], tmdb_id: int, payload: dict[str, Any]) -> None:
    """A row of raw.tmdb_movies."""
    connection.execute(
        "insert into raw.tmdb_movies values (%s, %s, 'file', false, %s, %s, %s)",
        [tmdb_id, Jsonb({"id": tmdb_id, **payload}), str(tmdb_id), LOADED_AT, LOADED_AT],
    )


@dataclass(frozen=True)
class Project:
    """dbt and Feast over one database, with build output in a folder of their own."""

    database_url: str
    output: Path
    folder: Path = ROOT / "dbt_project"

    @property
    def manifest(self) -> Path:
        return self.output / "manifest.json"

    def dbt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a dbt command to its end, whatever it is."""
        return self._run(*self._dbt_command(*arguments))

    def start_dbt(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a dbt command, to be killed."""
        return self._start(*self._dbt_command(*arguments))

    def start_publish(self) -> subprocess.Popen[bytes]:
        """Start `feature_repo/publish.py`, to be killed."""
        return self._start("feature_repo/publish.py", "--manifest", str(self.manifest), "--all")

    def apply_by_hand(self) -> subprocess.CompletedProcess[str]:
        """`feast apply`, as a person types it, over this project's manifest."""
        return self._run(*self._apply_command())

    def start_apply_by_hand(self) -> subprocess.Popen[bytes]:
        """Start `feast apply`, to be killed."""
        return self._start(*self._apply_command())

    def build(self) -> None:
        """`dbt build`, which must succeed."""
        done = self.dbt("build")
        assert done.returncode == 0, done.stdout

    def run(self) -> None:
        """A build without its tests, which must succeed."""
        done = self.dbt("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
        assert done.returncode == 0, done.stdout

    def publish(self, *arguments: str) -> str:
        """`feature_repo/publish.py`, which must succeed; its log."""
        done = self._run("feature_repo/publish.py", "--manifest", str(self.manifest), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries."""
        with psycopg.connect(self.database_url, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]

    def _dbt_command(self, *arguments: str) -> list[str]:
        folders = ["--project-dir", str(self.folder), "--profiles-dir", str(self.folder)]
        output = ["--target-path", str(self.output), "--log-path", str(self.output)]
        return ["-m", "dbt.cli.main", *arguments, *folders, *output]

    def _apply_command(self) -> list[str]:
        """The definitions look for the manifest beside them: a copy of them beside a copy of ours."""
        root = self.output / "checkout"
        shutil.copytree(ROOT / "feature_repo", root / "feature_repo", dirs_exist_ok=True)
        target = root / "dbt_project" / "target"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.manifest, target)
        paths = f"import sys; sys.path[:0] = [{str(root)!r}, {str(ROOT)!r}]"
        return ["-c", f"{paths}; from feast.cli.cli import cli; cli(['-c', {str(root / 'feature_repo')!r}, 'apply'])"]

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DB_CONNECTION_STRING": self.database_url}

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self._environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def open_store(database_url: str) -> Iterator[FeatureStore]:
    """The feature store over a database, its connections closed at the end: Feast leaves them to the process's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB_CONNECTION_STRING", database_url)
        opened = FeatureStore(str(ROOT / "feature_repo"))
        yield opened
        close_store(opened)


def close_store(store: FeatureStore) -> None:
    """Close what Feast keeps open."""
    store.registry.write_engine.dispose()
    store.registry.read_engine.dispose()
    for pool in [found for found in gc.get_objects() if isinstance(found, ConnectionPool)]:
        pool.close()


def columns_of(manifest: Path, model: str) -> dict[str, str]:
    """Column names and types that a model's contract promises."""
    node = json.loads(manifest.read_text(encoding="utf-8"))["nodes"][f"model.bechdel.{model}"]
    return {name: column["data_type"] for name, column in node["columns"].items()}
