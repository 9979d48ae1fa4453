import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from training.forest import average_boosters

ROUNDS = 6
FILMS = np.random.default_rng(5).random((200, 3))
FILMS[::7, 1] = np.nan
FILMS[:, 2] = np.floor(4 * FILMS[:, 2])


def grow(seed: int, rounds: int = ROUNDS) -> lightgbm.Booster:
    """A booster with a category, an unknown value and random cuts."""
    settings = {"objective": "binary", "num_leaves": 4, "extra_trees": True, "seed": seed, "verbose": -1}
    passes = (FILMS[:, 0] + FILMS[:, 2] / 4 > 0.8).astype(float)
    return lightgbm.train(settings, lightgbm.Dataset(FILMS, passes, categorical_feature=[2]), num_boost_round=rounds)


@pytest.fixture(scope="module")
def boosters() -> list[lightgbm.Booster]:
    return [grow(seed) for seed in (1, 2, 3)]


def mean_of(boosters: list[lightgbm.Booster], **options: float) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([booster.predict(FILMS, **options) for booster in boosters], axis=0)
    return mean


@pytest.mark.parametrize("options", [{"raw_score": True}, {"pred_contrib": True}])
def test_scores_and_contributions_are_the_mean(boosters: list[lightgbm.Booster], options: dict[str, bool]) -> None:
    assert np.ptp(boosters[0].predict(FILMS, **options) - boosters[1].predict(FILMS, **options)) > 0.01
    averaged = average_boosters(boosters)

    np.testing.assert_allclose(averaged.predict(FILMS, **options), mean_of(boosters, **options), atol=1e-12)


def test_booster_that_stopped_early_counts_as_much_as_the_others() -> None:
    unlike = [grow(1), grow(2, rounds=2)]

    np.testing.assert_allclose(
        average_boosters(unlike).predict(FILMS, raw_score=True), mean_of(unlike, raw_score=True), atol=1e-12
    )


def test_averaged_booster_is_saved_and_read_to_the_last_bit(boosters: list[lightgbm.Booster]) -> None:
    averaged = average_boosters(boosters)
    text = averaged.model_to_string()

    assert averaged.num_trees() == ROUNDS * len(boosters)
    assert lightgbm.Booster(model_str=text).model_to_string() == text


def test_one_booster_stays_as_it_is(boosters: list[lightgbm.Booster]) -> None:
    assert average_boosters(boosters[:1]) is boosters[0]
