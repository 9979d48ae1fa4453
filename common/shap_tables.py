"""SHAP values of a booster of small trees, looked up instead of computed for each row.

What a tree adds to a row's score depends on which of its decisions go left, and eight decisions have no more than 256
such patterns. So the values of every pattern are computed once, when a model is loaded, and a row costs its decisions
and one look into its tables: for a hundred films a tenth of the time of LightGBM's own `pred_contrib`, with its
values to rounding (docs/decisions/0017-shap-tables.md).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Bools = NDArray[np.bool_]
Node = Mapping[str, Any]  # of a tree, as LightGBM's `dump_model()` gives it, with all below it

MAX_DECISIONS = 8  # of a tree: a pattern is one byte
_ROWS_AT_A_TIME = 16  # 60 kB each on the way: few enough to stay in the processor's cache


@dataclass(frozen=True)
class ShapTables:
    """The decisions of all trees, and the SHAP values of their patterns. Each tree has MAX_DECISIONS places.

    Attributes:
        columns: shape (n_places,): the matrix's column that a decision looks at.
        thresholds: shape (n_places,): a value up to it goes left; nan for a category and for an empty place.
        unknown_goes_left: shape (n_places,): whether nan does.
        categorical: shape (n_categorical,): the places that decide by category.
        goes_left: shape (n_categorical, n_codes + 1): whether a code does; the last column is any other value.
        first_rows: shape (n_trees,): where a tree's patterns begin in `values`.
        values: shape (n_patterns, n_features): by pattern, for each feature of its tree; 0 where a tree has fewer.
        features: shape (n_trees, n_features): the matrix's columns that `values` belong to.
        base: the mean score of the films of training.
        n_columns: of the matrix.
    """

    columns: Integers
    thresholds: Floats
    unknown_goes_left: Bools
    categorical: Integers
    goes_left: Bools
    first_rows: Integers
    values: Floats
    features: Integers
    base: float
    n_columns: int

    @classmethod
    def of(cls, booster: lightgbm.Booster) -> "ShapTables | None":
        """A booster's tables.

        None when a tree has more than MAX_DECISIONS decisions or takes zero for unknown, or when there is none.
        """
        model = booster.dump_model()
        roots = [tree["tree_structure"] for tree in model["tree_info"]]
        trees = [list(_decisions(root)) for root in roots]
        if not trees or any(
            len(tree) > MAX_DECISIONS or any(node["missing_type"] == "Zero" for node in tree) for tree in trees
        ):
            return None
        features = [sorted({node["split_feature"] for node in tree}) for tree in trees]
        tables = [
            _tabulate(root, len(tree), of_tree) for root, tree, of_tree in zip(roots, trees, features, strict=True)
        ]
        width = max(1, *map(len, features))
        return cls(
            **_place(trees),
            first_rows=np.cumsum([0, *(len(values) for values, _ in tables[:-1])]),
            values=np.vstack([np.pad(values, ((0, 0), (0, width - values.shape[1]))) for values, _ in tables]),
            features=np.array([of_tree + [0] * (width - len(of_tree)) for of_tree in features], dtype=np.intp),
            base=sum(base for _, base in tables),
            n_columns=model["max_feature_idx"] + 1,
        )

    def of_rows(self, matrix: Floats) -> Floats:
        """SHAP values of a matrix of shape (n_rows, n_columns), as LightGBM's `pred_contrib` gives them.

        Their shape is (n_rows, n_columns + 1); the last column is the base. A row has the same bits alone as among
        others.
        """
        starts = range(0, max(len(matrix), 1), _ROWS_AT_A_TIME)
        return np.vstack([self._of_some(matrix[start : start + _ROWS_AT_A_TIME]) for start in starts])

    def _of_some(self, matrix: Floats) -> Floats:
        found = np.take(self.values, self.first_rows + self._patterns(matrix), axis=0)
        width = self.n_columns + 1
        cells = np.arange(len(matrix))[:, np.newaxis, np.newaxis] * width + self.features
        summed = np.bincount(cells.ravel(), found.ravel(), len(matrix) * width).astype(np.float64, copy=False)
        of_rows = summed.reshape(len(matrix), width)
        of_rows[:, -1] = self.base
        return of_rows

    def _patterns(self, matrix: Floats) -> NDArray[np.uint8]:
        """What each tree decides about each row, shape (n_rows, n_trees): a bit for every decision."""
        seen = matrix[:, self.columns]
        left = (seen <= self.thresholds) | (np.isnan(seen) & self.unknown_goes_left)
        others = self.goes_left.shape[1] - 1
        codes = np.nan_to_num(seen[:, self.categorical], nan=-1.0, posinf=-1.0, neginf=-1.0).astype(np.intp)
        codes[(codes < 0) | (codes > others)] = others
        left[:, self.categorical] = self.goes_left[np.arange(len(self.categorical)), codes]
        return np.packbits(left, bitorder="little").reshape(len(matrix), len(self.first_rows))


def _decisions(node: Node) -> Iterator[Node]:
    """A node's decision and all below it; a leaf has none."""
    if "split_index" in node:
        yield node
        yield from _decisions(node["left_child"])
        yield from _decisions(node["right_child"])


