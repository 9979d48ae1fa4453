"""Where the figures of the model's page come from."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serving.champion import Champion, ModelVersion
from serving.model_report import Diagnosis, ModelReports, Reliability, make_diagnosis
from tests.pages_parts import RELIABILITY, WOMEN_IN_CASTS
from tests.serving_parts import make_scorer

CELL = {"auc": 0.8, "intervals": {"auc": [0.7, 0.9]}, "films": 40}
OWN = {"time": {"rating_3": CELL}, "slices": {"language": {"en": CELL, "xx": CELL}}}


class FakeClient:
    """MLflow with the champion's run and a full evaluation."""

    def __init__(self, artifacts: dict[str, Any]) -> None:
        self.artifacts = artifacts
        self.asked: list[str] = []

    def get_run(self, run_id: str) -> Any:
        tags = {"data_hash": "d1", "feature_service": "movie_bechdel_v1"}
        return SimpleNamespace(
            info=SimpleNamespace(experiment_id="7", run_id=run_id), data=SimpleNamespace(tags=tags)
        )

    def search_runs(self, _: list[str], query: str, **__: Any) -> list[Any]:
        self.asked.append(query)
        return [SimpleNamespace(info=SimpleNamespace(run_id=run)) for run in self.artifacts if run != "own"]

    def download_artifacts(self, run_id: str, name: str, folder: str) -> str:
        path = Path(folder) / name
        path.write_text(json.dumps(self.artifacts[run_id]))
        return str(path)


def make_champion() -> Champion:
    return Champion(ModelVersion("bechdel-test-predictor", "1", "own"), make_scorer(), datetime.now(UTC))


def diagnose(monkeypatch: pytest.MonkeyPatch, artifacts: dict[str, Any]) -> tuple[FakeClient, Any]:
    client = FakeClient(artifacts)
    reports = ModelReports("http://nowhere")
    monkeypatch.setattr(reports, "_client", lambda: client)
    return client, reports._diagnose(make_champion(), artifacts["own"])


def test_ablation_comes_from_the_evaluation_on_the_same_films(monkeypatch: pytest.MonkeyPatch) -> None:
    full = {**OWN, "slices": {}, "ablation": {"cast": {"auc_lost": 0.04}}}
    client, diagnosis = diagnose(monkeypatch, {"own": OWN, "full": full})

    assert "tags.data_hash = 'd1' and tags.feature_service = 'movie_bechdel_v1'" in client.asked[0]
    assert diagnosis.ablation.changes[0].name == "cast"
    assert [item.name for item in diagnosis.slices.groups[0][1]] == ["English", "xx"]  # the champion's own


def test_without_a_full_evaluation_there_are_only_the_champions_own_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    _, diagnosis = diagnose(monkeypatch, {"own": OWN})

    assert diagnosis.ablation is None
    assert diagnosis.slices is not None


def test_run_of_an_older_version_has_nothing() -> None:
    assert make_diagnosis({"time": {"rating_3": CELL}}) == Diagnosis()


def test_reliability_of_both_splits_is_the_evaluations_own(monkeypatch: pytest.MonkeyPatch) -> None:
    split = {"rating_3": {**CELL, "reliability": RELIABILITY}}
    decades = {"decade": {"1990s": CELL, "2000s": CELL}}
    whole = {
        "time": split,
        "random": split,
        **OWN,
        "slices_random": decades,
        "ablation": {"cast": {"auc_lost": 0.04}},
    }
    whole |= {"time": split}
    client, diagnosis = diagnose(monkeypatch, {"own": {**whole, **WOMEN_IN_CASTS}})

    assert client.asked == []  # nothing is missing
    assert {name: len(bins) for name, bins in diagnosis.reliability.items()} == {"time": 10, "random": 10}
    assert diagnosis.reliability["random"][9] == Reliability(0.95, 1.0, 0.75, 0.95, 20)


def test_what_an_older_version_did_not_keep_comes_from_a_later_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    split = {"rating_3": {**CELL, "reliability": RELIABILITY}}
    _, diagnosis = diagnose(monkeypatch, {"own": OWN, "full": {"time": split, "random": split, **WOMEN_IN_CASTS}})

    assert set(diagnosis.reliability) == {"time", "random"}
    assert diagnosis.dependence.stated_loss == 0.001


def test_sweeps_stand_at_their_values_or_at_even_distances() -> None:
    dependence = make_diagnosis(WOMEN_IN_CASTS).dependence
    assert dependence

    [alone] = dependence.alone  # a feature with one value has no curve
    assert [tick.label for tick in alone.curve.ticks] == ["1", "40"]  # 2 stands too near to 1
    _, place, _ = dependence.together
    assert [tick.label for tick in place.curve.ticks] == ["none", "5", "4", "3", "2", "1"]
    assert place.rows[1] == ["5", "40.0%", "+10.0", "0.4%"]
    assert dependence.swaps == [["a man becomes a woman", "9", "+10.0", "\N{MINUS SIGN}1.0 to +20.0", "0.0%"]]
