"""Made-up films in the features that slices and the report look at, fitted once for all tests here."""

import numpy as np
import pandas as pd
import pytest

from common.feature_encoding import FeatureInfo
from training.dataset import Dataset
from training.diagnostics import Judged
from training.evaluation import Evaluation, evaluate_split
from training.parameters import Parameters
from training.split import split_at_random, split_by_release

QUICK = Parameters(max_rounds=50, folds=3)
REFERENCE_NUMBERS = (
    "revenue_usd",
    "popularity",
    "budget_usd",
    "vote_average",
    "votes_count",
    "cast_female_representation",
    "crew_female_representation",
    "year",
)


@pytest.fixture(scope="session")
def small_dataset() -> Dataset:
    """360 films whose rating follows the share of women in the cast, half of them in the 2000s."""
    random = np.random.default_rng(6)
    count = 360
    share = random.random(count)
    frame = pd.DataFrame(
        {
            "movie_id": np.arange(count),
            "event_timestamp": pd.date_range("1985-01-01", periods=count, freq="MS", tz="UTC"),
            "bechdel_rating": np.clip(np.round(3.5 * share + random.normal(size=count) / 2), 0, 3).astype(int),
            "is_dubious": random.random(count) < 0.1,
            "is_synthetic": True,
            "source_row": np.arange(count),
            "cast_female_share": share,
            "cast_unknown_gender_share": random.random(count),
            "production_budget_log": np.where(random.random(count) < 0.3, np.nan, random.normal(15, 2, count)),
            "genre_is_drama": (random.random(count) < 0.5).astype(float),
            "text_title": "The Lady <3>",
        }
    )
    infos = [
        FeatureInfo("cast_female_share", family="cast", sentence="{cast_female_share} of the cast are women"),
        FeatureInfo("cast_unknown_gender_share", family="cast"),
        FeatureInfo("production_budget_log", family="production", sentence_null="The budget is not known"),
        FeatureInfo("genre_is_drama", family="genre"),
        FeatureInfo("text_title", kind="text", family="text", sentence="The words of its title"),
    ]
    return Dataset(frame, {info.name: info for info in infos}, "movie_bechdel_v1", "0" * 64)


@pytest.fixture(scope="session")
def small_reference(small_dataset: Dataset) -> pd.DataFrame:
    """The reference project's columns of the same films: noise."""
    random = np.random.default_rng(7)
    count = len(small_dataset.frame)
    return pd.DataFrame(
        {
            "movie_id": small_dataset.frame["movie_id"],
            "reference_genres": random.choice(["Drama, Romance", "Action", None], count),
            "reference_title": "The Lady",
            **{f"reference_{name}": random.random(count) for name in REFERENCE_NUMBERS},
        }
    )


@pytest.fixture(scope="session")
def small_evaluations(small_dataset: Dataset, small_reference: pd.DataFrame) -> dict[str, Evaluation]:
    """Both splits of the small data set, fitted and measured."""
    return {
        split.name: evaluate_split(split, small_dataset, small_reference, QUICK)
        for split in (split_at_random(small_dataset.frame), split_by_release(small_dataset.frame))
    }


@pytest.fixture(scope="session")
def judged(small_evaluations: dict[str, Evaluation]) -> Judged:
    """The newest of the small data set's films with what the model says about them."""
    return Judged.of(small_evaluations["time"])
