"""The same seed gives the same bytes; the shapes are those of the real thing; nothing is mistaken for real."""

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ingestion.literals import parse_list
from ingestion.movies import FIRST_SYNTHETIC_ID, MovieRow, parse_movie, read_layout
from ingestion.records import open_text, read_csv_records, read_header
from ingestion.sample.files import SampleFiles, ensure

FILMS = 1500


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    return ensure(tmp_path_factory.mktemp("sample"), films=FILMS, seed=7)


@pytest.fixture(scope="module")
def rows(sample: SampleFiles) -> list[dict[str, str]]:
    with gzip.open(sample.movies, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def payloads(sample: SampleFiles) -> list[dict[str, object]]:
    with gzip.open(sample.payloads, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_same_seed_gives_the_same_bytes_in_another_process(sample: SampleFiles, tmp_path: Path, root: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ingestion",
        "sample",
        "--films",
        str(FILMS),
        "--seed",
        "7",
        "--out",
        str(tmp_path),
    ]
    subprocess.run(command, check=True, cwd=root, env={**os.environ, "PYTHONHASHSEED": "1234"})
    assert (tmp_path / sample.movies.name).read_bytes() == sample.movies.read_bytes()
    assert (tmp_path / sample.payloads.name).read_bytes() == sample.payloads.read_bytes()


def test_another_seed_gives_other_films(sample: SampleFiles, tmp_path: Path) -> None:
    assert ensure(tmp_path, films=FILMS, seed=8).movies.read_bytes() != sample.movies.read_bytes()


def test_sample_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    first = ensure(tmp_path, films=20, seed=1).movies.stat().st_mtime_ns
    assert ensure(tmp_path, films=20, seed=1).movies.stat().st_mtime_ns == first


def test_sample_of_an_older_generator_is_made_again(tmp_path: Path) -> None:
    files = ensure(tmp_path, films=20, seed=1)
    whole = files.movies.read_bytes()
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"generator_version": ', '"generator_version": 9'))
    files.movies.write_bytes(b"old")
    assert ensure(tmp_path, films=20, seed=1).movies.read_bytes() == whole


def test_every_row_can_be_loaded(sample: SampleFiles) -> None:
    with open_text(sample.movies) as lines:
        layout = read_layout(read_header(lines, sample.movies), sample.movies)
        movies = [parse_movie(record, layout) for record in read_csv_records(lines, list(layout.header))]
    assert all(isinstance(movie, MovieRow) for movie in movies)
    assert {movie.tmdb_id for movie in movies if isinstance(movie, MovieRow)} == set(
        range(FIRST_SYNTHETIC_ID, FIRST_SYNTHETIC_ID + FILMS)
    )


def test_every_payload_is_marked_and_every_id_is_out_of_reach(payloads: list[dict[str, object]]) -> None:
    text = json.dumps(payloads)
    assert all(payload["synthetic"] is True for payload in payloads)
    people = [int(number) for number in re.findall(r'"id": (\d+), "known_for', text)]
    assert min(people) >= FIRST_SYNTHETIC_ID
    assert max(people) < 2**31


def test_shares_are_near_those_of_the_real_films(rows: list[dict[str, str]]) -> None:
    ratings = Counter(row["bt_score"] for row in rows)
    assert 0.50 < ratings["3"] / len(rows) < 0.60
    assert min(ratings[rating] for rating in "012") / len(rows) > 0.06
    assert 0.25 < sum(row["cast"] == "[]" for row in rows) / len(rows) < 0.40
    assert 0.40 < sum(row["budget"] in {"", "0.0"} for row in rows) / len(rows) < 0.60
    genders = Counter(gender for row in rows for gender in parse_list(row["cast_gender"]))
    assert 0.15 < genders[0] / genders.total() < 0.45
    assert 0.15 < genders[1] / genders.total() < 0.40


def test_awkward_cases_of_the_real_films_are_there(
    rows: list[dict[str, str]], payloads: list[dict[str, object]]
) -> None:
    films = Counter(row["tmdbId"] for row in rows)
    titles = Counter(row["title"] for row in rows)
    assert max(films.values()) == 2, "duplicates"
    assert len({(row["tmdbId"], row["dubious"]) for row in rows}) > len(films), "conflicting duplicates"
    assert any("&amp;" in title or "&#39;" in title for title in titles), "HTML entities"
    assert any(not title.isascii() for title in titles), "letters beyond ASCII"
    assert len(titles) < len(films), "titles shared by several films"
    assert any(float(row["revenue"] or 0) > 2**31 for row in rows), "revenue beyond 32 bits"
    assert any(not row["budget"] for row in rows), "films without figures"
    assert any(payload["release_date"] == "" for payload in payloads), "unknown release dates"
    assert any(row["year"] != row["release_date"][-4:] for row in rows), "year and release year differ"
    assert max(row["crew"].count("'Director'") for row in rows) > 1, "several directors"


def test_people_have_careers(rows: list[dict[str, str]]) -> None:
    names: dict[object, set[object]] = {}
    credits_count: Counter[object] = Counter()
    for row in rows:
        for credit in parse_list(row["cast"]):
            assert isinstance(credit, dict)
            names.setdefault(credit["id"], set()).add((credit["name"], credit["gender"]))
            credits_count[credit["id"]] += 1
    assert max(credits_count.values()) > 5
    assert all(len(known_as) == 1 for known_as in names.values())
