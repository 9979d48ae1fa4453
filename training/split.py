"""Which films a model may learn from and which ones judge it."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from common.errors import NoTrainingRowsError

TIME_TEST_SHARE = 0.2
# The reference project's split (nedwebster/bechdel-test-predictor, model/settings.py and model/data.py).
REFERENCE_TEST_SHARE = 0.3
REFERENCE_SEED = 932024
# Below this, five folds of three targets and a reported part mean nothing.
MIN_FILMS = 100


@dataclass(frozen=True)
class Split:
    """Two disjoint parts that together hold every example once.

    Attributes:
        name: `time` or `random`.
        development: what fitting, early stopping, calibration and the band may see.
        test: what is reported, and nothing else.
        test_from: first release date of `test`; None for the random split.
    """

    name: str
    development: pd.DataFrame
    test: pd.DataFrame
    test_from: date | None

    def on(self, examples: pd.DataFrame) -> "Split":
        """The same films in the same parts and order, with the columns of other examples."""
        by_movie = examples.set_index("movie_id", drop=False)
        return replace(
            self,
            development=by_movie.loc[self.development["movie_id"]].reset_index(drop=True),
            test=by_movie.loc[self.test["movie_id"]].reset_index(drop=True),
        )


def split_by_release(examples: pd.DataFrame, *, test_share: float = TIME_TEST_SHARE) -> Split:
    """Keep the newest films for the report, so that the model is judged on films newer than any it saw.

    A release day is never cut in two: the reported part begins with the first day that keeps it at or below
    `test_share` of the films (or with the last day, when that one alone is larger).

    Args:
        examples: one row per film with `event_timestamp` (UTC) and `movie_id`.
        test_share: part of the films that is reported, between 0 and 1.

    Raises:
        NoTrainingRowsError: there are fewer than MIN_FILMS films.
    """
    _check_size(examples)
    ordered = examples.sort_values(["event_timestamp", "movie_id"], kind="stable")
    released = ordered["event_timestamp"]
    at_cut = released.iloc[int(np.ceil(len(ordered) * (1 - test_share)))]
    later = released[released >= at_cut]
    if len(later) > len(ordered) * test_share and (released > at_cut).any():
        later = released[released > at_cut]
    is_test = released >= later.iloc[0]
    return Split("time", ordered[~is_test], ordered[is_test], later.iloc[0].date())


def split_at_random(examples: pd.DataFrame) -> Split:
    """Split 70/30 as the reference project does: scikit-learn's shuffle with its seed over the file's row order.

    On the Kaggle file these are the reference's own test films. A film from elsewhere (no `source_row`) goes after
    those of the file.

    Raises:
        NoTrainingRowsError: there are fewer than MIN_FILMS films.
    """
    _check_size(examples)
    ordered = examples.sort_values(["source_row", "movie_id"], na_position="last", kind="stable")
    development, test = train_test_split(ordered, test_size=REFERENCE_TEST_SHARE, random_state=REFERENCE_SEED)
    return Split("random", development, test, None)


def _check_size(examples: pd.DataFrame) -> None:
    if len(examples) < MIN_FILMS:
        raise NoTrainingRowsError(
            f"There are {len(examples)} rated films; training needs at least {MIN_FILMS}. Load more films."
        )
