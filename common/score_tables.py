"""Raw scores of boosters of small trees, looked up instead of walked to: those of LightGBM, bit for bit.

One look at all boosters' trees together takes less than LightGBM's three calls (docs/decisions/0017-tree-tables.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np

from common.tree_patterns import Floats, Integers, Node, TreePatterns, decisions, in_parts, roots_of, subsets


@dataclass(frozen=True)
class ScoreTables:
    """The leaf that each pattern of each tree ends in.

    Attributes:
        patterns: of all boosters' trees.
        scores: shape (n_patterns,): of the leaf.
        boosters: shape (n_trees,): which booster a tree belongs to.
        n_boosters: how many there are.
    """

    patterns: TreePatterns
    scores: Floats
    boosters: Integers
    n_boosters: int

    @classmethod
    def of(cls, boosters: Sequence[lightgbm.Booster]) -> "ScoreTables | None":
        """The tables of boosters of the same matrix, None when a tree does not fit: see `TreePatterns.of()`."""
        forests = [roots_of(booster) for booster in boosters]
        roots = [root for trees, _ in forests for root in trees]
        [n_columns, *others] = {n_columns for _, n_columns in forests}
        can_be_looked_up = not others and all(trees for trees, _ in forests)
        patterns = TreePatterns.of(roots, n_columns) if can_be_looked_up else None
        if patterns is None:
            return None
        return cls(
            patterns=patterns,
            scores=np.concatenate([_tabulate(root) for root in roots]),
            boosters=np.repeat(np.arange(len(forests)), [len(trees) for trees, _ in forests]),
            n_boosters=len(forests),
        )

    def of_rows(self, matrix: Floats) -> Floats:
        """From shape (n_rows, n_columns) to (n_rows, n_boosters): what `predict(raw_score=True)` of each gives.

        A row has the same bits alone as among others.
        """
        return np.vstack([self._of_some(part) for part in in_parts(matrix)])

    def _of_some(self, matrix: Floats) -> Floats:
        found = np.take(self.scores, self.patterns.find(matrix))
        cells = np.arange(len(matrix))[:, np.newaxis] * self.n_boosters + self.boosters
        # bincount adds one after the other, tree by tree, as LightGBM does; sum() would not
        summed = np.bincount(cells.ravel(), found.ravel(), len(matrix) * self.n_boosters)
        return summed.astype(np.float64, copy=False).reshape(len(matrix), self.n_boosters)


def _tabulate(root: Node) -> Floats:
    """A tree's score by pattern, shape (2 ** n_decisions,)."""
    goes_left = subsets(len(decisions(root)))

    def score(node: Node) -> Floats:
        if "split_index" not in node:
            return np.full(len(goes_left), node["leaf_value"], dtype=np.float64)
        return np.where(goes_left[:, node["split_index"]], score(node["left_child"]), score(node["right_child"]))

    return score(root)
