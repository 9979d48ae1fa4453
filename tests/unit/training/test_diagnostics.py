import numpy as np
import pytest

from training.dataset import Dataset
from training.diagnostics import (
    Judged,
    report_importance,
    report_mistakes,
    report_noise,
    report_refits,
    report_slices,
)
from training.parameters import Parameters


def test_slices_hold_metrics_with_intervals_and_leave_out_small_ones(judged: Judged) -> None:
    report = report_slices(judged)

    assert all(cell["films"] >= 30 for cells in report.values() for cell in cells.values())
    drama = report["genre"]["drama"]
    assert drama["intervals"]["auc"][0] <= drama["auc"] <= drama["intervals"]["auc"][1]


def test_feature_that_ratings_follow_leads_in_gain_and_contribution(judged: Judged) -> None:
    importance = report_importance(judged)

    assert next(iter(importance["by_feature"])) == "cast_female_share"
    assert sum(family["gain_share"] for family in importance["by_family"].values()) == pytest.approx(1.0, abs=1e-3)


def test_without_the_family_that_matters_the_model_is_lost(judged: Judged, small_dataset: Dataset) -> None:
    refits = report_refits(judged, small_dataset.features, Parameters(max_rounds=50, folds=3))

    lost = {family: facts["auc_lost"] for family, facts in refits["ablation"].items()}
    assert max(lost, key=lost.__getitem__) == "cast"
    assert lost["cast"] > 0.15
    learned = [point["films"] for point in refits["learning_curve"]]
    assert learned == [int(len(judged.evaluation.split.development) * share) for share in (0.4, 0.6, 0.8, 1.0)]


def test_ceiling_falls_with_dubious_ratings(judged: Judged) -> None:
    sure = Judged(**{**judged.__dict__, "films": judged.films.assign(is_dubious=False)})

    assert report_noise(sure)["auc_of_truth"] == 1.0
    assert 0.8 < report_noise(judged)["auc_of_truth"] < 1.0


def test_mistakes_are_the_surest_with_reasons_towards_them(judged: Judged) -> None:
    mistakes = report_mistakes(judged, count=5)

    wrongness = [abs(mistake["probability"] - (mistake["rating"] == 3)) for mistake in mistakes]
    assert wrongness == sorted(wrongness, reverse=True)
    assert wrongness[0] == pytest.approx(np.abs(judged.probabilities - judged.passes).max(), abs=1e-4)
    for mistake in mistakes:
        towards = -1 if mistake["rating"] == 3 else 1
        assert mistake["reasons"][0]["contribution"] * towards > 0
        assert mistake["reasons"][0]["text"]
