"""A champion that changes under load: every answer is whole, of the one model or of the other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from common.scoring import Calibration, Scorer
from serving.champion import Champion, ModelVersion
from tests.serving_parts import FILMS, Platform, make_scorer

CLIENTS, ROUNDS = 64, 12
PREDICTIONS = "/api/v1/predictions"


def shifted(scorer: Scorer) -> Scorer:
    """The same model, but surer of itself."""
    return replace(scorer, calibrations=(Calibration(2.0, 0.5),) * 3)


def expected(platform: Platform, champion: Champion) -> dict[int, float]:
    platform.champions.champion = champion
    questions = [{"tmdb_id": film.tmdb_id} for film in FILMS]
    body = platform.client.post(PREDICTIONS, json={"movies": questions}).get_json()
    return {item["movie"]["tmdb_id"]: item["prediction"]["probability"] for item in body["predictions"]}


def test_64_clients_get_no_failed_and_no_mixed_answer_while_the_champion_changes() -> None:
    platform = Platform()
    old = platform.champions.champion
    assert old is not None
    new = Champion(ModelVersion("bechdel-test-predictor", "4", "run4"), shifted(make_scorer()), datetime.now(UTC))
    probabilities = {"3": expected(platform, old), "4": expected(platform, new)}
    assert not np.allclose(list(probabilities["3"].values()), list(probabilities["4"].values()))
    platform.champions.champion = old
    platform.app.extensions["bechdel"].predictor._scored._films.clear()
    halfway = threading.Barrier(CLIENTS + 1, timeout=60)

    def client(number: int) -> list[dict[str, Any]]:
        answers = []
        browser = platform.app.test_client()
        for turn in range(ROUNDS):
            if turn == ROUNDS // 2:
                halfway.wait()
            film = FILMS[(number + turn) % len(FILMS)].tmdb_id
            response = browser.post(PREDICTIONS, json={"tmdb_id": film})
            assert response.status_code == 200
            answers.append(response.get_json())
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        runs = [pool.submit(client, number) for number in range(CLIENTS)]
        halfway.wait()
        platform.champions.champion = new
        answers = [item for run in runs for item in run.result()]

    seen = {item["model"]["version"] for item in answers}
    assert len(answers) == CLIENTS * ROUNDS
    assert seen == {"3", "4"}
    for item in answers:
        wanted = probabilities[item["model"]["version"]][item["movie"]["tmdb_id"]]
        assert item["prediction"]["probability"] == wanted
