import json
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest

from common.errors import ModelNotReadyError
from common.feature_encoding import FeatureInfo
from common.pyfunc_model import OUTPUT_COLUMNS, PyfuncModel
from common.scoring import Calibration, Scorer
from common.text_encoding import TextEncoder, split_terms

FROZEN = {"cast_women": 2, "country": "US", "text_overview": "Two sisters and a queen"}
HEAT = {"cast_women": 0, "country": "FR", "text_overview": "A cop hunts a thief"}
UNKNOWN = {"cast_women": None, "country": None, "text_overview": None}
FILMS = [FROZEN, HEAT, UNKNOWN]


def encoder() -> TextEncoder:
    return TextEncoder(
        terms=("sisters", "cop", "thief"),
        idf=np.array([1.5, 2.0, 1.0]),
        weights=np.array([[1.0, 0.5], [-1.0, 0.0], [-2.0, 0.25]]),
        intercepts=np.array([0.1, 0.2]),
    )


def boosters(n_columns: int, num_leaves: int = 4) -> tuple[lightgbm.Booster, ...]:
    random = np.random.default_rng(7)
    matrix = random.normal(size=(300, n_columns))
    rating = np.clip(np.round(matrix[:, 0] + matrix[:, 2] + 1.5 + random.normal(size=300)), 0, 3)
    return tuple(
        lightgbm.train(
            {"objective": "binary", "num_leaves": num_leaves, "verbose": -1, "num_threads": 1, "seed": 7},
            lightgbm.Dataset(matrix, rating >= threshold),
            num_boost_round=20,
        )
        for threshold in (1, 2, 3)
    )


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    features = [
        FeatureInfo("cast_women", description="Women in the cast.", family="cast", sentence="{cast_women} women"),
        FeatureInfo("country", kind="category", categories=("FR", "US")),
        FeatureInfo("text_overview", kind="text", family="text", sentence_null="the overview is unknown"),
    ]
    return Scorer(
        feature_service="movie_bechdel_v1",
        features={feature.name: feature for feature in features},
        band=(0.4, 0.6),
        boosters=boosters(4),
        calibrations=(Calibration(1.0, 0.5), Calibration(0.8, 0.0), Calibration(1.2, -0.1)),
        text_encoders={"text_overview": encoder()},
        facts={"films": 3},
    )


def test_encoding_keeps_nulls_and_gives_categories_their_codes(scorer: Scorer) -> None:
    matrix = scorer.encode(FILMS)

    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix[:, 0], [2.0, 0.0, np.nan])
    np.testing.assert_array_equal(matrix[:, 1], [1.0, 0.0, np.nan])
    assert np.isnan(matrix[2, 2:]).all()


def test_category_never_seen_in_training_counts_as_unknown(scorer: Scorer) -> None:
    assert np.isnan(scorer.encode([{**FROZEN, "country": "ZZ"}])[0, 1])


def test_text_becomes_the_projection_of_its_tf_idf_vector() -> None:
    # "thief cop cop": idf 2 x (1 + ln 2) and 1, length 1, then the weights
    cop, thief = 2.0 * (1 + np.log(2)), 1.0
    length = np.hypot(cop, thief)

    encoded = encoder().encode(["Thief! Cop, cop.", "nothing known here"])

    np.testing.assert_allclose(encoded[0], [0.1 + (-cop - 2 * thief) / length, 0.2 + 0.25 * thief / length])
    np.testing.assert_allclose(encoded[1], [0.1, 0.2])


def test_terms_are_lower_case_words_and_neighbouring_pairs() -> None:
    assert split_terms("An Old-Man, é!") == ["an", "old", "man", "an old", "old man"]


def test_probabilities_keep_the_order_of_the_ratings(scorer: Scorer) -> None:
    crossing = Scorer(
        feature_service=scorer.feature_service,
        features=scorer.features,
        band=scorer.band,
        boosters=scorer.boosters,
        calibrations=(Calibration(1.0, -9.0), Calibration(1.0, -3.0), Calibration(1.2, -0.1)),
        text_encoders=scorer.text_encoders,
    )
    for model in (scorer, crossing):
        probabilities = model.probabilities(model.encode(FILMS))

        assert probabilities.shape == (3, 4)
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)


