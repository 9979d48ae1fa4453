"""The API keeps its promises: the document is valid, answers fit it, and every error has the one shape."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from werkzeug.test import TestResponse

from common.tmdb import TmdbClient
from serving.api import model_card
from serving.schemas import PredictionAnswer, Problem
from tests.serving_parts import Platform

PREDICTIONS = "/api/v1/predictions"
PARTS = ("tmdb", "model", "database", "feature_store", "mlflow")
NOWHERE = "http://127.0.0.1:9/3"  # the discard port: connections are refused at once

ANSWER = {"id": 109445, "title": "Frozen", "release_date": "2013-11-20", "credits": {"cast": [], "crew": []}}


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform()


@pytest.fixture(scope="module")
def client(platform: Platform) -> FlaskClient:
    return platform.client


@pytest.fixture
def without_model() -> FlaskClient:
    return Platform(has_model=False).client


@pytest.fixture
def without_database() -> FlaskClient:
    platform = Platform()
    platform.database.is_away = True
    return platform.client


@pytest.fixture
def with_tmdb_away() -> Iterator[FlaskClient]:
    tmdb = TmdbClient(SecretStr("token"), NOWHERE)
    yield Platform(tmdb=tmdb).client
    tmdb.close()


def validator_for(client: FlaskClient, name: str) -> Draft202012Validator:
    document = client.get("/openapi.json").get_json()
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft202012Validator(schema)


def assert_problem(response: TestResponse, status: int, name: str) -> dict[str, Any]:
    """The one shape of every error."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    body = response.get_json()
    Problem.model_validate(body)
    assert body["status"] == status
    assert body["type"] == f"/problems/{name}"
    assert body["title"]
    assert body["detail"]
    assert response.headers["X-Request-ID"] == body["request_id"]
    assert response.headers["Content-Security-Policy"]
    return dict(body)


