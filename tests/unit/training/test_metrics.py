import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from training.metrics import auc_difference, ece_by_chance, measure

PASSES = np.array([False, False, True, False, True, True])
SCORES = np.array([0.1, 0.4, 0.4, 0.6, 0.8, 0.9])  # one tie across outcomes


def test_values_are_those_of_scikit_learn_ties_included() -> None:
    measured = measure(PASSES, SCORES)

    assert measured["auc"].value == pytest.approx(roc_auc_score(PASSES, SCORES))
    assert measured["average_precision"].value == pytest.approx(average_precision_score(PASSES, SCORES))
    assert measured["brier"].value == pytest.approx(brier_score_loss(PASSES, SCORES))
    assert measured["accuracy"].value == pytest.approx(4 / 6)


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    # two bins: four films at 0.25 of which one passes, two at 0.95 of which none does
    measured = measure(np.array([True, False, False, False, False, False]), np.array([0.25] * 4 + [0.95] * 2))

    assert measured["ece"].value == pytest.approx(2 * 0.95 / 6)


def test_intervals_hold_the_value_and_shrink_with_more_films() -> None:
    random = np.random.default_rng(2)

    def width(count: int) -> float:
        passes = random.random(count) < 0.5
        measured = measure(passes, np.clip(passes * 0.3 + random.random(count) * 0.7, 0, 1))["auc"]
        assert measured.low < measured.value < measured.high
        return measured.high - measured.low

    assert width(2000) < width(100) / 2


def test_samples_with_one_outcome_do_not_break_the_interval() -> None:
    measured = measure(np.array([True, False]), np.array([0.9, 0.2]))

    assert measured["auc"].value == 1.0
    assert np.isfinite([measured["auc"].low, measured["auc"].high]).all()


def test_a_model_equals_itself_and_beats_its_reverse() -> None:
    assert auc_difference(PASSES, SCORES, SCORES).value == 0.0
    assert auc_difference(PASSES, SCORES, -SCORES).value > 0.5


def test_calibration_error_by_chance_covers_perfect_probabilities_and_not_biased_ones() -> None:
    random = np.random.default_rng(9)
    probabilities = random.random(2000)
    by_chance = ece_by_chance(probabilities)

    def error_of(shift: float) -> float:
        return measure(random.random(2000) < np.clip(probabilities + shift, 0, 1), probabilities)["ece"].value

    assert by_chance.low <= error_of(0.0) <= by_chance.high
    assert error_of(0.1) > by_chance.high


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_interval_of_the_calibration_error_lies_around_its_value(shift: float) -> None:
    random = np.random.default_rng(5)
    probabilities = random.random(1500)
    passes = random.random(1500) < np.clip(probabilities + shift, 0, 1)
    error = measure(passes, probabilities)["ece"]
    assert 0.0 <= error.low < error.value < error.high
    assert (error.low + error.high) / 2 == pytest.approx(error.value, abs=0.005)
