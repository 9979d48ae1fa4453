"""When a new model takes over: pure rules on two models' probabilities of the same films."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.feature_encoding import FeatureInfo
from training.metrics import auc_difference, ece_by_chance, measure_once

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A challenger has to be better by this much, and by more than chance: a champion that people know is not changed for
# the noise of one more seed (0.001 on average between two seeds, and up to 0.004, on 1,127 real films).
AUC_MARGIN = 0.002
# Probabilities may not become worse to rely on. The calibration error is forgiven up to what chance shows on as many
# films, because below that it says nothing.
BRIER_TOLERANCE = 0.001
ECE_TOLERANCE = 0.005
# In no slice of this many films may it fall by so much that chance does not explain it.
MIN_SLICE_FILMS = 100
SLICE_DROP = 0.03
# Fewer films that neither model has seen decide nothing.
MIN_CONTEST_FILMS = 50


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes the champion.

    Attributes:
        promoted: it takes the alias `champion`; else it takes `challenger`.
        reason: one sentence or more, kept as the version's tag.
    """

    promoted: bool
    reason: str


@dataclass(frozen=True)
class Contest:
    """Two models judged on the same newest films, which neither of them has seen.

    Attributes:
        champion: version of the champion.
        passes: shape (n_films,): whether the rating is 3.
        ours: P(rating 3) by the challenger.
        theirs: P(rating 3) by the champion.
        slices: kinds of films by name, each a mask over the films.
    """

    champion: str
    passes: Bools
    ours: Floats
    theirs: Floats
    slices: Mapping[str, Bools] = field(default_factory=dict)


def judge(contest: Contest) -> Decision:
    """Promote a challenger that is better beyond margin and chance, calibrated no worse, collapsing nowhere."""
    films = len(contest.passes)
    if films < MIN_CONTEST_FILMS:
        return Decision(
            False,
            f"Only {films} films are newer than what champion {contest.champion} had learned from; "
            f"a comparison needs {MIN_CONTEST_FILMS}.",
        )
    difference = auc_difference(contest.passes, contest.ours, contest.theirs)
    facts = (
        f"AUC {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] against champion "
        f"{contest.champion} on the {films} newest films"
    )
    objections = list(_object(contest, better=difference.value >= AUC_MARGIN and difference.low > 0.0))
    if objections:
        return Decision(False, f"{facts}. Not promoted: {'; '.join(objections)}.")
    return Decision(True, f"{facts}, calibrated no worse, worse in no slice.")


def _object(contest: Contest, *, better: bool) -> Iterator[str]:
    if not better:
        yield f"it has to be better by {AUC_MARGIN} with an interval above 0"
    ours = measure_once(contest.passes, contest.ours)
    theirs = measure_once(contest.passes, contest.theirs)
    if ours["brier"] > theirs["brier"] + BRIER_TOLERANCE:
        yield f"its Brier score is {ours['brier']:.4f} and was {theirs['brier']:.4f}"
    allowed = max(theirs["ece"] + ECE_TOLERANCE, ece_by_chance(contest.ours).high)
    if ours["ece"] > allowed:
        yield f"its calibration error is {ours['ece']:.4f} and may be {allowed:.4f}"
    for name, mask in contest.slices.items():
        yield from _object_to_slice(contest, name, mask)


def _object_to_slice(contest: Contest, name: str, mask: Bools) -> Iterator[str]:
    passes = contest.passes[mask]
    if len(passes) < MIN_SLICE_FILMS or passes.all() or not passes.any():
        return
    fall = auc_difference(passes, contest.ours[mask], contest.theirs[mask])
    if fall.value < -SLICE_DROP and fall.high < 0.0:
        yield f"on the {len(passes)} films of {name} its AUC falls by {-fall.value:.3f}"


def describe_mismatch(model: Mapping[str, FeatureInfo], service: Mapping[str, FeatureInfo]) -> str:
    """How the model's inputs differ from its feature service; empty when they agree.

    Texts may be left out of a model (`training.model`); any other feature of the service has to be there.
    """
    unknown = sorted(set(model) - set(service))
    if unknown:
        return f"the service does not give {', '.join(unknown)}"
    missing = sorted(name for name, info in service.items() if name not in model and info.kind != "text")
    if missing:
        return f"the model does not read {', '.join(missing)}"
    retyped = sorted(name for name, info in model.items() if info.kind != service[name].kind)
    return f"another type of {', '.join(retyped)}" if retyped else ""
