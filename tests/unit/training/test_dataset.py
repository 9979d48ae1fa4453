import numpy as np
import pandas as pd

from common.feature_encoding import FeatureInfo
from training.dataset import hash_frame, normalise_features, to_rows

FEATURES = {
    "cast_female_count": FeatureInfo("cast_female_count"),
    "crew_has_female_director": FeatureInfo("crew_has_female_director"),
    "text_tagline": FeatureInfo("text_tagline", kind="text"),
}
JOINED = pd.DataFrame(
    {
        "movie_id": [1, 2, 3],
        "event_timestamp": pd.to_datetime(["2013-11-27", "1995-12-15", "1999-12-16"]),
        "cast_female_count": pd.array([4, None, 0], dtype="Int64"),
        "crew_has_female_director": pd.array([True, None, False], dtype="object"),
        "text_tagline": ["Only the act of true love", None, np.nan],
    }
)


def test_nulls_survive_and_numbers_are_floats() -> None:
    values = normalise_features(JOINED, FEATURES)

    np.testing.assert_array_equal(values["cast_female_count"], [4.0, np.nan, 0.0])
    np.testing.assert_array_equal(values["crew_has_female_director"], [1.0, np.nan, 0.0])
    assert values["text_tagline"].tolist() == ["Only the act of true love", None, None]


def test_rows_are_what_serving_reads() -> None:
    rows = to_rows(normalise_features(JOINED, FEATURES), ["movie_id", "text_tagline"])

    assert rows[:2] == [
        {"movie_id": 1, "text_tagline": "Only the act of true love"},
        {"movie_id": 2, "text_tagline": None},
    ]


def test_hash_changes_with_any_value_and_with_nothing_else() -> None:
    values = normalise_features(JOINED, FEATURES)
    other_number, other_text = values.copy(), values.copy()
    other_number.loc[0, "cast_female_count"] = 5
    other_text.loc[1, "text_tagline"] = ""

    hashes = {hash_frame(frame) for frame in (values, other_number, other_text)}

    assert len(hashes) == 3
    assert hash_frame(values.copy()) == hash_frame(values)
