from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.feature_encoding import FeatureInfo
from training.evaluation import score_frame
from training.model import Fit, fit_scorer
from training.parameters import Parameters

QUICK = Parameters(max_rounds=50, folds=3)
FEATURES = {
    info.name: info
    for info in (
        FeatureInfo("cast_female_share", family="cast"),
        FeatureInfo("production_main_country", kind="category", categories=("FR", "US")),
        FeatureInfo("text_overview", kind="text", family="text"),
    )
}


def make_films(count: int = 300) -> pd.DataFrame:
    """Ratings that follow the share of women and the words, with noise; every tenth share is unknown."""
    random = np.random.default_rng(4)
    share = random.random(count)
    hers = random.random(count) < 0.5
    rating = np.clip(np.round(4 * share + hers - 0.5 + 0.7 * random.normal(size=count)), 0, 3)
    return pd.DataFrame(
        {
            "movie_id": random.permutation(count) + 1,
            "bechdel_rating": rating.astype(int),
            "is_dubious": np.where(random.random(count) < 0.1, True, None),
            "cast_female_share": np.where(np.arange(count) % 10 == 0, np.nan, share),
            "production_main_country": random.choice(["FR", "US", None], count),
            "text_overview": np.where(hers, "two sisters at sea", "a cop at sea"),
        }
    )


def fit(films: pd.DataFrame, **options: int) -> Fit:
    return fit_scorer(films, FEATURES, feature_service="movie_bechdel_v1", parameters=QUICK, **options)


@pytest.fixture(scope="module")
def films() -> pd.DataFrame:
    return make_films()


@pytest.fixture(scope="module")
def fitted(films: pd.DataFrame) -> Fit:
    return fit(films)


def files_of(model: Fit, folder: Path) -> dict[str, bytes]:
    model.scorer.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_model_learns_the_share_of_women_and_the_words(fitted: Fit) -> None:
    film = {"cast_female_share": 0.9, "production_main_country": "US", "text_overview": "two sisters"}
    scorer = fitted.scorer
    passes = scorer.probabilities(
        scorer.encode([film, {**film, "cast_female_share": 0.1}, {**film, "text_overview": "a cop"}])
    )[:, 3]

    assert passes[0] > passes[1] + 0.2
    assert passes[0] > passes[2]


def test_film_of_which_nothing_is_known_gets_a_probability(fitted: Fit) -> None:
    unknown = dict.fromkeys(FEATURES)
    probabilities = fitted.scorer.probabilities(fitted.scorer.encode([unknown]))

    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1.0)


def test_contributions_add_up_to_the_score(fitted: Fit, films: pd.DataFrame) -> None:
    scorer = fitted.scorer
    matrix = scorer.encode(films[list(FEATURES)].to_dict("records"))
    passes = scorer.probabilities(matrix)[:, 3]

    np.testing.assert_allclose(
        scorer.contributions(matrix).sum(axis=1), np.log(passes) - np.log1p(-passes), atol=1e-9
    )


def test_same_rows_in_any_order_and_any_number_of_workers_give_the_same_model(
    fitted: Fit, films: pd.DataFrame, tmp_path: Path
) -> None:
    shuffled = fit(films.sample(frac=1, random_state=3), workers=1)

    files = files_of(fitted, tmp_path / "fitted")
    assert {"scorer.json", "text_encoders.npz", "rating_at_least_3.lightgbm.txt"} <= set(files)
    assert files_of(shuffled, tmp_path / "shuffled") == files


def test_out_of_fold_scores_come_in_the_order_of_the_rows(films: pd.DataFrame) -> None:
    order = np.random.default_rng(1).permutation(len(films))

    np.testing.assert_array_equal(fit(films.iloc[order]).out_of_fold, fit(films).out_of_fold[order])


def test_out_of_fold_scores_do_not_know_their_own_label(films: pd.DataFrame) -> None:
    """On ratings drawn by lot they are as good as a coin; scores of seen rows would be far better."""
    random = np.random.default_rng(8)
    by_lot = films.assign(
        bechdel_rating=random.integers(0, 4, len(films)),
        text_overview=[f"word{number} word{number + 1}" for number in random.integers(0, 40, len(films))],
    )
    passes = (by_lot["bechdel_rating"] == 3).to_numpy()
    scores = fit(by_lot).out_of_fold[:, 2]
    order = scores[passes][:, np.newaxis] > scores[~passes][np.newaxis, :]

    assert order.mean() == pytest.approx(0.5, abs=0.12)


def test_probabilities_are_calibrated_on_rows_like_those_learned_from(fitted: Fit) -> None:
    unseen = make_films(1500).iloc[300:]
    probabilities = score_frame(fitted.scorer, unseen)

    for lowest in (1, 2, 3):
        expected = (unseen["bechdel_rating"] >= lowest).mean()
        assert probabilities[:, lowest:].sum(axis=1).mean() == pytest.approx(expected, abs=0.06)


def test_text_without_words_to_learn_from_is_left_out(films: pd.DataFrame) -> None:
    without = fit(films.assign(text_overview=None))

    assert "text_overview" not in without.scorer.feature_names
    assert np.isfinite(score_frame(without.scorer, films)).all()


def test_story_stands_for_the_texts_that_it_tells(films: pd.DataFrame) -> None:
    told = films.assign(text_story=films["text_overview"])
    features = {**FEATURES, "text_story": FeatureInfo("text_story", kind="text", family="text")}
    with_story = fit_scorer(told, features, feature_service="movie_bechdel_v1", parameters=QUICK)

    assert with_story.scorer.feature_names == ("cast_female_share", "production_main_country", "text_story")


def test_another_seed_gives_another_model(films: pd.DataFrame, fitted: Fit) -> None:
    other = fit_scorer(films, FEATURES, feature_service="s", parameters=replace(QUICK, seed=1))

    assert not np.array_equal(other.out_of_fold, fitted.out_of_fold)
