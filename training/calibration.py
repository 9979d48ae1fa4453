"""From raw scores to probabilities one can rely on, and to the band in which the model does not call."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from common.scoring import Calibration

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# What the verdict aims at: outside the band it is right at least this often, and at most a quarter of films fall
# inside, because a model that never answers is always right. Two points of slack: the band is chosen on older films
# than those it will meet, of which 1 in 100 more fell inside.
STATED_ACCURACY = 0.83
MAX_ABSTAINED_SHARE = 0.23


@dataclass(frozen=True)
class Band:
    """Where P(rating 3) is too close to call, and what that gave on the calibration rows.

    Attributes:
        low, high: ends of the band, symmetric about 0.5.
        accuracy: of the verdicts outside the band.
        abstained_share: part of the films inside.
    """

    low: float
    high: float
    accuracy: float
    abstained_share: float


def fit_calibration(raw: Floats, outcome: Bools) -> Calibration:
    """Platt's line: logistic regression of the outcome on the raw log-odds.

    Two parameters stay stable on a few hundred rows and keep the ranks, which isotonic steps do not. A slope that is
    not positive means that the scores carry no signal; then they are shrunk to the base rate instead of turned
    upside down.
    """
    if outcome.all() or not outcome.any():
        return Calibration(slope=1.0, intercept=0.0)
    line = LogisticRegression(C=np.inf).fit(raw.reshape(-1, 1), outcome)
    slope = float(line.coef_[0, 0])
    if slope <= 0.0:
        share = float(outcome.mean())
        return Calibration(slope=1e-6, intercept=float(np.log(share / (1.0 - share))))
    return Calibration(slope=slope, intercept=float(line.intercept_[0]))


def choose_band(
    probabilities: Floats,
    passes: Bools,
    *,
    accuracy: float = STATED_ACCURACY,
    max_share: float = MAX_ABSTAINED_SHARE,
) -> Band:
    """The narrowest band about 0.5 outside of which verdicts are right `accuracy` of the time.

    Args:
        probabilities: P(rating 3) of calibration rows, each from a model that did not see the row.
        passes: whether the rating is 3.
        accuracy: what to reach outside the band.
        max_share: when the accuracy needs a wider band than this part of the films, the band stops here.
    """
    chosen = _measure_band(0.0, probabilities, passes)
    for half_width in np.arange(0.005, 0.5, 0.005):
        if chosen.accuracy >= accuracy:
            break
        wider = _measure_band(float(half_width), probabilities, passes)
        if wider.abstained_share > max_share:
            break
        chosen = wider
    return chosen


def _measure_band(half_width: float, probabilities: Floats, passes: Bools) -> Band:
    low, high = round(0.5 - half_width, 3), round(0.5 + half_width, 3)
    called = (probabilities < low) | (probabilities > high)
    right = (probabilities > 0.5) == passes
    accuracy = float(right[called].mean()) if called.any() else 0.0
    return Band(low, high, accuracy, float(1.0 - called.mean()))