def read_metrics(client: FlaskClient) -> dict[str, float]:
    """What `/metrics` tells, by name and labels."""
    lines = (line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    return {name: float(value) for name, value in lines}


def test_document_is_openapi_3_1_and_every_reference_leads_somewhere(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()

    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/api/v1/predictions",
        "/api/v1/movies/search",
        "/api/v1/movies/{tmdb_id}",
        "/api/v1/model",
        "/api/v1/feedback",
    }
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for child in node.values():
                yield from references(child)
        elif isinstance(node, list):
            for child in node:
                yield from references(child)

    assert {reference.rsplit("/", 1)[1] for reference in references(document)} <= set(schemas)


@pytest.mark.parametrize(
    "question",
    [
        {"tmdb_id": 109445},
        {"tmdb_id": 109445.0},
        {"imdb_id": "tt2294629"},
        {"title": "frozen", "year": 2013},
    ],
)
def test_film_is_found_by_each_way_of_naming_it(client: FlaskClient, question: dict[str, Any]) -> None:
    response = client.post(PREDICTIONS, json=question)

    assert response.status_code == 200, response.text
    validator_for(client, "PredictionResponse").validate(response.get_json())
    answer = PredictionAnswer.model_validate(response.get_json())
    assert answer.movie.tmdb_id == 109445
    assert sum(answer.prediction.rating_probabilities.values()) == pytest.approx(1)
    assert answer.prediction.rating_probabilities["3"] == answer.prediction.probability
    assert answer.known_rating is not None
    assert answer.known_rating.source == "bechdeltest.com"
    assert answer.data.missing == ["gender of 2 of 10 cast members"]
    assert any(reason.text == "4 women are in the cast" for reason in answer.reasons)
    assert answer.model.version == "3"


def test_synthetic_film_is_marked_everywhere(client: FlaskClient) -> None:
    answer = client.post(PREDICTIONS, json={"tmdb_id": 900000001}).get_json()

    assert answer["movie"]["synthetic"] is True
    assert answer["known_rating"] == {"rating": 1, "dubious": None, "source": "synthetic sample"}


def test_batch_answers_each_film_in_order(client: FlaskClient) -> None:
    """A film that TMDB does not have ends no batch: streamchaser#502, Upload-Assistant#523."""
    question = {"movies": [{"tmdb_id": 44363}, {"title": "Frozen"}, {"tmdb_id": 404}, {"tmdb_id": 44363}]}
    body = client.post(PREDICTIONS, json=question).get_json()

    validator_for(client, "BatchAnswer").validate(body)
    found = [item.get("status") or item["movie"]["tmdb_id"] for item in body["predictions"]]
    assert found == [44363, 300, 404, 44363]


def test_three_different_answers_for_unknown_ambiguous_and_not_configured(client: FlaskClient) -> None:
    unknown = assert_problem(client.post(PREDICTIONS, json={"tmdb_id": 404}), 404, "movie-not-found")
    several = assert_problem(client.post(PREDICTIONS, json={"title": "Frozen"}), 300, "ambiguous-title")
    not_configured = client.post(PREDICTIONS, json={"title": "Heat"})
    body = assert_problem(not_configured, 409, "live-lookup-not-configured")

    assert "404" in unknown["detail"]
    assert [film["year"] for film in several["candidates"]] == [2013, 2010]
    assert "TMDB_API_TOKEN" in body["detail"]


def test_title_in_another_year_names_the_years_that_exist(client: FlaskClient) -> None:
    response = client.post(PREDICTIONS, json={"title": "Frozen", "year": 1950})

    assert "Frozen (2013)" in assert_problem(response, 404, "movie-not-found")["detail"]


@pytest.mark.parametrize(
    "question",
    [
        {},
        [],
        "Frozen",
        None,
        {"tmdb_id": True},
        {"tmdb_id": "109445"},
        {"tmdb_id": 1.5},
        {"tmdb_id": 0},
        {"tmdb_id": 2**31},
        {"imdb_id": "2294629"},
        {"imdb_id": "tt2294629\n"},
        {"title": ""},
        {"title": "x" * 201},
        {"title": "Frozen", "year": "2013"},
        {"title": "Frozen", "year": 20130},
        {"tmdb_id": 1, "title": "Frozen"},
        {"movies": []},
        {"movies": [{"tmdb_id": 1}] * 101},
        {"movies": [{"movies": []}]},
        {"film": 1},
    ],
)
def test_question_that_does_not_fit_the_document_is_refused(client: FlaskClient, question: Any) -> None:
    response = client.post(PREDICTIONS, data=json.dumps(question), content_type="application/json")
    body = assert_problem(response, 422, "invalid-request")

    assert body["errors"]


def test_body_that_is_not_json_is_refused(client: FlaskClient) -> None:
    broken = client.post(PREDICTIONS, data="{", content_type="application/json")
    deep = client.post(PREDICTIONS, data="[" * 100_000, content_type="application/json")
    form = client.post(PREDICTIONS, data={"title": "Frozen"})
    large = client.post(PREDICTIONS, data=" " * 600_000, content_type="application/json")

    assert_problem(broken, 400, "malformed-json")
    assert_problem(deep, 400, "malformed-json")
    assert_problem(form, 415, "unsupported-media-type")
    assert_problem(large, 413, "request-entity-too-large")


def test_unknown_address_and_method_have_the_same_shape(client: FlaskClient) -> None:
    assert_problem(client.get("/api/v1/nothing"), 404, "not-found")
    wrong = client.get(PREDICTIONS)
    assert_problem(wrong, 405, "method-not-allowed")
    assert "POST" in wrong.headers["Allow"]
    assert_problem(client.get("/api/v1/movies/9999999999999"), 422, "invalid-request")
    assert_problem(client.get("/api/v1/movies/search"), 422, "invalid-request")
    assert_problem(client.get("/api/v1/movies/search?q=a&limit=0"), 422, "invalid-request")


def test_without_a_model_every_prediction_says_what_to_run(without_model: FlaskClient) -> None:
    for response in (
        without_model.post(PREDICTIONS, json={"tmdb_id": 109445}),
        without_model.get("/api/v1/model"),
    ):
        assert assert_problem(response, 503, "no-model")["detail"] == "No model yet. Run: make train-model"
    ready = assert_problem(without_model.get("/readyz"), 503, "not-ready")
    assert ready["detail"] == "No model yet. Run: make train-model"
    assert without_model.get("/healthz").status_code == 200


def test_without_a_database_the_answer_names_it(without_database: FlaskClient) -> None:
    response = without_database.post(PREDICTIONS, json={"tmdb_id": 109445})

    assert "make up" in assert_problem(response, 503, "database-unavailable")["detail"]
    assert response.headers["Retry-After"]
    assert assert_problem(without_database.get("/readyz"), 503, "not-ready")["checks"]["database"]["ok"] is False


def test_with_tmdb_away_catalogue_films_are_answered_and_marked(with_tmdb_away: FlaskClient) -> None:
    known = with_tmdb_away.post(PREDICTIONS, json={"tmdb_id": 109445}).get_json()
    unknown = with_tmdb_away.post(PREDICTIONS, json={"tmdb_id": 404})

    assert known["data"]["live"] is False
    assert "TMDB is not available" in known["data"]["degraded"][0]
    assert_problem(unknown, 503, "tmdb-unavailable")


def test_what_is_known_without_tmdb_is_marked_and_not_kept(with_tmdb_away: FlaskClient, client: FlaskClient) -> None:
    for address in ("/api/v1/movies/109445", "/api/v1/movies/search?q=frozen"):
        whole, part = client.get(address), with_tmdb_away.get(address)
        assert (whole.status_code, part.status_code) == (200, 200)
        assert whole.get_json()["degraded"] == []
        assert "TMDB is not available" in part.get_json()["degraded"][0]
        assert part.headers["Cache-Control"] == "public, max-age=0"


@responses.activate
def test_search_without_a_database_is_answered_by_tmdb_and_marked() -> None:
    tmdb = TmdbClient(SecretStr("token"), NOWHERE)
    platform = Platform(tmdb=tmdb)
    platform.database.is_away = True
    found = responses.get(f"{NOWHERE}/search/movie", json={"results": [{"id": 7, "title": "Frozen"}]})

    body = platform.client.get("/api/v1/movies/search?q=frozen").get_json()
    assert [film["tmdb_id"] for film in body["movies"]] == [7]
    assert "make up" in body["degraded"][0]

    responses.remove(found)
    responses.get(f"{NOWHERE}/search/movie", status=403)
    neither = platform.client.get("/api/v1/movies/search?q=frozen")
    assert_problem(neither, 503, "database-unavailable")
    tmdb.close()


def test_movie_search_and_model_fit_the_document(client: FlaskClient) -> None:
    movie = client.get("/api/v1/movies/109445").get_json()
    found = client.get("/api/v1/movies/search?q=froz").get_json()
    card = client.get("/api/v1/model").get_json()

    validator_for(client, "MovieAnswer").validate(movie)
    validator_for(client, "SearchAnswer").validate(found)
    validator_for(client, "ModelCard").validate(card)
    assert movie["movie"]["poster_url"] == "https://image.tmdb.org/t/p/w342/frozen.jpg"
    assert [film["year"] for film in found["movies"]] == [2013, 2010]
    assert card["limits"]


def test_ready_server_says_so(client: FlaskClient) -> None:
    ready = client.get("/readyz").get_json()

    assert ready["status"] == "ready"
    assert {name: check["ok"] for name, check in ready["checks"].items()} == dict.fromkeys(PARTS, True)


@pytest.mark.parametrize("others", [[], [109445]])
def test_film_that_only_the_feature_store_knows_is_503_while_that_is_away(others: list[int]) -> None:
    platform = Platform()
    platform.online.is_away = True
    platform.landing.land({"id": 109445, "title": "Frozen", "credits": {}})

    alone = platform.client.post(PREDICTIONS, json={"tmdb_id": 5})
    batch = platform.client.post(PREDICTIONS, json={"movies": [{"tmdb_id": film} for film in [*others, 5]]})

    assert (alone.status_code, batch.status_code) == (503, 200)
    *answers, problem = batch.get_json()["predictions"]
    assert problem["status"] == 503
    assert [answer["movie"]["tmdb_id"] for answer in answers] == others


def test_feature_store_that_is_away_is_told_and_landed_films_are_answered() -> None:
    platform = Platform()
    platform.online.is_away = True
    landed = platform.landing.land({"id": 109445, "title": "Frozen", "credits": {}})
    platform.landing.rows[109445] = replace(landed, source="file")  # TMDB's own answers need no feature store

    ready = platform.client.get("/readyz")
    answer = platform.client.post(PREDICTIONS, json={"tmdb_id": 109445}).get_json()

    assert ready.status_code == 200
    assert [name for name, check in ready.get_json()["checks"].items() if not check["ok"]] == ["feature_store"]
    assert answer["data"]["degraded"] == ["The feature store does not answer. Features were computed anew."]


def test_metrics_tell_stages_cache_verdicts_and_champion() -> None:
    client = Platform().client
    for _ in range(2):
        client.post(PREDICTIONS, json={"tmdb_id": 109445})

    found = read_metrics(client)
    for stage in ("resolve", "catalogue", "online_features", "model", "explain"):
        assert found[f'bechdel_stage_seconds_count{{stage="{stage}"}}'] >= 1
    assert found['bechdel_requests_total{endpoint="api.predict",method="POST",status="200"}'] == 2
    assert found['bechdel_vector_cache_total{result="miss"}'] == 1
    assert found['bechdel_vector_cache_total{result="hit"}'] == 1
    assert found['bechdel_verdicts_total{verdict="pass"}'] == 2


def test_metrics_tell_the_champions_version_and_when_it_was_loaded() -> None:
    parts = Platform()
    parts.app.extensions["bechdel"].metrics.note_champion("12", 1_800_000_000.5)

    found = read_metrics(parts.client)
    assert found["bechdel_champion_version"] == 12
    assert found["bechdel_champion_loaded_timestamp_seconds"] == 1_800_000_000.5


@responses.activate
def test_metrics_tell_the_stages_of_a_film_that_tmdb_gives() -> None:
    responses.get(f"{NOWHERE}/movie/109445", json=ANSWER)
    tmdb = TmdbClient(SecretStr("token"), NOWHERE)
    client = Platform(tmdb=tmdb).client
    assert client.post(PREDICTIONS, json={"tmdb_id": 109445}).get_json()["data"]["live"]
    tmdb.close()

    found = read_metrics(client)
    stages = {name for name in found if name.startswith("bechdel_stage_seconds_count")}
    assert stages == {
        f'bechdel_stage_seconds_count{{stage="{stage}"}}'
        for stage in ("resolve", "catalogue", "tmdb", "live_features", "model", "explain")
    }
    assert {found[stage] for stage in stages} == {1.0}


@pytest.mark.parametrize(
    ("status", "landed_days_ago", "result"),
    [(200, None, "fetched"), (200, 2, "fetched"), (200, 0, "fresh"), (503, 2, "stale"), (None, 2, "none")],
)
@responses.activate
def test_metrics_tell_where_a_films_data_came_from(
    status: int | None, landed_days_ago: int | None, result: str
) -> None:
    responses.get(f"{NOWHERE}/movie/109445", json=ANSWER, status=status or 500)
    tmdb = TmdbClient(SecretStr("token"), NOWHERE) if status else None
    platform = Platform(tmdb=tmdb)
    if landed_days_ago is not None:
        platform.landing.land(ANSWER, datetime.now(UTC) - timedelta(days=landed_days_ago))
    assert platform.client.post(PREDICTIONS, json={"tmdb_id": 109445}).status_code == 200
    if tmdb:
        tmdb.close()

    assert read_metrics(platform.client)[f'bechdel_tmdb_lookups_total{{result="{result}"}}'] == 1


def test_documented_examples_of_bodies_are_answered(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    asked = 0
    for path, methods in paths.items():
        body = methods.get("post", {}).get("requestBody", {"content": {"application/json": {"examples": {}}}})
        for example in body["content"]["application/json"]["examples"].values():
            response = client.post(path, json=example["value"])
            assert response.status_code in (200, 201), example
            assert "Frozen" in response.text
            asked += 1
    assert asked == 5


def test_documented_examples_of_parameters_are_answered(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    asked = 0
    for path, methods in paths.items():
        required = [item for item in methods.get("get", {}).get("parameters", []) if item["required"]]
        values = {item["name"]: item["example"] for item in required}
        if values:
            asked += 1
            query = {item["name"]: item["example"] for item in required if item["in"] == "query"}
            response = client.get(path.format(**values), query_string=query)
            assert response.status_code == 200, path
            assert "Frozen" in response.text
    assert asked == 2


def test_model_card_says_when_its_version_was_registered(platform: Platform) -> None:
    champion = platform.champions.champion
    assert champion is not None
    registered = replace(champion.version, registered_at="2026-11-29T03:31:00+00:00")

    card = model_card(replace(champion, version=registered))

    assert card.trained_at == datetime(2026, 11, 29, 3, 31, tzinfo=UTC)
    assert model_card(champion).trained_at is None  # the registry does not say


def test_model_card_shows_figures_with_intervals(platform: Platform) -> None:
    figures = {"auc": 0.8, "brier": 0.17, "intervals": {"auc": [0.78, 0.82]}}
    champion = platform.champions.champion
    assert champion is not None
    card = model_card(replace(champion, evaluation={"time": {"rating_3": figures}}))

    auc, brier = card.metrics
    assert (auc.split, auc.name, auc.value, auc.interval) == ("time", "auc", 0.8, (0.78, 0.82))
    assert brier.interval is None
