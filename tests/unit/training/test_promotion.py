import numpy as np
import pytest

from common.feature_encoding import FeatureInfo
from training.promotion import AUC_MARGIN, Contest, describe_mismatch, judge

FILMS = 1400
TRUTH = np.random.default_rng(3).random(FILMS)
PASSES = np.random.default_rng(4).random(FILMS) < TRUTH


def blur(noise: float) -> np.ndarray:
    """Probabilities nearer to the truth the smaller the noise."""
    drawn = np.random.default_rng(5).normal(scale=noise, size=FILMS)
    return np.clip(TRUTH + drawn, 0.02, 0.98)


def test_better_challenger_is_promoted_with_its_interval() -> None:
    decision = judge(Contest("7", PASSES, blur(0.05), blur(0.4)))

    assert decision.promoted
    assert "against champion 7 on the 1400 newest films" in decision.reason
    assert "[+" in decision.reason


@pytest.mark.parametrize("noise", [0.05, 0.06])
def test_equal_or_little_worse_challenger_is_not_promoted(noise: float) -> None:
    decision = judge(Contest("7", PASSES, blur(noise), blur(0.05)))

    assert not decision.promoted
    assert f"better by {AUC_MARGIN}" in decision.reason


def test_better_ranks_do_not_excuse_worse_probabilities() -> None:
    decision = judge(Contest("7", PASSES, blur(0.02) ** 3, blur(0.3)))

    assert not decision.promoted
    assert "Brier score" in decision.reason
    assert "calibration error" in decision.reason


def test_collapse_in_one_slice_keeps_the_champion() -> None:
    westerns = np.arange(FILMS) % 7 == 0
    ours = np.where(westerns, 1.0 - TRUTH, blur(0.02))

    decision = judge(Contest("7", PASSES, ours, blur(0.6), {"genre western": westerns}))

    assert not decision.promoted
    assert "on the 200 films of genre western its AUC falls by" in decision.reason


def test_too_few_unseen_films_decide_nothing() -> None:
    decision = judge(Contest("7", PASSES[:20], blur(0.02)[:20], blur(0.4)[:20]))

    assert not decision.promoted
    assert "Only 20 films" in decision.reason


def test_mismatch_names_the_features() -> None:
    share, genre = FeatureInfo("share"), FeatureInfo("genre", kind="category")
    overview = FeatureInfo("overview", kind="text")
    service = {info.name: info for info in (share, genre, overview)}

    assert describe_mismatch(service, service) == ""
    assert describe_mismatch({"share": share, "genre": genre}, service) == ""  # a text may be left out
    assert "does not give share" in describe_mismatch(service, {"genre": genre, "overview": overview})
    assert "does not read genre" in describe_mismatch({"share": share}, service)
    assert "another type of genre" in describe_mismatch({**service, "genre": FeatureInfo("genre")}, service)
