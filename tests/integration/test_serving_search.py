"""Titles that people type, looked up in a catalogue on a real PostgreSQL."""

from collections.abc import Iterator

import psycopg
import pytest

from common.tmdb.titles import search_key
from serving.database import Database
from serving.films import Catalogue

FILMS = ((1, "Harbour", 1963), (2, "Harbour", 1999), (3, "The Old Harbour", 1964), (4, "Summer 1993", 2017))


@pytest.fixture(scope="module")
def catalogue(module_database_url: str) -> Iterator[Catalogue]:
    with psycopg.connect(module_database_url) as connection:
        connection.execute("create schema marts")
        connection.execute("""
            create table marts.dim_movies (
                movie_id bigint, title text, title_search text, year integer, popularity_rank bigint,
                imdb_id text, original_title text, original_title_search text, poster_path text, is_synthetic boolean
            )
        """)
        for movie_id, title, year in FILMS:
            connection.execute(
                """
                insert into marts.dim_movies (movie_id, title, title_search, year, popularity_rank, is_synthetic)
                values (%s, %s, %s, %s, %s, false)
                """,
                [movie_id, title, search_key(title), year, 10 - movie_id],
            )
    database = Database(module_database_url, connections=2)
    yield Catalogue(database)
    database.close()


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("harbour", [2, 1, 3]),
        ("Harbour 1963", [1, 3]),
        ("Harbour (1964)", [1, 3]),
        ("old harbour, 1964", [3]),
        ("Harbour 1980", []),
        ("summer 1993", [4]),
        ("1963", []),
        (" ", []),
        ("\0", []),
    ],
)
def test_search_takes_a_typed_year_for_the_films_year_unless_a_title_holds_it(
    catalogue: Catalogue, typed: str, found: list[int]
) -> None:
    assert [film.tmdb_id for film in catalogue.search(typed, 5)] == found


@pytest.mark.parametrize(
    ("typed", "year", "found"),
    [
        ("Harbour (1963)", 1963, 1),
        ("Harbour 1999", 1999, 2),
        ("Harbour 1999", None, 2),
        ("Harbour 1999", 1963, None),
        ("Summer 1993", 2017, 4),
    ],
)
def test_typed_year_that_is_also_given_is_split_off(
    catalogue: Catalogue, typed: str, year: int | None, found: int | None
) -> None:
    film = catalogue.match(typed, year).film

    assert (film.tmdb_id if film else None) == found
