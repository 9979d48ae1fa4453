"""Values looked up are LightGBM's own, for every row that can come."""

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from common.score_tables import ScoreTables
from common.shap_tables import ShapTables
from common.tree_patterns import MAX_DECISIONS
from training.forest import average_boosters

Floats = NDArray[np.float64]

KNOWN, OFTEN_UNKNOWN, CATEGORY, NEVER_UNKNOWN_CATEGORY = range(4)
N_ROWS = 600


def rows(seed: int, n_rows: int = N_ROWS) -> Floats:
    """Numbers and categories, with nan where training may have some."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n_rows, 4))
    matrix[random.random(n_rows) < 0.3, OFTEN_UNKNOWN] = np.nan
    matrix[:, CATEGORY] = random.integers(0, 40, n_rows)
    matrix[random.random(n_rows) < 0.1, CATEGORY] = np.nan
    matrix[:, NEVER_UNKNOWN_CATEGORY] = random.integers(0, 5, n_rows)
    return matrix


def rows_unlike_those_of_training() -> Floats:
    """Unknown where training knew, codes that no film had, values at both ends and at zero."""
    matrix = rows(99)
    for column in range(4):
        matrix[column::17, column] = np.nan
    matrix[::11, CATEGORY], matrix[1::11, CATEGORY], matrix[2::11, CATEGORY] = -1.0, np.inf, 41.0
    matrix[::13, NEVER_UNKNOWN_CATEGORY] = 7.0
    matrix[::19, KNOWN], matrix[1::19, KNOWN], matrix[2::19, KNOWN] = np.inf, -np.inf, 0.0
    return matrix


def grow(**settings: object) -> lightgbm.Booster:
    matrix = rows(3)
    score = matrix[:, KNOWN] + np.nan_to_num(matrix[:, OFTEN_UNKNOWN], nan=-1.0) + np.sin(matrix[:, CATEGORY])
    passes = score + 0.3 * matrix[:, NEVER_UNKNOWN_CATEGORY] > 0.8
    small = {"num_leaves": 8, "min_data_in_leaf": 5, "min_data_per_group": 5}
    parameters = {"objective": "binary", "verbose": -1, **small, **settings}
    data = lightgbm.Dataset(
        matrix, passes.astype(float), categorical_feature=[CATEGORY, NEVER_UNKNOWN_CATEGORY], params=parameters
    )
    return lightgbm.train(parameters, data, num_boost_round=40)


def tables_of(booster: lightgbm.Booster) -> ShapTables:
    tables = ShapTables.of(booster)
    assert tables is not None
    return tables


def assert_same_as_lightgbm(*boosters: lightgbm.Booster, matrix: Floats) -> None:
    """Scores to the last bit, SHAP values to rounding."""
    tables = ScoreTables.of(boosters)
    assert tables is not None
    scores = np.column_stack([booster.predict(matrix, raw_score=True) for booster in boosters])
    np.testing.assert_array_equal(tables.of_rows(matrix), scores)
    for booster in boosters:
        values = booster.predict(matrix, pred_contrib=True)
        np.testing.assert_allclose(tables_of(booster).of_rows(matrix), values, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_leaves": MAX_DECISIONS + 1},
        {"num_leaves": 2},
        {"extra_trees": True, "seed": 5},
        {"use_missing": False},
        {"boost_from_average": False, "max_depth": 2},
    ],
    ids=str,
)
def test_scores_and_values_are_those_of_lightgbm(settings: dict[str, object]) -> None:
    booster = grow(**settings)

    for matrix in (rows(3), rows_unlike_those_of_training()):
        assert np.ptp(booster.predict(matrix, pred_contrib=True), axis=0)[:2].min() > 0.01
        assert_same_as_lightgbm(booster, matrix=matrix)


def test_scores_and_values_of_means_of_boosters_as_they_serve() -> None:
    settings = {"extra_trees": True, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.5}
    mean = average_boosters([grow(seed=1, **settings), grow(seed=2, **settings)])

    assert_same_as_lightgbm(mean, grow(seed=3, num_leaves=4), grow(), matrix=rows_unlike_those_of_training())


def test_value_at_a_threshold_goes_where_lightgbm_sends_it() -> None:
    booster = grow()
    patterns, matrix = tables_of(booster).patterns, rows(11)
    for column in (KNOWN, OFTEN_UNKNOWN):
        of_column = patterns.columns % patterns.n_columns == column
        matrix[:, column] = np.resize(patterns.thresholds[of_column & np.isfinite(patterns.thresholds)], N_ROWS)

    assert_same_as_lightgbm(booster, matrix=matrix)


def test_trees_decide_by_category_and_by_unknown() -> None:
    """Else the tests above would prove nothing about them."""
    patterns = tables_of(grow()).patterns
    unknown_goes_right = patterns.columns >= patterns.n_columns

    assert len(patterns.categorical) > 10
    assert unknown_goes_right.any()
    assert not unknown_goes_right[np.isfinite(patterns.thresholds)].all()


def test_row_has_the_same_bits_alone_as_among_many() -> None:
    matrix = rows(7, 1200)
    for tables in (tables_of(grow()), ScoreTables.of([grow(), grow(seed=2)])):
        assert tables is not None
        together = tables.of_rows(matrix)
        for row in (0, 15, 16, 1199):
            np.testing.assert_array_equal(tables.of_rows(matrix[[row]])[0], together[row])


def test_no_row_has_no_values() -> None:
    scores = ScoreTables.of([grow(), grow()])

    assert tables_of(grow()).of_rows(np.empty((0, 4))).shape == (0, 5)
    assert scores is not None
    assert scores.of_rows(np.empty((0, 4))).shape == (0, 2)


def test_booster_that_learned_nothing_has_its_base_alone() -> None:
    booster = grow(min_data_in_leaf=N_ROWS)

    assert np.count_nonzero(tables_of(booster).of_rows(rows(3))[:, :-1]) == 0
    assert_same_as_lightgbm(booster, grow(), matrix=rows(3))


def test_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="has 5 columns and the trees read 4"):
        tables_of(grow()).of_rows(np.zeros((2, 5)))


@pytest.mark.parametrize(
    "settings",
    [
        {"num_leaves": MAX_DECISIONS + 2},
        {"zero_as_missing": True},
        {"linear_tree": True},
        {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    ],
    ids=str,
)
def test_trees_that_do_not_fit_have_no_tables(settings: dict[str, object]) -> None:
    assert ShapTables.of(grow(**settings)) is None
    assert ScoreTables.of([grow(), grow(**settings)]) is None
