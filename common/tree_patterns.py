"""Which way a row goes at every decision of small trees, as one byte for each tree.

What a tree says of a row depends on nothing else, so it can be looked up in a table with a row for each pattern:
`common/score_tables.py` and `common/shap_tables.py`.
"""

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
ROWS_AT_A_TIME = 16  # 120 kB each on the way: few enough to stay in the processor's cache


@dataclass(frozen=True)
class TreePatterns:
    """The decisions of some trees, each of which has MAX_DECISIONS places, and a table with a row for each pattern.

    Attributes:
        n_columns: of the matrix.
        columns: shape (n_places,): the matrix's column that a decision looks at; plus `n_columns` if nan goes right.
        thresholds: shape (n_places,): a value up to it goes left; nan for a category and for an empty place.
        categorical: shape (n_categorical,): the places that decide by category.
        goes_left: shape (n_categorical, n_codes + 1): whether a code does; the last column is any other value.
        first_rows: shape (n_trees,): where a tree's table begins when those of all trees stand one below the other.
    """

    n_columns: int
    columns: Integers
    thresholds: Floats
    categorical: Integers
    goes_left: Bools
    first_rows: Integers

    @classmethod
    def of(cls, roots: Sequence[Node], n_columns: int) -> "TreePatterns | None":
        """None when a tree has more than MAX_DECISIONS decisions or takes zero for unknown, or when there is none."""
        trees = [decisions(root) for root in roots]
        if not trees or any(
            len(tree) > MAX_DECISIONS or any(node["missing_type"] == "Zero" for node in tree) for tree in trees
        ):
            return None
        sizes = [2 ** len(tree) for tree in trees]
        return cls(n_columns=n_columns, **_place(trees, n_columns), first_rows=np.cumsum([0, *sizes[:-1]]))

    def find(self, matrix: Floats) -> Integers:
        """Each row's row in the tables, by tree: from shape (n_rows, n_columns) to (n_rows, n_trees).

        Raises:
            ValueError: the matrix has other columns than the trees were grown on.
        """
        if matrix.shape[1] != self.n_columns:
            raise ValueError(f"The matrix has {matrix.shape[1]} columns and the trees read {self.n_columns}.")
        unknown = np.isnan(matrix)
        seen = np.hstack([np.where(unknown, -np.inf, matrix), np.where(unknown, np.inf, matrix)])
        left = np.take(seen, self.columns, axis=1) <= self.thresholds
        others = self.goes_left.shape[1] - 1
        codes = matrix[:, self.columns[self.categorical]]
        codes = np.nan_to_num(codes, nan=-1.0, posinf=-1.0, neginf=-1.0).astype(np.intp)
        codes[(codes < 0) | (codes > others)] = others
        left[:, self.categorical] = self.goes_left[np.arange(len(self.categorical)), codes]
        patterns = np.packbits(left, bitorder="little").reshape(len(matrix), len(self.first_rows))
        rows: Integers = self.first_rows + patterns
        return rows


def roots_of(booster: lightgbm.Booster) -> tuple[list[Node], int]:
    """A booster's trees, and the columns of the matrix that it reads.

    No trees when a score is not the sum of one number for each: of an averaged forest, and of linear trees.
    """
    model = booster.dump_model()
    roots = [tree["tree_structure"] for tree in model["tree_info"]]
    is_sum = not model["average_output"] and not any("leaf_coeff" in node for root in roots for node in _nodes(root))
    return roots if is_sum else [], model["max_feature_idx"] + 1


def decisions(root: Node) -> list[Node]:
    """A tree's decisions; a leaf has none."""
    return [node for node in _nodes(root) if "split_index" in node]


def _nodes(node: Node) -> Iterator[Node]:
    """A node and all below it, decisions and leaves."""
    yield node
    for side in ("left_child", "right_child"):
        if side in node:
            yield from _nodes(node[side])


@cache
def subsets(size: int) -> Bools:
    """All subsets of so many things, shape (2 ** size, size); bit i of a row's number tells of thing i.

    So these are also the patterns of so many decisions, and whether each goes left.
    """
    found: Bools = (np.arange(2**size)[:, np.newaxis] >> np.arange(size)) & 1 == 1
    return found


def in_parts(matrix: Floats) -> Iterator[Floats]:
    """The rows, ROWS_AT_A_TIME; of no rows one part."""
    for start in range(0, max(len(matrix), 1), ROWS_AT_A_TIME):
        yield matrix[start : start + ROWS_AT_A_TIME]


def _place(trees: Sequence[Sequence[Node]], n_columns: int) -> dict[str, Any]:
    """Every decision at its place: by tree, then by the number that it bears there."""
    placed = {MAX_DECISIONS * tree + node["split_index"]: node for tree, nodes in enumerate(trees) for node in nodes}
    n_places = MAX_DECISIONS * len(trees)
    columns, thresholds = np.zeros(n_places, dtype=np.intp), np.full(n_places, np.nan)
    categories: dict[int, list[int]] = {}
    for place, node in placed.items():
        columns[place] = node["split_feature"]
        if node["decision_type"] == "==":
            categories[place] = [int(code) for code in node["threshold"].split("||")]
            continue
        thresholds[place] = node["threshold"]
        # a column that had no nan in training takes nan for zero
        unknown_goes_left = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0
        columns[place] += 0 if unknown_goes_left else n_columns
    n_codes = 1 + max((max(codes) for codes in categories.values()), default=-1)
    goes_left = np.zeros((len(categories), n_codes + 1), dtype=bool)
    for row, codes in enumerate(categories.values()):
        goes_left[row, codes] = True
    return {
        "columns": columns,
        "thresholds": thresholds,
        "categorical": np.array(list(categories), dtype=np.intp),
        "goes_left": goes_left,
    }
