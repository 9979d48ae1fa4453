"""Conditional requests, compression, other sites' scripts, and the page of the API's description."""

import gzip
import re
from dataclasses import replace

import orjson
import pytest
from flask.testing import FlaskClient

from tests.serving_parts import Platform

MOVIE = "/api/v1/movies/109445"
MODEL = "/api/v1/model"
PREDICTIONS = "/api/v1/predictions"


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return Platform().client


def test_known_film_answer_is_304(client: FlaskClient) -> None:
    first = client.get(MOVIE)
    again = client.get(MOVIE, headers={"If-None-Match": first.headers["ETag"]})

    assert "max-age" in first.headers["Cache-Control"]
    assert again.status_code == 304
    assert not again.data


def test_known_model_card_is_304_in_every_worker_until_another_model_answers(client: FlaskClient) -> None:
    first = client.get(MODEL)
    known = {"If-None-Match": first.headers["ETag"]}
    worker = Platform()  # has loaded the champion later
    again = worker.client.get(MODEL, headers=known)
    champion = worker.champions.current()
    worker.champions.champion = replace(champion, version=replace(champion.version, version="4"))
    other = worker.client.get(MODEL, headers=known)

    assert first.headers["Cache-Control"] == "public, max-age=10"  # as long as a new champion may take
    assert (again.status_code, again.data) == (304, b"")
    assert (other.status_code, other.get_json()["version"]) == (200, "4")


def test_bug_is_logged_under_the_request_that_met_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    platform = Platform()
    monkeypatch.setattr(platform.app.extensions["bechdel"].predictor, "describe", lambda _: 1 / 0)

    answer = platform.client.get(MOVIE, headers={"X-Request-ID": "seven"})

    assert (answer.status_code, answer.get_json()["request_id"]) == (500, "seven")
    assert "request_id=seven" in next(record.getMessage() for record in caplog.records if record.exc_info)


def test_prediction_is_not_stored_by_caches(client: FlaskClient) -> None:
    assert client.post(PREDICTIONS, json={"tmdb_id": 109445}).headers["Cache-Control"] == "no-store"


def test_large_answer_is_compressed_for_who_asks(client: FlaskClient) -> None:
    plain = client.get("/openapi.json")
    packed = client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert "Accept-Encoding" in packed.headers["Vary"]


def test_other_sites_are_refused_unless_named() -> None:
    origin = {"Origin": "https://films.example"}
    closed = Platform().client.get(MOVIE, headers=origin)
    opened = Platform(cors_origins="https://films.example").client
    stranger = opened.get(MOVIE, headers={"Origin": "https://other.example"})
    preflight = opened.options(PREDICTIONS, headers={**origin, "Access-Control-Request-Method": "POST"})

    assert "Access-Control-Allow-Origin" not in closed.headers
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://films.example"


def test_description_is_a_page_without_other_hosts(client: FlaskClient) -> None:
    page = client.get("/docs")

    assert page.status_code == 200
    assert "https://" not in page.text
    for address in ("/docs/assets/js/swagger-ui-bundle.js", "/docs/assets/css/swagger-ui.css", "/docs/start.js"):
        assert address in page.text
        with client.get(address) as asset:
            assert asset.status_code == 200


def test_feedback_is_stored_and_the_known_rating_stays(client: FlaskClient) -> None:
    response = client.post("/api/v1/feedback", json={"tmdb_id": 109445, "rating": 1, "comment": "a\x00b"})

    assert response.status_code == 201
    assert response.get_json()["rating"] == 1
    assert response.get_json()["known_rating"]["rating"] == 3
    assert client.post("/api/v1/feedback", json={"tmdb_id": 404, "rating": 1}).status_code == 404
    assert client.post("/api/v1/feedback", json={"tmdb_id": 109445, "rating": 4}).status_code == 422


def test_text_that_holds_a_request_is_no_request(client: FlaskClient) -> None:
    body = orjson.dumps('{"tmdb_id": 109445}')

    assert client.post(PREDICTIONS, data=body, content_type="application/json").status_code == 422


@pytest.mark.parametrize("given", ["7", "A-b_c.9", "x" * 64])
def test_request_id_that_is_given_comes_back(client: FlaskClient, given: str) -> None:
    good = client.get("/healthz", headers={"X-Request-ID": given})
    bad = client.get("/api/v1/nothing", headers={"X-Request-ID": given})

    assert good.headers["X-Request-ID"] == bad.headers["X-Request-ID"] == bad.get_json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", "a;b", "<b>", "%0a", "a/b", "\u00e9"])
def test_request_id_that_is_long_or_no_plain_word_is_replaced(client: FlaskClient, given: str) -> None:
    ids = {client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] for _ in range(2)}

    assert len(ids) == 2  # each request has its own
    assert all(re.fullmatch(r"[0-9a-f]{16}", found) for found in ids)


def test_each_request_leaves_one_line_without_what_was_asked(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="serving.app")
    client.get("/api/v1/movies/search?q=secret", headers={"X-Request-ID": "abc", "Authorization": "Bearer hidden"})
    client.get("/no%0Asuch page")

    found, missing = (record.getMessage() for record in caplog.records)
    assert re.fullmatch(r"request id=abc method=GET path=/api/v1/movies/search status=200 ms=\d+\.\d", found)
    assert re.fullmatch(r"request id=\w{16} method=GET path=/no%0Asuch%20page status=404 ms=\d+\.\d", missing)
    assert {record.levelname for record in caplog.records} == {"INFO"}