def test_contributions_add_up_to_the_log_odds_of_rating_3(scorer: Scorer) -> None:
    matrix = scorer.encode(FILMS)
    contributions = scorer.contributions(matrix)
    passes = scorer.probabilities(matrix)[:, 3]

    assert contributions.shape == (3, len(scorer.feature_names) + 1)
    np.testing.assert_allclose(contributions.sum(axis=1), np.log(passes / (1 - passes)), atol=1e-9)
    assert len(set(contributions[:, -1])) == 1


def test_contributions_of_larger_trees_are_lightgbms_own(scorer: Scorer) -> None:
    larger = replace(scorer, boosters=boosters(4, num_leaves=12))
    matrix = larger.encode(FILMS)
    passes = larger.probabilities(matrix)[:, 3]

    assert larger._shap_tables is None
    np.testing.assert_allclose(larger.contributions(matrix).sum(axis=1), np.log(passes / (1 - passes)), atol=1e-9)


def test_a_film_scores_the_same_bits_alone_and_in_any_order(scorer: Scorer) -> None:
    together = scorer.probabilities(scorer.encode(FILMS))
    backwards = scorer.probabilities(scorer.encode(FILMS[::-1]))[::-1]
    alone = np.vstack([scorer.probabilities(scorer.encode([film])) for film in FILMS])

    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(together, alone)


def test_saved_model_scores_the_same_bits(scorer: Scorer, tmp_path: Path) -> None:
    scorer.save(tmp_path / "model")
    loaded = Scorer.load(tmp_path / "model")
    matrix = scorer.encode(FILMS)

    np.testing.assert_array_equal(loaded.encode(FILMS), matrix)
    np.testing.assert_array_equal(loaded.probabilities(matrix), scorer.probabilities(matrix))
    np.testing.assert_array_equal(loaded.contributions(matrix), scorer.contributions(matrix))
    assert loaded.features == scorer.features
    assert (loaded.band, loaded.facts, loaded.feature_service) == (
        scorer.band,
        scorer.facts,
        scorer.feature_service,
    )


def test_model_of_another_format_is_refused_in_one_sentence(scorer: Scorer, tmp_path: Path) -> None:
    scorer.save(tmp_path)
    head = json.loads((tmp_path / "scorer.json").read_text())
    (tmp_path / "scorer.json").write_text(json.dumps({**head, "format_version": 99}))

    with pytest.raises(ModelNotReadyError, match="format version 99"):
        Scorer.load(tmp_path)


def test_missing_model_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ModelNotReadyError, match="make train-model"):
        Scorer.load(tmp_path)


def test_row_without_a_feature_names_the_feature(scorer: Scorer) -> None:
    with pytest.raises(ModelNotReadyError, match="country"):
        scorer.encode([{"cast_women": 1, "text_overview": ""}])


def test_words_in_a_number_feature_name_the_feature_and_the_value(scorer: Scorer) -> None:
    with pytest.raises(ModelNotReadyError, match=r"cast_women should be a number and is 'two'"):
        scorer.encode([{**FROZEN, "cast_women": "two"}])


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [(0.39, "fail"), (0.4, "too_close_to_call"), (0.6, "too_close_to_call"), (0.61, "pass")],
)
def test_verdict_is_open_inside_the_band(scorer: Scorer, probability: float, verdict: str) -> None:
    assert scorer.verdict(probability) == verdict


def test_pyfunc_answers_as_the_scorer_and_takes_mlflows_word_for_null_as_null(scorer: Scorer) -> None:
    expected = scorer.probabilities(scorer.encode(FILMS))
    as_mlflow_sends_it = pd.DataFrame([FROZEN, HEAT, {**UNKNOWN, "country": "None", "text_overview": "None"}])

    for films in (pd.DataFrame(FILMS), as_mlflow_sends_it):
        answer = PyfuncModel(scorer).predict(films)

        assert tuple(answer.columns) == OUTPUT_COLUMNS
        np.testing.assert_array_equal(answer.to_numpy(), expected)
