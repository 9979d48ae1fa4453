"""Live, stored and missing data each give the best honest answer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import responses
from pydantic import SecretStr

from common.errors import MovieNotFoundError
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
def test_made_up_film_is_never_asked_of_tmdb(platform: Platform) -> None:
    assert ask(platform, 900000001).movie.synthetic
    assert len(responses.calls) == 0


@responses.activate
def test_film_that_nobody_knows_is_not_found(platform: Platform) -> None:
    responses.get(f"{TMDB}/movie/404", status=404)

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
