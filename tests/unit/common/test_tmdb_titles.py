"""Which film a title means."""

import pytest

from common.tmdb.titles import Candidate, loose_key, match_title, search_key, split_year


def film(identity: int, title: str, year: int | None = None, **facts: object) -> Candidate:
    return Candidate(identity, title, year, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("amelie", "Amélie"),
        ("WALL-E", "WALL·E"),
        ("schindlers list", "Schindler's List"),
        ("Mr. & Mrs. Smith", "Mr. &amp; Mrs. Smith"),
        ("mr and mrs smith", "Mr. & Mrs. Smith"),
    ],
)
def test_case_accents_and_punctuation_do_not_matter(typed: str, title: str) -> None:
    assert search_key(typed) == search_key(title)


@pytest.mark.parametrize("title", ["!!!", "...", "—"])
def test_title_of_punctuation_keeps_a_key(title: str) -> None:
    assert search_key(title)


def test_article_behind_the_title_counts_as_in_front() -> None:
    assert loose_key("Matrix, The") == loose_key("The Matrix") == loose_key("Matrix")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mulan (2020)", ("Mulan", 2020)),
        ("Mulan 2020", ("Mulan", 2020)),
        ("Mulan, 2020", ("Mulan", 2020)),
        ("2012", ("2012", None)),
        ("Blade Runner 2049", ("Blade Runner 2049", None)),
        ("Area 51", ("Area 51", None)),
        ("Room 1408", ("Room 1408", None)),
    ],
)
def test_year_is_split_off_only_where_it_is_one(text: str, expected: tuple[str, int | None]) -> None:
    assert split_year(text, latest=2031) == expected


def test_same_title_in_several_years_is_a_choice() -> None:
    match = match_title("Home", None, [film(1, "Home", 2015), film(2, "Home", 2009, popularity=3.0)])

    assert match.kind == "several"
    assert [candidate.tmdb_id for candidate in match.candidates] == [2, 1]


def test_exact_year_comes_before_a_year_off_by_one() -> None:
    match = match_title("Home", 2009, [film(1, "Home", 2008), film(2, "Home", 2009)])

    assert match.film is not None
    assert match.film.tmdb_id == 2


def test_year_off_by_one_is_tolerated() -> None:
    match = match_title("Home", 2010, [film(1, "Home", 2015), film(2, "Home", 2009)])

    assert match.film is not None
    assert match.film.tmdb_id == 2


def test_years_off_by_one_on_both_sides_are_a_choice() -> None:
    assert match_title("Home", 2009, [film(1, "Home", 2008), film(2, "Home", 2010)]).kind == "several"


def test_title_in_another_year_only_is_not_taken() -> None:
    match = match_title("Home", 1950, [film(1, "Home", 2015)])

    assert match.kind == "other_year"
    assert match.film is None


def test_exact_title_comes_before_one_with_an_article() -> None:
    match = match_title("Mummy", None, [film(1, "The Mummy", 1999), film(2, "Mummy", 2003)])

    assert match.film is not None
    assert match.film.tmdb_id == 2


def test_title_with_an_article_from_the_year_comes_before_the_exact_one_from_another() -> None:
    match = match_title("Mummy", 1999, [film(1, "The Mummy", 1999), film(2, "Mummy", 2003)])

    assert match.film is not None
    assert match.film.tmdb_id == 1


def test_original_title_counts() -> None:
    match = match_title("Le Samouraï", None, [film(1, "The Samurai", 1967, original_title="Le Samouraï")])

    assert match.kind == "one"


def test_similar_title_is_never_taken_without_asking() -> None:
    match = match_title("Mulan", None, [film(1, "Mulan II", 2004)])

    assert match.kind == "similar"
    assert match.film is None


def test_film_that_was_found_twice_is_one_film() -> None:
    assert match_title("Home", None, [film(1, "Home", 2015), film(1, "Home", 2015)]).kind == "one"
