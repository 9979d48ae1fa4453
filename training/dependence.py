"""Partial dependence: the mean probability of the newest films while one thing about them is swept (Friedman 2001).

Features of a cast depend on each other, so women are put into the casts themselves and dbt computes every feature
of the changed films (`together`). Curves of one feature with all others as they are stand apart (`alone`): they say
how the model reads that feature, also where no film could be like that.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.database import connect
from common.scoring import Scorer
from training.billing import (
    FEMALE,
    MALE,
    PLACES,
    RATING_PASSES,
    STATED_LOSS,
    Payload,
    order_cast,
    read_cast,
    read_payloads,
    score_changed,
    with_cast,
)
from training.dataset import to_rows
from training.diagnostics import Judged

Floats = NDArray[np.float64]

SWEPT_FILMS = 250
SWEPT_FEATURES = 6
GRID = 11


@dataclass(frozen=True)
class Point:
    """One step of a sweep.

    Attributes:
        label: what was set.
        probability: mean P(rating 3) over the films.
        change: mean change from the step before; None at the first.
        lowered_share: part of the films that fell by more than STATED_LOSS from the step before; None at the first.
        value: the same as `label` as a number, where it is one.
    """

    label: str
    probability: float
    change: float | None
    lowered_share: float | None
    value: float | None = None


@dataclass(frozen=True)
class Sweep:
    """A partial dependence curve.

    Attributes:
        name: a feature, or what is changed in the cast.
        description: what each step sets.
        films: how many films the means are over; the same at every step.
    """

    name: str
    description: str
    films: int
    points: tuple[Point, ...]


def report_dependence(judged: Judged, database_url: str) -> dict[str, Any]:
    """Both kinds of curves as the report keeps them; `stated_loss` is what the behaviour test allows."""
    scorer = judged.evaluation.fit.scorer
    together = sweep_casts(database_url, scorer, judged.films["movie_id"].tolist())
    return {
        "stated_loss": STATED_LOSS,
        "together": [asdict(sweep) for sweep in together],
        "alone": [asdict(sweep) for sweep in sweep_features(judged)],
    }


def sweep_casts(database_url: str, scorer: Scorer, movie_ids: Sequence[int]) -> list[Sweep]:
    """Sweeps of the cast, each step of which adds a woman or moves one up; every feature follows.

    Args:
        database_url: where raw.tmdb_movies and the live view are; nothing is written in the end.
        scorer: the model.
        movie_ids: films, of which the first SWEPT_FILMS with a TMDB answer and PLACES people in the cast are taken.
    """
    with connect(database_url) as connection:
        found = read_payloads(connection, movie_ids)
        complete = [film for film, payload in found.items() if len(read_cast(payload)) >= PLACES]
        payloads = {film: found[film] for film in complete[:SWEPT_FILMS]}

        @cache  # sweeps share steps
        def score(women: _Women) -> Floats:
            changed = {film: _recast(payload, women) for film, payload in payloads.items()}
            return np.array(list(score_changed(connection, scorer, changed).values()))

        sweeps = [
            _make_sweep(name, description, [(label, value, score(women)) for label, value, women in steps])
            for name, description, steps in _CAST_SWEEPS
        ]
        connection.rollback()
    return [sweep for sweep in sweeps if sweep.films]


# Who of the first PLACES is a woman, or the share of women in the whole cast.
_Women = tuple[bool, ...] | float


def _recast(payload: Payload, women: _Women) -> Payload:
    """The film with women and men as asked; whoever is billed below the named places stays."""
    ordered = order_cast(read_cast(payload))
    asked = women if isinstance(women, tuple) else _spread(women, len(ordered))
    changed = [
        {**member, "gender": FEMALE if is_woman else MALE} for member, is_woman in zip(ordered, asked, strict=False)
    ]
    return with_cast(payload, [*changed, *ordered[len(asked) :]])


def _spread(share: float, members: int) -> tuple[bool, ...]:
    """As many women as the share says, spread evenly over the billing."""
    return tuple(int((place + 1) * share + 1e-9) > int(place * share + 1e-9) for place in range(members))


_CAST_SWEEPS: Sequence[tuple[str, str, Sequence[tuple[str, float | None, _Women]]]] = (
    (
        f"women among the first {PLACES}",
        f"The first of the billing are women, the others of the first {PLACES} men; everybody below stays.",
        [(str(count), count, tuple(place < count for place in range(PLACES))) for count in range(PLACES + 1)],
    ),
    (
        "place of the only woman at the top",
        f"One of the first {PLACES} is a woman, the others are men; everybody below stays.",
        [
            ("none", None, (False,) * PLACES),
            *((str(n), n, tuple(place == n for place in range(1, PLACES + 1))) for n in range(PLACES, 0, -1)),
        ],
    ),
    (
        "share of women in the whole cast",
        "So many of the whole cast are women, spread evenly over the billing; all others are men.",
        [(f"{percent}%", percent / 100, percent / 100) for percent in range(0, 101, 20)],
    ),
)


def sweep_features(judged: Judged) -> list[Sweep]:
    """The numbers with the largest contributions, each alone at the steps of its own distribution."""
    scorer = judged.evaluation.fit.scorer
    matrix = scorer.encode(to_rows(judged.films, scorer.feature_names))
    sizes = dict(zip(judged.features, np.abs(judged.contributions[:, :-1]).mean(axis=0), strict=True))
    numbers = [name for name, info in judged.features.items() if info.kind == "number"]
    strongest = sorted(numbers, key=lambda name: -sizes[name])[:SWEPT_FEATURES]
    return [_sweep_column(scorer, matrix, name) for name in strongest]


def _sweep_column(scorer: Scorer, matrix: Floats, name: str) -> Sweep:
    column = scorer.column_of(name)
    known = matrix[~np.isnan(matrix[:, column]), column]
    grid = np.unique(np.quantile(known, np.linspace(0, 1, GRID), method="nearest")) if len(known) else known
    steps = []
    for value in grid.tolist():
        swept = matrix.copy()
        swept[:, column] = value
        steps.append((f"{value:.3g}", value, scorer.probabilities(swept)[:, RATING_PASSES]))
    return _make_sweep(name, scorer.features[name].description, steps)


def _make_sweep(name: str, description: str, steps: Sequence[tuple[str, float | None, Floats]]) -> Sweep:
    points: list[Point] = []
    before: Floats | None = None
    for label, value, scores in steps:
        moved = None if before is None or not len(scores) else scores - before
        points.append(
            Point(
                label=label,
                probability=round(float(scores.mean()), 5) if len(scores) else 0.0,
                change=None if moved is None else round(float(moved.mean()), 5),
                lowered_share=None if moved is None else round(float((moved < -STATED_LOSS).mean()), 5),
                value=value,
            )
        )
        before = scores
    return Sweep(name, description, len(before) if before is not None else 0, tuple(points))
