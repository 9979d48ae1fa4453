"""What the charts' sentences say: nothing that the charts leave out."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from serving.database import Database
from serving.trends import Trends


def finding(name: str, rows: list[dict[str, Any]]) -> str:
    database = SimpleNamespace(fetch=lambda _: rows)
    return Trends(cast(Database, database)).draw(name).finding


def cell(name: str, decade: int, share: float) -> dict[str, Any]:
    return {"genre_name": name, "decade": decade, "films_count": 9, "pass_share": share}


def year(begin: int, share: float) -> dict[str, Any]:
    return {"year": begin, "films_count": 9, "pass_share": share, "pass_low_share": None, "pass_high_share": None}


def period(begin: int, passes: int) -> dict[str, Any]:
    fails = {f"rating_{rating}_count": 0 for rating in range(1, 3)}
    return {
        "period_start_year": begin,
        "films_count": 40,
        **fails,
        "rating_0_count": 40 - passes,
        "rating_3_count": passes,
    }


def test_decade_that_the_grid_leaves_out_is_not_told() -> None:
    rows = [
        cell(name, 2000, share) for name, share in (("Drama", 0.6), ("War", 0.2), ("Comedy", 0.5), ("Crime", 0.4))
    ]

    told = finding("genre", [*rows, cell("Drama", 2010, 0.9)])
    assert told == "2000s: Drama passes most often (60%), War least (20%)."


def test_grid_without_any_decade_tells_nothing() -> None:
    assert finding("genre", [cell(str(number), 1900 + 10 * number, 0.1 * number) for number in range(4)]) == ""


def test_lone_years_are_neither_the_last_nor_the_one_before_it() -> None:
    rows = [year(1950, 0.1), year(1999, 0.5), year(2000, 0.6), year(2010, 0.9)]

    assert finding("year", rows) == "Of the films of 2000, 60% pass."
    assert finding("year", [year(1949, 0.2), *rows]) == "Of the films of 2000, 60% pass; 10% of those of 1950."


def test_what_is_not_over_is_open() -> None:
    now = datetime.now(UTC).year
    begin = now - now % 5

    assert finding("levels", [period(begin - 5, 10), period(begin, 20)]) == f"Of the films since {begin}, 50% pass."
    assert finding("levels", [period(begin - 5, 10)]) == f"Of the films of {begin - 5} to {begin - 1}, 25% pass."
    assert finding("year", [year(now - 1, 0.5), year(now, 0.6)]) == f"Of the films since {now}, 60% pass."


def test_shares_that_are_written_alike_have_no_highest() -> None:
    assert finding("genre", [cell("Drama", 2000, 0.501), cell("War", 2000, 0.502)]) == ""
