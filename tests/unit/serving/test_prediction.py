"""Live, stored and missing data each give the best honest answer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import responses
from pydantic import SecretStr

from common.errors import AdultMovieError, DatabaseError, MovieNotFoundError, PlatformError, UnexpectedError
from common.tmdb import TmdbClient
from serving.schemas import ByTitle, ByTmdbId
from tests.serving_parts import Platform

TMDB = "http://tmdb.test/3"
PAYLOAD = {"id": 109445, "title": "Frozen", "release_date": "2013-11-20", "credits": {"cast": [], "crew": []}}


@pytest.fixture
def tmdb() -> Iterator[TmdbClient]:
    client = TmdbClient(SecretStr("token"), TMDB)
    yield client
    client.close()


@pytest.fixture
def platform(tmdb: TmdbClient) -> Platform:
    return Platform(tmdb=tmdb)


def ask(platform: Platform, tmdb_id: int):  # type: ignore[no-untyped-def]
    return platform.app.extensions["bechdel"].predictor.predict(ByTmdbId(tmdb_id=tmdb_id))


def ask_all(platform: Platform, *tmdb_ids: int):  # type: ignore[no-untyped-def]
    predictor = platform.app.extensions["bechdel"].predictor
    return predictor.predict_all([ByTmdbId(tmdb_id=tmdb_id) for tmdb_id in tmdb_ids])


@responses.activate
def test_film_is_fetched_landed_and_answered_live(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/109445", json=PAYLOAD)

    answer = ask(platform, 109445)

    assert answer.data.live
    assert answer.data.fetched_at is not None
    assert 109445 in platform.landing.rows


@responses.activate
def test_film_that_landed_today_needs_no_call(platform: Platform) -> None:
    platform.landing.land(PAYLOAD)

    assert ask(platform, 109445).data.live
    assert len(responses.calls) == 0


@responses.activate
def test_stale_film_is_fetched_again(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/109445", json=PAYLOAD)
    platform.landing.land(PAYLOAD, datetime.now(UTC) - timedelta(days=2))

    assert ask(platform, 109445).data.live
    assert len(responses.calls) == 1


@responses.activate
def test_stale_film_is_shown_as_such_when_tmdb_is_down(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/109445", status=503)
    fetched_at = datetime.now(UTC) - timedelta(days=2)
    platform.landing.land(PAYLOAD, fetched_at)

    answer = ask(platform, 109445)

    assert not answer.data.live
    assert answer.data.fetched_at == fetched_at
    assert f"TMDB's data of {fetched_at:%Y-%m-%d}" in answer.data.degraded[0]


@responses.activate
def test_stale_film_is_scored_by_the_answer_that_it_names(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses.get(f"{TMDB}/movie/109445", status=503)
    platform.landing.land(PAYLOAD, datetime.now(UTC) - timedelta(days=2))
    monkeypatch.setattr(platform.online, "read", lambda *_: pytest.fail("the store may hold an older answer"))

    assert ask(platform, 109445).data.degraded


@responses.activate
def test_film_that_tmdb_marks_as_adult_is_not_answered_though_the_catalogue_knows_it(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/109445", json={**PAYLOAD, "adult": True})

    with pytest.raises(AdultMovieError, match="adult"):
        ask(platform, 109445)


@responses.activate
def test_lookups_are_counted_once_by_where_the_data_came_from(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/109445", json=PAYLOAD)
    responses.get(f"{TMDB}/movie/44363", status=503)
    for film in (109445, 109445, 109445, 44363, 900000001):
        ask(platform, film)

    registry = platform.app.extensions["bechdel"].metrics.registry
    counts = {
        result: registry.get_sample_value("bechdel_tmdb_lookups_total", {"result": result})
        for result in ("fetched", "fresh", "stale", "none")
    }
    assert counts == {"fetched": 1, "fresh": 2, "stale": 1, "none": 1}


@responses.activate
def test_bug_that_one_film_brings_up_leaves_the_others_their_answers(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    responses.get(f"{TMDB}/movie/109445", json=PAYLOAD)
    responses.get(f"{TMDB}/movie/7", json={**PAYLOAD, "id": 7})
    land = platform.landing.land

    def land_but_seven(payload: dict[str, object]) -> object:
        if payload["id"] == 7:
            raise TypeError("Recursion limit reached")
        return land(payload)

    monkeypatch.setattr(platform.landing, "land", land_but_seven)

    good, bad = ask_all(platform, 109445, 7)

    assert not isinstance(good, PlatformError)
    assert isinstance(bad, UnexpectedError)
    assert "Recursion limit" in caplog.text
    assert "Recursion limit" not in str(bad)


def test_batch_while_the_database_is_away_answers_the_films_that_are_remembered() -> None:
    platform = Platform()
    ask(platform, 109445)
    platform.database.is_away = True

    remembered, unread = ask_all(platform, 109445, 5)

    assert not isinstance(remembered, PlatformError)
    assert isinstance(unread, DatabaseError)
    with pytest.raises(DatabaseError):
        ask_all(platform, 5)


def test_films_that_cannot_be_scored_now_leave_the_others_their_answers() -> None:
    platform = Platform()
    ask(platform, 109445)
    predictor = platform.app.extensions["bechdel"].predictor
    platform.landing.land({**PAYLOAD, "id": 44363})
    predictor._live.is_away = True

    remembered, unread = ask_all(platform, 109445, 44363)

    assert not isinstance(remembered, PlatformError)
    assert "does not answer" in str(unread)


def test_films_that_feast_has_are_answered_when_others_cannot_be_computed() -> None:
    platform = Platform()
    platform.landing.land({**PAYLOAD, "id": 44363})
    platform.app.extensions["bechdel"].predictor._live.is_away = True

    stored, unread = ask_all(platform, 109445, 44363)

    assert not isinstance(stored, PlatformError)
    assert "does not answer" in str(unread)


@responses.activate
def test_made_up_film_is_never_asked_of_tmdb(platform: Platform) -> None:
    assert ask(platform, 900000001).movie.synthetic
    assert len(responses.calls) == 0


@responses.activate
def test_film_that_nobody_knows_is_not_found(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/404", json={"status_code": 34}, status=404)

    with pytest.raises(MovieNotFoundError, match="TMDB has no movie with id 404"):
        ask(platform, 404)


@responses.activate
def test_missing_credits_are_told(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/109445", json={"id": 109445, "title": "Frozen"})
    responses.get(f"{TMDB}/movie/109445/credits", status=500)

    assert ask(platform, 109445).data.degraded == ["TMDB left the cast and crew out of its answer."]


@responses.activate
def test_title_falls_back_on_the_catalogue_when_tmdb_is_down(platform: Platform) -> None:
    responses.get(f"{TMDB}/search/movie", status=503)
    responses.get(f"{TMDB}/movie/109445", status=503)
    predictor = platform.app.extensions["bechdel"].predictor

    answer = predictor.predict(ByTitle(title="Frozen", year=2013))

    assert answer.movie.tmdb_id == 109445
    assert answer.data.degraded


@pytest.mark.parametrize(
    ("status", "asked", "detail"), [(401, 1, "refuses TMDB_API_TOKEN"), (403, 5, "failed several")]
)
@responses.activate
def test_readiness_names_tmdb_that_refuses_or_fails(platform: Platform, status: int, asked: int, detail: str) -> None:
    def tmdb() -> dict[str, object]:
        return dict(platform.client.get("/readyz").get_json()["checks"]["tmdb"])

    responses.get(f"{TMDB}/movie/109445", status=status)
    assert tmdb() == {"ok": True}
    for _ in range(asked):
        ask(platform, 109445)

    assert tmdb()["ok"] is False
    assert detail in str(tmdb()["detail"])
