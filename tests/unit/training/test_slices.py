import numpy as np
import pandas as pd

from training.slices import flatten_slices, slice_films

FILMS = pd.DataFrame(
    {
        "event_timestamp": pd.to_datetime(["1999-12-31", "2000-01-01", "2009-06-01", "2011-01-01"], utc=True),
        "genre_is_science_fiction": [1.0, 0.0, np.nan, 1.0],
        "production_original_language": ["en", "fr", None, "en"],
        "production_budget_log": [10.0, np.nan, 14.0, 18.0],
        "cast_unknown_gender_share": [0.0, 0.6, 0.3, np.nan],
    }
)


def test_films_fall_into_decades_genres_languages_budgets_and_shares_of_known_genders() -> None:
    sliced = slice_films(FILMS)
    kinds = {kind: {name: mask.tolist() for name, mask in masks.items()} for kind, masks in sliced.items()}

    assert kinds["decade"]["2000s"] == [False, True, True, False]
    assert kinds["genre"]["science fiction"] == [True, False, False, True]
    assert kinds["language"] == {"en": [True, False, False, True], "fr": [False, True, False, False]}
    assert kinds["budget"]["unknown"] == [False, True, False, False]
    assert kinds["budget"]["large"] == [False, False, False, True]
    assert kinds["known_genders"]["80% and more"] == [True, False, False, False]
    assert kinds["known_genders"]["below half"] == [False, True, False, False]
    assert kinds["known_genders"]["no cast"] == [False, False, False, True]


def test_kind_without_its_feature_is_left_out() -> None:
    assert set(slice_films(FILMS[["event_timestamp"]])) == {"decade"}


def test_flattened_slices_name_their_kind() -> None:
    assert "decade 1990s" in flatten_slices(slice_films(FILMS))
