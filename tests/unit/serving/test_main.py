"""The command line prints the server's answer, and its sentence when there is none."""

import json
from pathlib import Path

import pytest
import responses

from common.errors import PlatformError, ServiceError
from common.settings import Settings
from serving.__main__ import main, predict
from tests.serving_parts import Platform

ADDRESS = "http://127.0.0.1:5999/api/v1/predictions"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(port=5999, host="0.0.0.0", state_dir=Path("/nonexistent"))  # noqa: S104 - nothing listens


def served(question: dict[str, object]) -> tuple[int, str]:
    response = Platform().client.post("/api/v1/predictions", json=question)
    return response.status_code, response.text


@responses.activate
def test_answer_is_printed_for_people(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    status, body = served({"title": "Frozen", "year": 2013})
    responses.post(ADDRESS, status=status, body=body)

    predict(settings, title="Frozen", year=2013, as_json=False)

    printed = capsys.readouterr().out
    assert printed.startswith("Frozen (2013)\n")
    assert "Known rating: 3 of 3 (bechdeltest.com)" in printed
    assert "Missing: gender of 2 of 10 cast members" in printed


@responses.activate
def test_json_is_printed_as_the_api_gives_it(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    status, body = served({"title": "Frozen", "year": 2013})
    responses.post(ADDRESS, status=status, body=body)

    predict(settings, title="Frozen", year=2013, as_json=True)

    assert json.loads(capsys.readouterr().out) == json.loads(body)


@responses.activate
def test_ambiguous_title_lists_the_films(settings: Settings) -> None:
    status, body = served({"title": "Frozen"})
    responses.post(ADDRESS, status=status, body=body)

    with pytest.raises(PlatformError, match=r"(?s)2 films fit.*Frozen \(2013\), TMDB id 109445"):
        predict(settings, title="Frozen", year=None, as_json=False)


@responses.activate
def test_ambiguous_title_says_how_to_choose_and_the_choice_is_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses.post(ADDRESS, status=300, body=served({"title": "Frozen"})[1])
    with pytest.raises(PlatformError, match=r"To choose one: make predict TMDB_ID=\d+$"):
        predict(settings, title="Frozen", year=None, as_json=False)

    monkeypatch.setattr("serving.__main__.load_settings", lambda: settings)
    body = served({"tmdb_id": 109445})[1]
    responses.post(ADDRESS, body=body, match=[responses.matchers.json_params_matcher({"tmdb_id": 109445})])
    assert main(["predict", "--tmdb-id", "109445"]) == 0


@responses.activate
def test_no_server_says_how_to_start_it(settings: Settings) -> None:
    with pytest.raises(ServiceError, match="make up"):
        predict(settings, title="Frozen", year=None, as_json=False)
