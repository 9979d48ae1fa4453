"""A remembered vector is used exactly as long as nothing it depends on has changed."""

import sys
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from serving import film_states
from serving.champion import Champion
from serving.prediction import _vector
from serving.schemas import ByTmdbId
from serving.scored_films import ScoredFilm, ScoredFilms
from tests.serving_parts import VALUES, Platform


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setattr(film_states.FilmStates.__init__, "__kwdefaults__", {"remember_seconds": 0.0})
    return Platform()


def ask(platform: Platform) -> Any:
    return platform.app.extensions["bechdel"].predictor.predict(ByTmdbId(tmdb_id=109445))


def hits(platform: Platform) -> float:
    registry = platform.app.extensions["bechdel"].metrics.registry
    return registry.get_sample_value("bechdel_vector_cache_total", {"result": "hit"}) or 0.0


def test_film_asked_again_is_not_scored_again(platform: Platform) -> None:
    first, second = ask(platform), ask(platform)

    assert first == second
    assert hits(platform) == 1


def test_remembered_film_takes_the_room_that_it_needs(platform: Platform) -> None:
    champion = platform.champions.current()
    tracemalloc.start()
    vectors = [_vector(champion, VALUES[109445]) for _ in range(100)]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken < 2 * sum(map(sys.getsizeof, vectors))


def test_publishing_the_online_store_scores_anew(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ask(platform)
    monkeypatch.setitem(VALUES, 109445, {**VALUES[109445], "cast_female_count": 0})
    platform.database.published_at = datetime.now(UTC)

    assert ask(platform).prediction.probability < before.prediction.probability
    assert hits(platform) == 0


def test_another_champion_scores_anew(platform: Platform) -> None:
    ask(platform)
    champion = platform.champions.champion
    assert champion is not None
    platform.champions.champion = Champion(
        replace(champion.version, version="4"), champion.scorer, champion.loaded_at
    )

    assert ask(platform).model.version == "4"
    assert hits(platform) == 0


def test_new_payload_scores_anew(platform: Platform) -> None:
    ask(platform)
    platform.landing.land({"id": 109445, "title": "Frozen"})
    ask(platform)

    assert hits(platform) == 0


def test_film_asked_before_is_answered_and_marked_while_the_database_is_away(platform: Platform) -> None:
    before = ask(platform)
    platform.database.is_away = True
    after = ask(platform)

    assert after.prediction == before.prediction
    assert "remembers" in after.data.degraded[0]


def test_memory_is_bounded() -> None:
    films = ScoredFilms(films=2)
    scored = ScoredFilm(b"{}", (0.25,) * 4, "fail", (), ())
    for key in range(3):
        films.put(key, scored)

    assert [films.get(key) is not None for key in range(3)] == [False, True, True]
