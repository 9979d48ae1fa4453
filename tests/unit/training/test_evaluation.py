from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from common.errors import ModelNotReadyError
from training.evaluation import Evaluation, format_report, read_report, score_frame, write_report
from training.metrics import METRICS

BASELINES = {"always_pass", "reference_forest", "logistic_regression"}


@pytest.fixture(scope="module")
def report(small_evaluations: dict[str, Evaluation]) -> dict[str, object]:
    return {name: evaluation.report for name, evaluation in small_evaluations.items()}


def test_report_has_the_promised_shape(report: dict, tmp_path: Path) -> None:
    write_report(report, tmp_path / "reports" / "evaluation.json")
    read = read_report(tmp_path / "reports" / "evaluation.json")

    for split in ("random", "time"):
        for target in ("rating_3", "rating_2_or_3"):
            cell = read[split][target]
            assert set(cell["baselines"]) == BASELINES
            for numbers in (cell, *cell["baselines"].values()):
                assert set(METRICS) <= set(numbers)
                assert set(numbers["intervals"]) == set(METRICS)
                low, high = numbers["intervals"]["auc"]
                assert low <= numbers["auc"] <= high


def test_reliability_of_both_splits_holds_every_film_and_adds_up_to_the_calibration_error(report: dict) -> None:
    for split in ("random", "time"):
        for target in ("rating_3", "rating_2_or_3"):
            cell = report[split][target]
            bins = cell["reliability"]
            films = report[split]["films"]["test"]
            assert sum(found["films"] for found in bins) == films
            gaps = sum(found["films"] * abs(found["predicted"] - found["observed"]) for found in bins)
            assert gaps / films == pytest.approx(cell["ece"], abs=1e-4)
            assert all(found["interval"][0] <= found["observed"] <= found["interval"][1] for found in bins)


def test_model_beats_always_pass_and_a_forest_on_noise(report: dict) -> None:
    cell = report["time"]["rating_3"]

    assert cell["auc"] > 0.75
    assert cell["auc"] > cell["baselines"]["reference_forest"]["auc"] + 0.1
    assert cell["baselines"]["always_pass"]["auc"] == 0.5
    assert cell["baselines"]["always_pass"]["accuracy"] == pytest.approx(cell["base_rate"], abs=1e-4)


def test_table_names_every_model_and_the_band(report: dict) -> None:
    table = format_report(report)

    assert table.count("LightGBM") == 4
    assert all(table.count(baseline) == 4 for baseline in BASELINES)
    assert table.count("outside the band") == 2


def test_table_tells_what_the_time_after_release_would_add(report: dict) -> None:
    gained = {"auc": 0.851, "auc_gained": {"value": 0.012, "interval": [-0.001, 0.02]}}
    anytime = {split: dict.fromkeys(("rating_3", "rating_2_or_3"), gained) for split in ("random", "time")}

    assert "after release" not in format_report(report)
    assert format_report({**report, "anytime": anytime}).count("auc 0.851, +0.012 [-0.001, +0.020]") == 4


def test_missing_report_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ModelNotReadyError, match="python -m training evaluate"):
        read_report(tmp_path / "evaluation.json")


def test_films_without_a_scorers_features_are_refused_by_name() -> None:
    scorer = SimpleNamespace(feature_names=("share", "gone_share"))
    with pytest.raises(ModelNotReadyError, match=r"gone: gone_share\."):
        score_frame(scorer, pd.DataFrame({"share": [0.5]}))  # type: ignore[arg-type]
