"""How good probabilities are, each number with its bootstrap interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

METRICS = ("auc", "average_precision", "brier", "ece", "accuracy")
ECE_BINS = 10
BOOTSTRAP_SAMPLES = 500
_SEED = 11
_Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Measured:
    """A metric's value and the 95 % percentile interval of the bootstrap over films."""

    value: float
    low: float
    high: float


def measure(passes: Bools, probabilities: Floats) -> dict[str, Measured]:
    """Every metric of METRICS.

    Args:
        passes: shape (n_films,): whether the target is true.
        probabilities: shape (n_films,): its predicted probability; accuracy calls it true above 0.5.

    Returns:
        `ece` is the expected calibration error over ECE_BINS bins of equal width (Guo et al. 2017). With a few
        thousand films chance alone gives it 0.02 to 0.03 (see `ece_by_chance()`). Resampling adds as much again, so
        what the samples have too much on average is taken off its interval.
    """
    weights = np.vstack([np.ones(len(passes)), _resample(len(passes))])
    values = _measure_weighted(passes, probabilities, weights)
    errors = values["ece"]
    errors[1:] = np.maximum(errors[1:] - (errors[1:].mean() - errors[0]), 0.0)
    return {
        name: Measured(float(column[0]), *(float(end) for end in np.nanpercentile(column[1:], [2.5, 97.5])))
        for name, column in values.items()
    }


def measure_once(passes: Bools, probabilities: Floats) -> dict[str, float]:
    """Every metric of METRICS without its interval."""
    values = _measure_weighted(passes, probabilities, np.ones((1, len(passes))))
    return {name: float(column[0]) for name, column in values.items()}


def auc_difference(passes: Bools, challenger: Floats, champion: Floats) -> Measured:
    """AUC of the challenger minus that of the champion on the same films, resampled in pairs."""
    weights = np.vstack([np.ones(len(passes)), _resample(len(passes))])
    both = [_auc_and_precision(passes, scores, weights)[0] for scores in (challenger, champion)]
    differences = both[0] - both[1]
    low, high = np.nanpercentile(differences[1:], [2.5, 97.5])
    return Measured(float(differences[0]), float(low), float(high))


def ece_by_chance(probabilities: Floats) -> Measured:
    """The calibration error that perfect probabilities would show on as many films: its mean, and what 95 % of
    draws of the outcomes hold. An `ece` inside says no more than that the films are few."""
    random = np.random.default_rng(_SEED)
    outcomes = random.random((BOOTSTRAP_SAMPLES, len(probabilities))) < probabilities
    bins = np.clip((probabilities * ECE_BINS).astype(int), 0, ECE_BINS - 1)
    errors = probabilities - outcomes
    gaps = np.stack([np.abs(errors[:, bins == number].sum(axis=1)) for number in range(ECE_BINS)])
    drawn = gaps.sum(axis=0) / len(probabilities)
    return Measured(float(drawn.mean()), *(float(end) for end in np.percentile(drawn, [2.5, 97.5])))


@dataclass(frozen=True)
class Bin:
    """Films to which about the same probability was given, and how many of them pass.

    Attributes:
        predicted: mean probability.
        observed: share that passes, with its 95 % interval (Wilson 1927).
    """

    predicted: float
    observed: float
    low: float
    high: float
    films: int


def bin_reliability(passes: Bools, probabilities: Floats) -> list[Bin]:
    """The bins behind `ece`, in rising order; empty ones are left out."""
    bins = np.clip((probabilities * ECE_BINS).astype(int), 0, ECE_BINS - 1)
    found = []
    for number in np.unique(bins):
        inside = bins == number
        count, observed = int(inside.sum()), float(passes[inside].mean())
        found.append(Bin(float(probabilities[inside].mean()), observed, *_wilson(observed, count), count))
    return found


def _wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share; it stays inside 0 to 1 also for few films."""
    spread = _Z * _Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * ((share * (1 - share) + spread / 4) / count) ** 0.5 / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _resample(n_films: int) -> Floats:
    """How often each film is drawn in each bootstrap sample, shape (BOOTSTRAP_SAMPLES, n_films)."""
    random = np.random.default_rng(_SEED)
    return random.multinomial(n_films, np.full(n_films, 1.0 / n_films), size=BOOTSTRAP_SAMPLES).astype(np.float64)


def _measure_weighted(passes: Bools, probabilities: Floats, weights: Floats) -> dict[str, Floats]:
    """Each metric under each row of weights: resampling is weighing, which numpy does for all samples at once."""
    totals = weights.sum(axis=1)
    errors = probabilities - passes
    auc, average_precision = _auc_and_precision(passes, probabilities, weights)
    bins = np.clip((probabilities * ECE_BINS).astype(int), 0, ECE_BINS - 1)
    gaps = np.stack([np.abs(weights[:, bins == number] @ errors[bins == number]) for number in range(ECE_BINS)])
    return {
        "auc": auc,
        "average_precision": average_precision,
        "brier": weights @ errors**2 / totals,
        "ece": gaps.sum(axis=0) / totals,
        "accuracy": weights @ ((probabilities > 0.5) == passes).astype(np.float64) / totals,
    }


def _auc_and_precision(passes: Bools, scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Area under ROC and average precision, as scikit-learn defines them, under each row of weights; nan when a
    sample holds one outcome only."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    # per distinct score, best first: the weight of films with and without the target
    true = np.add.reduceat(weights[:, order] * passes[order], starts, axis=1)
    false = np.add.reduceat(weights[:, order] * ~passes[order], starts, axis=1)
    true_so_far, false_so_far = np.cumsum(true, axis=1), np.cumsum(false, axis=1)
    all_true, all_false = true_so_far[:, -1], false_so_far[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (false * (true_so_far - true / 2)).sum(axis=1) / (all_true * all_false)
        precision = np.nan_to_num(true_so_far / (true_so_far + false_so_far))
        return auc, (precision * true).sum(axis=1) / all_true
