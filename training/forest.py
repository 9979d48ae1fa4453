"""Several boosters as one, so that all who read a booster (scores, contributions, files) need not know of them."""

import re
from collections.abc import Sequence

import lightgbm

_FIRST_TREE = "\nTree=0\n"
_END_OF_TREES = "end of trees\n"
_LEAF_VALUES = re.compile(r"^leaf_value=(.*)$", re.MULTILINE)
# lengths of the trees' texts, which change; LightGBM reads a file without them as well
_TREE_SIZES = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)


def average_boosters(boosters: Sequence[lightgbm.Booster]) -> lightgbm.Booster:
    """One booster whose raw score is the mean of theirs.

    LightGBM has no public way to join boosters; its text format has one tree after the other, and a booster's score
    is their sum. So every leaf is divided by the number of boosters, and their trees stand in one file.

    Args:
        boosters: at least one; all with the same features and objective.
    """
    if len(boosters) == 1:
        return boosters[0]
    texts = [booster.model_to_string() for booster in boosters]
    head, _ = texts[0].split(_FIRST_TREE)
    tail = texts[0].partition(_END_OF_TREES)[2]
    grown = (tree for text in texts for tree in _list_trees(text, share=1.0 / len(boosters)))
    trees = [f"Tree={number}\n{tree}" for number, tree in enumerate(grown)]
    joined = "".join([_TREE_SIZES.sub("", head), "\n", *trees, _END_OF_TREES, tail])
    return lightgbm.Booster(model_str=joined)


def _list_trees(text: str, *, share: float) -> list[str]:
    """The trees of a booster without their numbers, each leaf multiplied by `share`."""
    trees = text[text.index(_FIRST_TREE) + 1 : text.index(_END_OF_TREES)]
    return [
        _LEAF_VALUES.sub(lambda line: f"leaf_value={_scale(line[1], share)}", tree)
        for tree in re.split(r"^Tree=\d+\n", trees, flags=re.MULTILINE)[1:]
    ]


def _scale(values: str, share: float) -> str:
    return " ".join(repr(float(value) * share) for value in values.split())
