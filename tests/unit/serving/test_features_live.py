"""Live features in parts: each film once, whatever the number, and errors that come through."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import DatabaseError
from serving import features_live
from serving.features_live import LiveFeatures


class FakeDatabase:
    """Answers for every film, except where it fails or waits."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked: list[list[int]] = []
        self.fails_at = fails_at
        self.go_on = threading.Event()
        self.go_on.set()

    def fetch(self, _: str) -> list[dict[str, Any]]:
        return [{"column_name": "women"}]

    def fetch_for_each(self, _: str, keys: Sequence[int]) -> list[dict[str, Any]]:
        self.asked.append(list(keys))
        self.go_on.wait(10)
        if self.fails_at in keys:
            raise DatabaseError("gone")
        return [{"movie_id": key, "women": key} for key in keys]


def read(database: Any, films: int) -> list[dict[int, Any]]:
    return list(LiveFeatures(database).read_in_parts(range(1, films + 1), ("women",)))


@pytest.mark.parametrize(
    ("films", "sizes"), [(0, []), (1, [1]), (50, [50]), (51, [25, 26]), (60, [30, 30]), (100, [50, 50])]
)
def test_every_film_is_read_once_in_equal_parts(films: int, sizes: list[int]) -> None:
    database = FakeDatabase()

    parts = read(database, films)

    assert sorted(map(len, database.asked)) == sizes
    assert sorted(film for part in parts for film in part) == list(range(1, films + 1))
    assert all(row["women"] == film for part in parts for film, row in part.items())


@pytest.mark.parametrize("films", [3, 100])
def test_error_of_a_part_is_the_readers(films: int) -> None:
    with pytest.raises(DatabaseError, match="gone"):
        read(FakeDatabase(fails_at=films), films)


def test_nobody_waits_for_ever_and_what_is_not_read_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_live, "PART_SECONDS", 0.1)
    monkeypatch.setattr(features_live, "PART_FILMS", 10)
    database = FakeDatabase()
    database.go_on.clear()

    with pytest.raises(DatabaseError, match="too busy"):
        read(database, 100)
    database.go_on.set()

    assert len(database.asked) == features_live.PARTS_AT_A_TIME


def test_parts_that_nobody_begins_to_read_are_not_asked_for() -> None:
    database: Any = FakeDatabase()

    LiveFeatures(database).read_in_parts(range(100), ("women",))

    assert database.asked == []
