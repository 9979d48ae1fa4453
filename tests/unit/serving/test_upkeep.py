"""The backfill lands what it can, counts what it cannot, and stops at a refused credential."""

import re

import pytest
import responses
from pydantic import SecretStr

from common.errors import TmdbCredentialError, TmdbNotConfiguredError, TmdbUnavailableError
from common.settings import Settings
from common.tmdb import TmdbClient
from common.tmdb.limits import CircuitBreaker
from serving.upkeep import backfill, fetch_all
from tests.serving_parts import FakeLanding

TMDB = "http://tmdb.test/3"


@responses.activate
def test_films_land_and_the_others_are_counted() -> None:
    responses.get(f"{TMDB}/movie/1", json={"id": 1, "credits": {"cast": [], "crew": []}})
    responses.get(f"{TMDB}/movie/2", json={"status_code": 34}, status=404)
    responses.get(f"{TMDB}/movie/3", status=403)
    landing = FakeLanding()

    counts = fetch_all([1, 2, 3], TmdbClient(SecretStr("token"), TMDB), landing)  # type: ignore[arg-type]

    assert counts == (1, 1, 1)
    assert set(landing.rows) == {1}


@responses.activate
def test_refused_credential_ends_it() -> None:
    for film in range(1, 200):
        responses.get(f"{TMDB}/movie/{film}", status=401)

    with pytest.raises(TmdbCredentialError):
        fetch_all(list(range(1, 200)), TmdbClient(SecretStr("token"), TMDB), FakeLanding())  # type: ignore[arg-type]
    assert len(responses.calls) <= 10


@responses.activate
def test_an_outage_is_waited_for_and_fails_no_film_that_was_not_asked() -> None:
    films = range(1, 41)
    for _ in range(5):
        responses.get(re.compile(f"{TMDB}/movie/.*"), status=403)
    for film in films:
        responses.get(f"{TMDB}/movie/{film}", json={"id": film, "credits": {"cast": [], "crew": []}})
    tmdb = TmdbClient(SecretStr("token"), TMDB)
    tmdb.transport.breaker = CircuitBreaker(threshold=1, open_seconds=0.2)

    counts = fetch_all(list(films), tmdb, FakeLanding())  # type: ignore[arg-type]

    assert counts == (35, 0, 5)


@responses.activate
def test_a_lasting_outage_ends_it_with_one_sentence() -> None:
    responses.get(re.compile(f"{TMDB}/movie/.*"), status=403)
    tmdb = TmdbClient(SecretStr("token"), TMDB)
    tmdb.transport.breaker = CircuitBreaker(threshold=5, open_seconds=0.05)

    with pytest.raises(TmdbUnavailableError, match="10 films in a row"):
        fetch_all(list(range(1, 500)), tmdb, FakeLanding())  # type: ignore[arg-type]
    assert len(responses.calls) <= 10 + 8


def test_without_token_it_says_where_to_get_one() -> None:
    with pytest.raises(TmdbNotConfiguredError, match="TMDB_API_TOKEN"):
        backfill(Settings(tmdb_api_token=None))
