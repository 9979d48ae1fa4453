"""The layout of a file and the values of one row."""

from datetime import date
from pathlib import Path

import pytest

from common.errors import SourceError
from ingestion.movies import COLUMNS, PARSERS, MovieRow, parse_movie, read_layout
from ingestion.records import Record, Rejection

ROW = {
    "": "0", "title": "The Quiet Map", "year": "2001", "bt_score": "3", "dubious": "0", "imdbid": "7", "tmdbId": "8",
    "genres": "['Drama']", "popularity": "1.5", "production_companies": "[]", "production_countries": "['France']",
    "release_date": "03/02/2001", "revenue": "2147483648.0", "vote_average": "6.5", "vote_count": "10.0",
    "cast": "[{'gender': 1, 'id': 1, 'name': \"D'Arc\"}]", "crew": "[]", "budget": "0.0", "cast_gender": "[1]",
    "crew_gender": "[]", "cast_female_representation": "100.0", "crew_female_representation": "",
}  # fmt: skip


def parse(**changes: str) -> MovieRow | Rejection:
    row = {**ROW, **changes}
    return parse_movie(Record(1, list(row.values())), read_layout(list(row), Path("movies.csv")))


def values(**changes: str) -> dict[str, object]:
    movie = parse(**changes)
    assert isinstance(movie, MovieRow), movie
    return dict(zip(COLUMNS, movie.values, strict=True))


def test_good_row_becomes_typed_values() -> None:
    found = values()
    assert found["tmdbid"] == 8
    assert found["release_date"] == date(2001, 2, 3)
    assert found["revenue"] == 2147483648.0
    assert found["cast"] == '[{"gender":1,"id":1,"name":"D\'Arc"}]'
    assert found["crew_female_representation"] is None


def test_unknown_column_is_kept_in_extra() -> None:
    assert values(country_rank="7")["extra"] == '{"country_rank":"7"}'


def test_columns_are_found_in_any_order_and_case() -> None:
    assert read_layout([*(name.upper() for name in reversed(PARSERS))], Path("a.csv")).extra == {}


def test_missing_columns_are_refused_by_name() -> None:
    header = [name for name in ROW if name not in {"cast", "tmdbId"}]
    with pytest.raises(SourceError, match=r"movies\.csv lacks the columns tmdbId, cast"):
        read_layout(header, Path("movies.csv"))


def test_column_named_twice_is_refused() -> None:
    with pytest.raises(SourceError, match="names the column title twice"):
        read_layout([*ROW, "Title"], Path("movies.csv"))


def test_reason_names_column_and_value() -> None:
    rejection = parse(year="soon")
    assert isinstance(rejection, Rejection)
    assert rejection.code == "year_not_a_whole_number"
    assert rejection.reason == "The column year holds 'soon', which is not a whole number."
    assert rejection.original["year"] == "soon"
    assert rejection.original["index"] == "0"


def test_index_of_the_row_is_no_content_but_every_value_is() -> None:
    first, moved, changed = parse(), parse(**{"": "99"}), parse(dubious="1")
    assert isinstance(first, MovieRow)
    assert isinstance(moved, MovieRow)
    assert isinstance(changed, MovieRow)
    assert first.row_hash == moved.row_hash != changed.row_hash
