import numpy as np
import pytest

from training.calibration import choose_band, fit_calibration


def test_overconfident_scores_are_shrunk() -> None:
    random = np.random.default_rng(5)
    truth = random.normal(size=5000)
    outcome = random.random(5000) < 1 / (1 + np.exp(-truth))

    calibration = fit_calibration(3.0 * truth + 1.0, outcome)

    assert calibration.slope == pytest.approx(1 / 3, abs=0.03)
    assert calibration.intercept == pytest.approx(-1 / 3, abs=0.1)


def test_calibrated_mean_is_the_base_rate() -> None:
    raw = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    outcome = np.array([False, True, False, False, True, True])

    probabilities = 1 / (1 + np.exp(-fit_calibration(raw, outcome).apply(raw)))

    assert probabilities.mean() == pytest.approx(0.5, abs=1e-3)


def test_scores_without_signal_are_not_turned_upside_down() -> None:
    raw = np.array([-1.0, 1.0, -1.0, 1.0])
    outcome = np.array([True, False, True, True])

    assert fit_calibration(raw, outcome).slope > 0


def test_one_outcome_only_leaves_scores_as_they_are() -> None:
    assert fit_calibration(np.array([0.5, 1.5]), np.array([True, True])).apply(np.array([2.0])) == 2.0


def test_band_is_the_narrowest_that_reaches_the_stated_accuracy() -> None:
    # wrong at 0.52 and 0.46, right elsewhere: a band over both leaves only right verdicts
    probabilities = np.array([0.1, 0.2, 0.3, 0.46, 0.52, 0.7, 0.8, 0.9])
    passes = np.array([False, False, False, True, False, True, True, True])

    band = choose_band(probabilities, passes, accuracy=1.0, max_share=0.5)

    assert (band.low, band.high) == (0.46, 0.54)
    assert (band.accuracy, band.abstained_share) == (1.0, 0.25)


def test_band_stops_at_the_largest_share_of_films() -> None:
    probabilities = np.linspace(0.01, 0.99, 99)
    passes = np.arange(99) % 2 == 0

    band = choose_band(probabilities, passes, accuracy=0.9, max_share=0.25)

    assert 0.2 < band.abstained_share <= 0.25
    assert band.accuracy < 0.9


def test_no_band_is_needed_when_verdicts_are_right_enough() -> None:
    band = choose_band(np.array([0.1, 0.9]), np.array([False, True]))

    assert (band.low, band.high, band.abstained_share) == (0.5, 0.5, 0.0)