def _place(trees: Sequence[Sequence[Node]]) -> dict[str, Any]:
    """Every decision at its place: by tree, then by the number that it bears there."""
    placed = {MAX_DECISIONS * tree + node["split_index"]: node for tree, nodes in enumerate(trees) for node in nodes}
    n_places = MAX_DECISIONS * len(trees)
    columns = np.zeros(n_places, dtype=np.intp)
    thresholds, unknown_goes_left = np.full(n_places, np.nan), np.zeros(n_places, dtype=bool)
    categories: dict[int, list[int]] = {}
    for place, node in placed.items():
        columns[place] = node["split_feature"]
        if node["decision_type"] == "==":
            categories[place] = [int(code) for code in node["threshold"].split("||")]
            continue
        thresholds[place] = node["threshold"]
        # a column that had no nan in training takes nan for zero
        unknown_goes_left[place] = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0
    n_codes = 1 + max((max(codes) for codes in categories.values()), default=-1)
    goes_left = np.zeros((len(categories), n_codes + 1), dtype=bool)
    for row, codes in enumerate(categories.values()):
        goes_left[row, codes] = True
    return {
        "columns": columns,
        "thresholds": thresholds,
        "unknown_goes_left": unknown_goes_left,
        "categorical": np.array(list(categories), dtype=np.intp),
        "goes_left": goes_left,
    }


def _tabulate(root: Node, n_decisions: int, features: Sequence[int]) -> tuple[Floats, float]:
    """A tree's SHAP values by pattern, shape (2 ** n_decisions, n_features), and its mean score.

    Shapley's values of the game in which a feature is known or not: a decision by a feature that is not known sends a
    row both ways, in the shares of the films of training (Lundberg et al. 2018, https://arxiv.org/abs/1802.03888,
    algorithm 1).
    """
    goes_left, is_known = _subsets(n_decisions), _subsets(len(features))

    def expect(node: Node) -> Any:
        """The score below a node, shape (n_patterns, n_sets of known features)."""
        if "split_index" not in node:
            return node["leaf_value"]
        left, right = expect(node["left_child"]), expect(node["right_child"])
        share = _films(node["left_child"]) / _films(node)
        return np.where(
            is_known[:, features.index(node["split_feature"])],
            np.where(goes_left[:, [node["split_index"]]], left, right),
            share * left + (1.0 - share) * right,
        )

    scores = np.broadcast_to(expect(root), (len(goes_left), len(is_known)))
    return scores @ _shapley_weights(len(features)), float(scores[0, 0])


def _films(node: Node) -> int:
    """How many films of training came to a node."""
    films: int = node["internal_count"] if "split_index" in node else node["leaf_count"]
    return films


@cache
def _subsets(size: int) -> Bools:
    """All subsets of so many things, shape (2 ** size, size); bit i of a row's number tells of thing i."""
    subsets: Bools = (np.arange(2**size)[:, np.newaxis] >> np.arange(size)) & 1 == 1
    return subsets


@cache
def _shapley_weights(size: int) -> Floats:
    """What the score of a subset counts for each player's value, shape (2 ** size, size)."""
    subsets = _subsets(size)
    orders = [math.factorial(others) * math.factorial(size - others - 1) for others in range(size)]
    weights = np.array([*orders, 0], dtype=np.float64) / math.factorial(size)
    members = subsets.sum(axis=1, keepdims=True)
    counts: Floats = np.where(subsets, weights[members - 1], -weights[members])
    return counts
