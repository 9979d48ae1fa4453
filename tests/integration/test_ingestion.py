"""Loads into a real PostgreSQL: figures that add up, nothing lost, nothing half done."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from common.errors import SourceError
from ingestion.accounting import LoadReport
from ingestion.commands import load
from ingestion.sample.files import ensure
from ingestion.sources import Source

FILM = {
    "": "0", "title": "The Quiet Map", "year": "2001", "bt_score": "3", "dubious": "0", "imdbid": "1", "tmdbId": "1",
    "genres": "['Drama']", "popularity": "1.5", "production_companies": "[]", "production_countries": "['France']",
    "release_date": "03/02/2001", "revenue": "2147483648.0", "vote_average": "6.5", "vote_count": "10.0",
    "cast": "[{'gender': 1, 'id': 1, 'name': 'A', 'character': 'B', 'order': 0}]", "crew": "[]", "budget": "0.0",
    "cast_gender": "[1]", "crew_gender": "[]",
    "cast_female_representation": "100.0", "crew_female_representation": "",
}  # fmt: skip

TABLES = ("raw.movies", "raw.movies_rejected", "raw.tmdb_movies", "raw.tmdb_movies_rejected")


def film(number: int, **changes: str) -> dict[str, str]:
    return {**FILM, "imdbid": str(number), "tmdbId": str(number), **changes}


def line(row: dict[str, str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(row.values())
    return buffer.getvalue()


def write(path: Path, *rows: dict[str, str]) -> Path:
    path.write_text(line({name: name for name in rows[0]}) + "".join(map(line, rows)), encoding="utf-8")
    return path


def write_payloads(path: Path, *payloads: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(payload) + "\n" for payload in payloads))
    return path


def load_file(database_url: str, movies: Path, payloads: Path | None = None, name: str = "file") -> list[LoadReport]:
    return load(database_url, Source(name, movies, payloads))


def query(database_url: str, statement: str) -> list[dict[str, object]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(statement).fetchall()


def contents(database_url: str) -> list[list[dict[str, object]]]:
    """Every row of every table, with the transaction that wrote it."""
    return [query(database_url, f"select *, xmin::text from {table} order by 1, 2, 3") for table in TABLES]  # noqa: S608


def figures(report: LoadReport) -> tuple[int, ...]:
    """read, loaded, unchanged, updated, rejected, removed"""
    return (report.read, report.loaded, report.unchanged, report.updated, report.rejected, report.removed)


def test_values_arrive_as_they_are(database_url: str, tmp_path: Path) -> None:
    load_file(database_url, write(tmp_path / "movies.csv", film(1, title="Café\t\\N\n'x'")))
    (row,) = query(database_url, "select * from raw.movies")
    assert row["title"] == "Café\t\\N\n'x'"
    assert row["revenue"] == 2147483648.0
    assert row["cast"] == [{"gender": 1, "id": 1, "name": "A", "character": "B", "order": 0}]
    assert row["crew_female_representation"] is None
    assert (row["source"], row["is_synthetic"], row["extra"]) == ("file", False, {})


def test_same_file_twice_changes_nothing(database_url: str, tmp_path: Path) -> None:
    movies = write(tmp_path / "movies.csv", film(1), film(2), film(1))
    payloads = write_payloads(tmp_path / "payloads.jsonl", {"id": 1, "title": "A"}, {"id": 2, "title": "B"})
    load_file(database_url, movies, payloads)
    before = contents(database_url)
    assert [figures(report) for report in load_file(database_url, movies, payloads)] == [
        (3, 0, 2, 0, 1, 0),
        (2, 0, 2, 0, 0, 0),
    ]
    after = contents(database_url)
    assert after == before


def test_load_is_a_snapshot_of_its_file(database_url: str, tmp_path: Path) -> None:
    load_file(database_url, write(tmp_path / "old.csv", film(1), film(2), film(3)))
    times = {row["tmdbid"]: row["loaded_at"] for row in query(database_url, "select * from raw.movies")}
    (report,) = load_file(database_url, write(tmp_path / "new.csv", film(4), film(2), film(1, bt_score="1")))
    assert figures(report) == (3, 1, 1, 1, 0, 1)
    rows = {row["tmdbid"]: row for row in query(database_url, "select * from raw.movies")}
    assert set(rows) == {1, 2, 4}
    assert rows[1]["bt_score"] == 1
    assert rows[1]["loaded_at"] > rows[1]["first_loaded_at"] == times[1]
    assert rows[2]["loaded_at"] == times[2]


def test_figures_are_written_beside_the_load(database_url: str, tmp_path: Path) -> None:
    load_file(database_url, write(tmp_path / "movies.csv", film(1), film(2, year="soon")))
    (row,) = query(database_url, "select * from raw.loads")
    names = ("rows_read", "rows_loaded", "rows_unchanged", "rows_updated", "rows_rejected", "rows_removed")
    assert [row[name] for name in names] == [2, 1, 0, 0, 1, 0]
    assert row["target"] == "raw.movies"
    assert row["finished_at"] > row["started_at"]


def test_duplicates_are_explained(database_url: str, tmp_path: Path) -> None:
    movies = write(
        tmp_path / "movies.csv",
        film(1), film(1), film(1, dubious="1"), film(2, budget=""), film(2, budget="5.0"), film(3, imdbid="1"),
    )  # fmt: skip
    (report,) = load_file(database_url, movies)
    assert figures(report) == (6, 2, 0, 0, 4, 0)
    rejected = query(database_url, "select * from raw.movies_rejected order by source_row")
    assert [(row["source_row"], row["reason_code"], row["reason"]) for row in rejected] == [
        (2, "exact_duplicate", "The row is an exact duplicate of row 1 (film 1), which is kept."),
        (3, "conflicting_duplicate", "The row is film 1 again, as row 1, with a different column dubious; "
         "row 1 is kept because it comes first and knows as many values."),
        (4, "conflicting_duplicate", "The row is film 2 again, as row 5, with a different column budget; "
         "row 5 is kept because it knows more values."),
        (6, "imdbid_of_another_film", "Film 3 has the IMDb id 1 that row 1 gives to film 1; "
         "row 1 is kept because it comes first."),
    ]  # fmt: skip
    assert rejected[1]["original"]["dubious"] == "1"


BAD_FIELDS = [
    ("title_missing", {"title": " "}),
    ("year_missing", {"year": ""}),
    ("year_not_a_whole_number", {"year": "2001.5"}),
    ("year_out_of_range", {"year": "20013"}),
    ("bt_score_out_of_range", {"bt_score": "4"}),
    ("bt_score_missing", {"bt_score": ""}),
    ("dubious_out_of_range", {"dubious": "2"}),
    ("imdbid_not_a_whole_number", {"imdbid": "nm0000001"}),
    ("tmdbid_missing", {"tmdbId": ""}),
    ("tmdbid_out_of_range", {"tmdbId": "-5"}),
    ("tmdbid_out_of_range", {"tmdbId": "9223372036854775808"}),
    ("tmdbid_not_a_whole_number", {"tmdbId": "1_000"}),
    ("popularity_not_a_number", {"popularity": "nan"}),
    ("revenue_not_a_number", {"revenue": "inf"}),
    ("revenue_out_of_range", {"revenue": "1e400"}),
    ("budget_out_of_range", {"budget": "-1"}),
    ("vote_average_out_of_range", {"vote_average": "10.1"}),
    ("vote_count_not_a_number", {"vote_count": "many"}),
    ("cast_female_representation_out_of_range", {"cast_female_representation": "101"}),
    ("release_date_not_a_date", {"release_date": "31/02/2001"}),
    ("release_date_not_a_date", {"release_date": "02/13/2001"}),
    ("release_date_out_of_range", {"release_date": "01/01/0001"}),
    ("genres_not_a_list", {"genres": "Drama"}),
    ("genres_wrong_item", {"genres": "['Drama', 7]"}),
    ("genres_not_a_list", {"genres": "__import__('os').system('true')"}),
    ("production_companies_not_a_list", {"production_companies": "['A', 'B'"}),
    ("production_countries_not_a_list", {"production_countries": "['a\\x00b']"}),
    ("cast_not_a_list", {"cast": "[" * 50_000 + "]" * 50_000}),
    ("cast_wrong_item", {"cast": "[{'gender': 9}]"}),
    ("cast_gender_wrong_length", {"cast_gender": "[1, 2]"}),
    ("cast_gender_wrong_item", {"cast_gender": "[5]"}),
    ("crew_wrong_item", {"crew": "['Somebody']"}),
    ("nul_character", {"title": "a\x00b"}),
]
BAD_LINES = [
    ("too_few_fields", b"1,2,3\n"),
    ("too_many_fields", line(film(99)).encode().rstrip() + b",more\n"),
    ("not_utf8", line(film(99, title="caf\xe9")).encode("latin-1")),
    ("unbalanced_quotes", line(film(99)).encode().replace(b"The Quiet Map", b'"The Quiet Map')),
    ("unbalanced_quotes", line(film(99)).encode().replace(b"The Quiet Map", b'"The" Quiet Map')),
]


def test_bad_rows_of_every_kind_are_kept_with_their_reason(database_url: str, tmp_path: Path) -> None:
    bad = [(code, line(film(99, **changes)).encode()) for code, changes in BAD_FIELDS] + BAD_LINES
    movies = write(tmp_path / "movies.csv", film(1))
    with movies.open("ab") as file:
        for number, (_, text) in enumerate(bad, start=100):
            file.write(text)
            file.write(line(film(number, title="a good row\nbetween two bad ones")).encode())
    (report,) = load_file(database_url, movies)
    assert figures(report) == (2 * len(bad) + 1, len(bad) + 1, 0, 0, len(bad), 0)
    rejected = query(database_url, "select * from raw.movies_rejected order by source_row")
    assert [row["reason_code"] for row in rejected] == [code for code, _ in bad]
    assert [row["source_row"] for row in rejected] == list(range(2, 2 * len(bad) + 2, 2))
    assert all(str(row["reason"]).endswith(".") and row["original"] for row in rejected)


def test_unknown_column_is_kept_and_reported(database_url: str, tmp_path: Path) -> None:
    (report,) = load_file(database_url, write(tmp_path / "movies.csv", film(1, country_rank="7")))
    assert query(database_url, "select extra from raw.movies") == [{"extra": {"country_rank": "7"}}]
    assert report.notes == ("The unknown column 'country_rank' is kept in raw.movies.extra.",)


@pytest.mark.parametrize("rows", [[film(2, year="soon")], [{**film(2), "cast": "x"}]])
def test_file_without_a_usable_film_leaves_the_old_ones(
    database_url: str, tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    load_file(database_url, write(tmp_path / "old.csv", film(1)))
    with pytest.raises(SourceError, match="no film that can be used"):
        load_file(database_url, write(tmp_path / "new.csv", *rows))
    assert query(database_url, "select tmdbid from raw.movies") == [{"tmdbid": 1}]


def test_damaged_file_leaves_the_old_films(database_url: str, tmp_path: Path) -> None:
    load_file(database_url, write(tmp_path / "old.csv", film(1)))
    text = write(tmp_path / "new.csv", *(film(number, title=os.urandom(20).hex()) for number in range(2, 2000)))
    damaged = tmp_path / "new.csv.gz"
    damaged.write_bytes(gzip.compress(text.read_bytes())[:-2000])
    with pytest.raises(SourceError, match="is damaged"):
        load_file(database_url, damaged)
    assert query(database_url, "select tmdbid from raw.movies") == [{"tmdbid": 1}]


def test_bad_payload_file_takes_the_films_back_too(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no film that can be used"):
        load_file(database_url, write(tmp_path / "a.csv", film(1)), write_payloads(tmp_path / "a.jsonl", {"id": "x"}))
    assert query(database_url, "select tmdbid from raw.movies") == []


def test_killed_load_leaves_the_old_films(database_url: str, tmp_path: Path, root: Path) -> None:
    load_file(database_url, write(tmp_path / "old.csv", film(1)))
    sample = ensure(tmp_path / "sample", films=4000, seed=7)
    command = [sys.executable, "-m", "ingestion", "load", "--source", str(sample.movies)]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "DB_CONNECTION_STRING": database_url})
    deadline = time.monotonic() + 60
    copying = "select 1 from pg_stat_activity where datname = current_database() and query ilike 'copy incoming%'"
    while not query(database_url, copying):
        assert process.poll() is None, "the load was over before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert query(database_url, "select tmdbid from raw.movies") == [{"tmdbid": 1}]
    (report,) = load_file(database_url, sample.movies)
    assert (report.loaded, report.removed) == (4000, 1)


def test_payloads_are_accounted_for(database_url: str, tmp_path: Path) -> None:
    movies = write(tmp_path / "movies.csv", film(1))
    first = write_payloads(
        tmp_path / "first.jsonl",
        {"id": 1, "title": "A"}, {"id": 2, "title": "B\x00"}, {"id": 2, "title": "B"}, {"id": 2, "title": "C"},
        {"id": 0},
    )  # fmt: skip
    report = load_file(database_url, movies, first)[1]
    assert figures(report) == (5, 2, 0, 0, 3, 0)
    assert report.notes == ("1 NUL characters were taken out: PostgreSQL stores none.",)
    rejected = query(database_url, "select * from raw.tmdb_movies_rejected order by source_row")
    assert [row["reason_code"] for row in rejected] == ["exact_duplicate", "conflicting_duplicate", "id_invalid"]
    assert "line 2 is kept" in str(rejected[1]["reason"])
    second = write_payloads(tmp_path / "second.jsonl", {"id": 2, "title": "B"}, {"id": 3, "title": "D"})
    assert figures(load_file(database_url, movies, second)[1]) == (2, 1, 1, 0, 0, 1)


def test_payload_of_a_file_lies_uncompressed_with_its_facts_beside_it(database_url: str, tmp_path: Path) -> None:
    film_of_size = {"id": 1, "title": "A", "credits": None, "overview": "She and he. " * 500}
    payloads = write_payloads(tmp_path / "payloads.jsonl", film_of_size, {"id": 2, "title": "B", "credits": {}})
    load_file(database_url, write(tmp_path / "movies.csv", film(1)), payloads)
    stored = query(
        database_url,
        "select pg_column_compression(payload) as compression, title, has_credits "
        "from raw.tmdb_movies order by tmdb_id",
    )
    assert stored == [
        {"compression": None, "title": "A", "has_credits": False},
        {"compression": None, "title": "B", "has_credits": True},
    ]


def test_what_is_no_object_cannot_be_an_answer(database_url: str) -> None:
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("insert into raw.tmdb_movies values (1, '[]', 'api', false, 'x', now(), now())")


def test_answer_of_tmdb_is_not_overwritten_by_a_file(database_url: str, tmp_path: Path) -> None:
    movies = write(tmp_path / "movies.csv", film(1))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into raw.tmdb_movies values (1, %(payload)s, 'api', false, 'x', %(now)s, %(now)s)",
            {"payload": '{"id": 1, "title": "live"}', "now": datetime.now(UTC)},
        )
    payloads = write_payloads(tmp_path / "payloads.jsonl", {"id": 1, "title": "file"}, {"id": 2, "title": "file"})
    assert figures(load_file(database_url, movies, payloads)[1]) == (2, 1, 1, 0, 0, 0)
    titles = query(database_url, "select payload ->> 'title' as title from raw.tmdb_movies order by tmdb_id")
    assert titles == [{"title": "live"}, {"title": "file"}]


def test_real_films_drive_the_synthetic_ones_out(database_url: str, tmp_path: Path) -> None:
    sample = ensure(tmp_path, films=50, seed=7)
    load_file(database_url, sample.movies, sample.payloads, name="sample")
    assert query(database_url, "select count(*) from raw.tmdb_movies where is_synthetic") == [{"count": 50}]
    assert query(database_url, "select distinct is_synthetic, source from raw.movies") == [
        {"is_synthetic": True, "source": "sample"}
    ]
    load_file(database_url, write(tmp_path / "real.csv", film(1)))
    assert query(database_url, "select count(*) from raw.tmdb_movies") == [{"count": 0}]
    assert query(database_url, "select tmdbid, is_synthetic from raw.movies") == [
        {"tmdbid": 1, "is_synthetic": False}
    ]


def test_real_films_give_the_known_figures(database_url: str, shared_data: Path) -> None:
    reports = load_file(database_url, shared_data / "movies.csv.gz", shared_data / "tmdb_payloads.jsonl.gz")
    assert [figures(report) for report in reports] == [(7050, 7044, 0, 0, 6, 0), (7044, 7044, 0, 0, 0, 0)]
    assert reports[0].reasons == {"exact_duplicate": 6}


def test_command_without_a_terminal_prints_a_few_lines(database_url: str, tmp_path: Path, root: Path) -> None:
    environment = {
        **os.environ,
        "DB_CONNECTION_STRING": database_url,
        "STATE_DIR": str(tmp_path),
        "SAMPLE_FILMS": "100",
    }
    command = [sys.executable, "-m", "ingestion", "load", "--source", "auto"]
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "TMDB_PAYLOADS"):
        environment[name] = ""
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "SYNTHETIC" in done.stderr
    assert "read=102 loaded=100 unchanged=0 updated=0 rejected=2 removed=0" in done.stderr
    assert len(done.stderr.splitlines()) <= 10


def test_command_with_an_unknown_file_prints_one_line(database_url: str, root: Path) -> None:
    command = [sys.executable, "-m", "ingestion", "load", "--source", "/nowhere/movies.csv"]
    environment = {**os.environ, "DB_CONNECTION_STRING": database_url}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is no file /nowhere/movies.csv.")
    assert len(done.stderr.splitlines()) == 1
