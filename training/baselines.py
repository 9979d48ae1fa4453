"""What any model here has to beat, fitted on the same development films and judged on the same reported ones."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.feature_encoding import FeatureEncoder, FeatureInfo
from training.dataset import to_rows
from training.split import REFERENCE_SEED, Split

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Words that the reference project looks for in titles, and its columns that it takes the logarithm of.
_TITLE_WORDS = frozenset({"she", "her", "her's", "women", "woman", "lady", "lady's"})
_LOGGED = ("reference_revenue_usd", "reference_popularity", "reference_budget_usd")
_PLAIN = (
    "reference_vote_average",
    "reference_votes_count",
    "reference_cast_female_representation",
    "reference_crew_female_representation",
    "reference_year",
)


def predict_always_pass(split: Split) -> Floats:
    """P = 1 for every film."""
    return np.ones(len(split.test))


def predict_reference_forest(split: Split, reference: pd.DataFrame, target: Bools) -> Floats:
    """The reference project's model: a random forest of scikit-learn's defaults on its ten columns.

    Among its inputs are votes, popularity and revenue, which nobody knows on the release day; ours has none of
    them. It is written anew after its description (one column per genre, a flag for seven words in the title,
    logarithms of three amounts).

    Args:
        split: films by `movie_id`.
        reference: the features of `movie_reference_v1` by `movie_id`.
        target: shape (n_development,): what to learn, in the order of `split.development`.

    Returns:
        The probability of the target for each film of `split.test`.
    """
    by_movie = reference.set_index("movie_id")
    learn = by_movie.loc[split.development["movie_id"]]
    genres = sorted({genre for text in learn["reference_genres"].dropna() for genre in text.split(", ") if genre})
    forest = RandomForestClassifier(random_state=REFERENCE_SEED, n_jobs=2)
    forest.fit(_reference_matrix(learn, genres), target)
    unseen = by_movie.loc[split.test["movie_id"]]
    probabilities: Floats = forest.predict_proba(_reference_matrix(unseen, genres))[:, 1]
    return probabilities


def _reference_matrix(films: pd.DataFrame, genres: list[str]) -> Floats:
    tags = [set((text or "").split(", ")) for text in films["reference_genres"]]
    titles = [set(re.split(r"\s+", (title or "").lower())) for title in films["reference_title"]]
    return np.column_stack(
        [
            np.array([[genre in tag for genre in genres] for tag in tags], dtype=np.float64).reshape(len(films), -1),
            np.array([bool(title & _TITLE_WORDS) for title in titles], dtype=np.float64),
            np.log1p(films[list(_LOGGED)].to_numpy(dtype=np.float64)),
            films[list(_PLAIN)].to_numpy(dtype=np.float64),
        ]
    )


def predict_logistic_regression(split: Split, features: Mapping[str, FeatureInfo], target: Bools) -> Floats:
    """Logistic regression on the service's numbers: medians and a flag for unknown values, scaled."""
    numbers = {name: info for name, info in features.items() if info.kind == "number"}
    regression = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.1, solver="newton-cholesky"),
    )
    regression.fit(FeatureEncoder(numbers, {}).encode(to_rows(split.development, list(numbers))), target)
    unseen = FeatureEncoder(numbers, {}).encode(to_rows(split.test, list(numbers)))
    probabilities: Floats = regression.predict_proba(unseen)[:, 1]
    return probabilities
