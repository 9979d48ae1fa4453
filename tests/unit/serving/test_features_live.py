"""Live features in parts: each film once, whatever the number, and errors that come through."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import DatabaseError, FeatureStoreError
from serving import features_live
from serving.features_live import LiveFeatures, UnknownFeaturesError


class FakeDatabase:
    """Answers for every film, except where it fails or waits."""

    columns: tuple[str, ...] | None = ("women",)  # of the view; None while the database is away

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked: list[list[int]] = []
        self.fails_at = fails_at
        self.go_on = threading.Event()
        self.go_on.set()

    def fetch(self, _: str) -> list[dict[str, Any]]:
        if self.columns is None:
            raise DatabaseError("gone")
        return [{"column_name": name} for name in self.columns]

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


def test_features_that_the_view_lacks_are_refused() -> None:
    with pytest.raises(UnknownFeaturesError, match="lacks features of the model: men"):
        LiveFeatures(FakeDatabase()).refuse_unknown(("women", "men"))


@pytest.mark.parametrize("columns", [None, ()])
def test_view_that_cannot_be_asked_refuses_no_model(columns: tuple[str, ...] | None) -> None:
    database: Any = FakeDatabase()
    database.columns = columns
    live = LiveFeatures(database)

    live.refuse_unknown(("women",))

    with pytest.raises((DatabaseError, FeatureStoreError)):
        live.read([1], ("women",))
    database.columns = ("women",)
    assert live.read([1], ("women",)) == {1: {"women": 1}}


def test_view_is_asked_for_every_model_anew() -> None:
    database: Any = FakeDatabase()
    live = LiveFeatures(database)
    live.refuse_unknown(("women",))

    database.columns = ("men",)

    with pytest.raises(UnknownFeaturesError):
        live.refuse_unknown(("women",))
