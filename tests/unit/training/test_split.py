import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from common.errors import NoTrainingRowsError
from training.split import REFERENCE_SEED, split_at_random, split_by_release


def films(count: int, *, per_day: int = 1) -> pd.DataFrame:
    days = pd.to_datetime("2000-01-01", utc=True) + pd.to_timedelta(np.arange(count) // per_day, unit="D")
    return pd.DataFrame(
        {
            "movie_id": np.arange(count)[::-1] + 10,
            "event_timestamp": days,
            "source_row": np.random.default_rng(3).permutation(count),
        }
    )


@pytest.mark.parametrize("split", [split_by_release, split_at_random])
def test_split_holds_every_film_once(split: object) -> None:
    examples = films(200)
    parts = split(examples)  # type: ignore[operator]

    assert sorted([*parts.development["movie_id"], *parts.test["movie_id"]]) == sorted(examples["movie_id"])


def test_reported_films_are_newer_than_any_the_model_learns_from() -> None:
    parts = split_by_release(films(200).sample(frac=1, random_state=1))

    assert parts.development["event_timestamp"].max() < parts.test["event_timestamp"].min()
    assert parts.test_from == parts.test["event_timestamp"].min().date()
    assert len(parts.test) == 40


def test_films_of_one_day_stay_together() -> None:
    parts = split_by_release(films(210, per_day=30))

    assert set(parts.development["event_timestamp"]).isdisjoint(parts.test["event_timestamp"])
    assert len(parts.test) == 30  # 20 % are 42 films: one day of 30, not two


def test_a_last_day_larger_than_the_share_is_reported_whole() -> None:
    parts = split_by_release(films(200, per_day=100))

    assert (len(parts.development), len(parts.test)) == (100, 100)


def test_random_split_is_the_reference_projects() -> None:
    """Its train_test_split shuffles the rows of the file, so the same films are reported whatever our order is."""
    examples = films(200)
    in_file_order = examples.sort_values("source_row")["movie_id"].to_numpy()
    _, theirs = train_test_split(in_file_order, test_size=0.3, random_state=REFERENCE_SEED)

    ours = split_at_random(examples.sample(frac=1, random_state=1)).test["movie_id"]

    assert ours.tolist() == theirs.tolist()


def test_too_few_films_are_refused_with_their_count() -> None:
    with pytest.raises(NoTrainingRowsError, match="There are 99 rated films"):
        split_by_release(films(99))
