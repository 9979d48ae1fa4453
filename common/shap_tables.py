"""SHAP values of a booster of small trees, looked up instead of computed for each row.

The values of every pattern of decisions are computed once, when a model is loaded, and a row costs its decisions and
one look into each tree's table: with LightGBM's own values to rounding (docs/decisions/0017-tree-tables.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import lightgbm
import numpy as np

from common.tree_patterns import Floats, Integers, Node, TreePatterns, decisions, in_parts, roots_of, subsets


@dataclass(frozen=True)
class ShapTables:
    """The SHAP values of each pattern of each tree.

    Attributes:
        patterns: of the trees.
        values: shape (n_patterns, n_features): for each feature of the pattern's tree; 0 where a tree has fewer.
        features: shape (n_trees, n_features): the matrix's columns that `values` belong to.
        base: the mean score of the films of training.
    """

    patterns: TreePatterns
    values: Floats
    features: Integers
    base: float

    @classmethod
    def of(cls, booster: lightgbm.Booster) -> "ShapTables | None":
        """A booster's tables, None when a tree does not fit: see `TreePatterns.of()`."""
        roots, n_columns = roots_of(booster)
        patterns = TreePatterns.of(roots, n_columns)
        if patterns is None:
            return None
        features = [sorted({node["split_feature"] for node in decisions(root)}) for root in roots]
        tables = [_tabulate(root, of_tree) for root, of_tree in zip(roots, features, strict=True)]
        width = max(1, *map(len, features))
        return cls(
            patterns=patterns,
            values=np.vstack([np.pad(values, ((0, 0), (0, width - values.shape[1]))) for values, _ in tables]),
            features=np.array([of_tree + [0] * (width - len(of_tree)) for of_tree in features], dtype=np.intp),
            base=sum(base for _, base in tables),
        )

    def of_rows(self, matrix: Floats) -> Floats:
        """SHAP values of a matrix of shape (n_rows, n_columns), as LightGBM's `pred_contrib` gives them.

        Their shape is (n_rows, n_columns + 1); the last column is the base. A row has the same bits alone as among
        others.
        """
        return np.vstack([self._of_some(part) for part in in_parts(matrix)])

    def _of_some(self, matrix: Floats) -> Floats:
        found = np.take(self.values, self.patterns.find(matrix), axis=0)
        width = self.patterns.n_columns + 1
        cells = np.arange(len(matrix))[:, np.newaxis, np.newaxis] * width + self.features
        summed = np.bincount(cells.ravel(), found.ravel(), len(matrix) * width).astype(np.float64, copy=False)
        of_rows = summed.reshape(len(matrix), width)
        of_rows[:, -1] = self.base
        return of_rows


def _tabulate(root: Node, features: Sequence[int]) -> tuple[Floats, float]:
    """A tree's SHAP values by pattern, shape (2 ** n_decisions, n_features), and its mean score.

    Shapley's values of the game in which a feature is known or not: a decision by a feature that is not known sends a
    row both ways, in the shares of the films of training (Lundberg et al. 2018, https://arxiv.org/abs/1802.03888,
    algorithm 1).
    """
    goes_left, is_known = subsets(len(decisions(root))), subsets(len(features))

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
def _shapley_weights(size: int) -> Floats:
    """What the score of a subset counts for each player's value, shape (2 ** size, size)."""
    members = subsets(size)
    orders = [math.factorial(others) * math.factorial(size - others - 1) for others in range(size)]
    weights = np.array([*orders, 0], dtype=np.float64) / math.factorial(size)
    sizes = members.sum(axis=1, keepdims=True)
    counts: Floats = np.where(members, weights[sizes - 1], -weights[sizes])
    return counts
