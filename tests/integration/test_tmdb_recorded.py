"""The ranking on searches that TMDB has really answered, whose order is not "exact title first"."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from common.tmdb import TmdbClient
from common.tmdb.limits import OwnLimits
from tests.fake_tmdb import TOKEN
from tests.recorded_tmdb import recorded_tmdb


@pytest.fixture(scope="module")
def tmdb(shared_data: Path) -> Iterator[TmdbClient]:
    with recorded_tmdb(shared_data) as port:
        client = TmdbClient(SecretStr(TOKEN), f"http://127.0.0.1:{port}/3", limits=OwnLimits(1000))
        yield client
        client.close()


@pytest.fixture(scope="module")
def first_pages(shared_data: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of page one by what was typed, as TMDB ordered them."""
    folder = shared_data.parent / "tmdb" / "fixtures"
    entries = json.loads((folder / "index.json").read_text())["entries"]
    return {
        entry["query"]: json.loads((folder / entry["file"]).read_text())["results"]
        for entry in entries
        if entry["kind"] == "search" and entry["query"] and entry["page"] == 1 and not entry.get("year")
    }


def test_every_film_of_page_one_that_bears_the_title_is_a_candidate_and_none_of_another_title(
    tmdb: TmdbClient, first_pages: dict[str, list[dict[str, Any]]]
) -> None:
    borne = {
        typed: {row["id"] for row in rows if typed.lower() in (row["title"].lower(), row["original_title"].lower())}
        for typed, rows in first_pages.items()
    }
    borne = {typed: films for typed, films in borne.items() if films}
    assert len(borne) > 20

    for typed, films in borne.items():
        match = tmdb.search(typed)
        assert match.kind in ("one", "several"), typed
        assert films <= {film.tmdb_id for film in match.candidates}, typed
        for film in match.candidates:
            assert typed.lower() in (film.title.lower(), (film.original_title or "").lower()), typed


def test_film_of_the_same_title_on_page_two_is_a_candidate(
    tmdb: TmdbClient, first_pages: dict[str, list[dict[str, Any]]]
) -> None:
    on_page_one = {row["id"] for row in first_pages["Home"]}

    assert {film.tmdb_id for film in tmdb.search("Home").candidates} - on_page_one


def test_a_film_above_the_one_that_was_meant_is_not_taken(
    tmdb: TmdbClient, first_pages: dict[str, list[dict[str, Any]]]
) -> None:
    for typed in ("Home", "blue", "Earth"):
        assert first_pages[typed][0]["title"].lower() != typed.lower()
        assert {film.title.lower() for film in tmdb.search(typed).candidates} == {typed.lower()}


def test_title_that_page_one_lacks_is_found_on_page_two(
    tmdb: TmdbClient, first_pages: dict[str, list[dict[str, Any]]]
) -> None:
    assert not any(row["title"].lower() == "dogs" for row in first_pages["dogs"])

    film = tmdb.search("dogs").film

    assert film is not None
    assert film.label == "Dogs (1976)"


@pytest.mark.parametrize(
    ("typed", "tmdb_id"),
    [("Home 2015", 228161), ("Home (2009)", 62320), ("Home, 2014", 228161), ("Blue 1993", 94794), ("Dune 1984", 841)],
)
def test_a_year_that_was_typed_chooses_among_films_of_one_title(tmdb: TmdbClient, typed: str, tmdb_id: int) -> None:
    film = tmdb.search(typed).film

    assert film is not None
    assert film.tmdb_id == tmdb_id


def test_nothing_found_is_no_film(tmdb: TmdbClient) -> None:
    assert tmdb.search("asdfasdfasgagh").kind == "none"
