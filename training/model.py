"""Fit a Scorer: text encodings, three boosters, their calibration and the band, by cross-fitting.

Every development row is scored once by boosters and encoders that never saw it (five folds). Those out-of-fold
scores choose the number of trees, the calibration lines and the band; then boosters and encoders are fitted once
more on all development rows, each booster with two seeds, of which the mean is taken. So calibration has rows of its
own without taking a single one away from the trees, which on 7,000 films are worth more than any setting.
"""

import logging
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from common.feature_encoding import FeatureEncoder, FeatureInfo
from common.scoring import THRESHOLDS, Scorer
from common.text_encoding import TextEncoder
from training.calibration import Band, choose_band, fit_calibration
from training.dataset import to_rows
from training.forest import average_boosters
from training.parameters import Parameters
from training.text import TermCounts, count_terms, encode_counted, fit_text_encoder

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Rounds between two looks at the out-of-fold loss.
ROUND_STEP = 25
# One text that tells what these three tell, without the names: with it in the service, they are left out. They stay
# there for the models of before, which read them (docs/decisions/0015-no-drift.md).
_STORY = "text_story"
_TOLD_IN_STORY = ("text_title", "text_tagline", "text_overview")
# Folds within the learned rows that give the boosters text columns from encoders that did not see the text.
_TEXT_FOLDS = 3


@dataclass(frozen=True)
class Fit:
    """A fitted model and what its out-of-fold scores said.

    Attributes:
        scorer: fitted on all development rows.
        band: the scorer's band with its measured accuracy.
        rounds: of each booster, for ratings of at least 1, 2 and 3; the scorer's have `Parameters.forests` times as
            many trees.
        out_of_fold: shape (n_rows, 3): raw scores of the development rows, in their order.
    """

    scorer: Scorer
    band: Band
    rounds: tuple[int, ...]
    out_of_fold: Floats


@dataclass(frozen=True)
class Examples:
    """The development rows as arrays, with what every fold shares.

    Attributes:
        features: what to learn from, in the matrix's order.
        matrix: shape (n_rows, n_features); the columns of texts are still nan.
        ratings: 0 to 3.
        is_dubious: whoever submitted the rating was unsure.
        texts: term counts by the feature's name.
        parameters: how to fit.
    """

    features: Mapping[str, FeatureInfo]
    matrix: Floats
    ratings: NDArray[np.int64]
    is_dubious: NDArray[np.bool_]
    texts: Mapping[str, TermCounts]
    parameters: Parameters

    @property
    def passes(self) -> NDArray[np.bool_]:
        passes: NDArray[np.bool_] = self.ratings == THRESHOLDS[-1]
        return passes

    @property
    def weights(self) -> Floats:
        """How much each row counts while boosters grow."""
        return np.where(self.is_dubious, self.parameters.dubious_weight, 1.0)


@dataclass(frozen=True)
class Learned:
    """The text encoders of some rows, and these rows as boosters learn from them.

    Attributes:
        features: those in use, in the matrix's order.
        encoders: by name, for the texts among them.
        columns: where the features stand in `Examples.matrix`.
        matrix: shape (n_rows, n_features in use).
    """

    features: dict[str, FeatureInfo]
    encoders: dict[str, TextEncoder]
    columns: list[int]
    matrix: Floats


def fit_scorer(
    development: pd.DataFrame,
    features: Mapping[str, FeatureInfo],
    *,
    feature_service: str,
    parameters: Parameters,
    facts: Mapping[str, object] | None = None,
    workers: int = 2,
) -> Fit:
    """Fit on development rows alone; the result does not depend on `workers` or on the order of the rows.

    Args:
        development: one row per film: `movie_id`, `bechdel_rating` (0 to 3), `is_dubious` and one column per feature.
        features: what to learn from, in the model's order.
        feature_service: recorded in the Scorer.
        parameters: how to grow the boosters.
        facts: recorded in the Scorer.
        workers: fits that run side by side, each with one thread.
    """
    ordered = development.sort_values("movie_id", kind="stable")
    examples = prepare_examples(ordered, features, parameters)
    folds = list(
        StratifiedKFold(parameters.folds, shuffle=True, random_state=parameters.seed).split(
            examples.matrix, examples.ratings
        )
    )
    with ThreadPoolExecutor(max_workers=workers) as pool:
        staged = np.full((len(ordered), len(THRESHOLDS), _n_stages(parameters)), np.nan)
        for (_, held_out), scores in zip(
            folds, pool.map(lambda fold: _score_fold(examples, *fold), folds), strict=True
        ):
            staged[held_out] = scores
        rounds, raw = _choose_rounds(staged, examples.ratings)
        everything = np.arange(len(ordered), dtype=np.intp)
        learned = learn_texts(examples, everything)
        boosters = tuple(
            pool.map(
                lambda task: grow_booster(
                    examples, learned, everything, threshold=task[0], rounds=task[1], forests=parameters.forests
                ),
                zip(THRESHOLDS, rounds, strict=True),
            )
        )
    calibrations = tuple(
        fit_calibration(raw[:, column], examples.ratings >= threshold) for column, threshold in enumerate(THRESHOLDS)
    )
    out_of_fold = 1.0 / (1.0 + np.exp(-calibrations[-1].apply(raw[:, -1])))
    band = choose_band(out_of_fold, examples.passes)
    scorer = Scorer(
        feature_service=feature_service,
        features=learned.features,
        band=(band.low, band.high),
        boosters=boosters,
        calibrations=calibrations,
        text_encoders=learned.encoders,
        facts=dict(facts or {}),
    )
    position_of = np.argsort(np.argsort(development["movie_id"].to_numpy(), kind="stable"), kind="stable")
    return Fit(scorer, band, rounds, raw[position_of])


def prepare_examples(ordered: pd.DataFrame, features: Mapping[str, FeatureInfo], parameters: Parameters) -> Examples:
    """Turn the rows, sorted by `movie_id`, into what the folds learn from."""
    features = {name: features[name] for name in choose_features(features)}
    read_now = {name: info for name, info in features.items() if info.kind != "text"}
    matrix = np.full((len(ordered), len(features)), np.nan)
    columns = [position for position, name in enumerate(features) if name in read_now]
    matrix[:, columns] = FeatureEncoder(read_now, {}).encode(to_rows(ordered, list(read_now)))
    return Examples(
        features=features,
        matrix=matrix,
        ratings=ordered["bechdel_rating"].to_numpy(dtype=np.int64),
        is_dubious=ordered["is_dubious"].eq(True).to_numpy(),
        texts={name: count_terms(ordered[name].tolist()) for name, info in features.items() if info.kind == "text"},
        parameters=parameters,
    )


def choose_features(names: Collection[str]) -> list[str]:
    """Which of a service's features a model learns from: all, but for texts that another one tells as well."""
    left_out = _TOLD_IN_STORY if _STORY in names else ()
    return [name for name in names if name not in left_out]


def _score_fold(examples: Examples, learn: Rows, held_out: Rows) -> Floats:
    """Raw scores of the held-out rows after every ROUND_STEP rounds, shape (n_held_out, 3, n_stages)."""
    learned = learn_texts(examples, learn)
    unseen = show_unseen(examples, learned, held_out)
    stages = [
        predict_stages(
            grow_booster(examples, learned, learn, threshold=threshold, rounds=examples.parameters.max_rounds),
            unseen,
            examples.parameters,
        )
        for threshold in THRESHOLDS
    ]
    return np.stack(stages, axis=1)


def show_unseen(examples: Examples, learned: Learned, held_out: Rows) -> Floats:
    """Rows that were not learned from, as the boosters of `learned` read them."""
    unseen = examples.matrix[held_out][:, learned.columns]
    for column, name in enumerate(learned.features):
        if name in learned.encoders:
            unseen[:, [column]] = encode_counted(learned.encoders[name], examples.texts[name], held_out)
    return unseen


def predict_stages(booster: lightgbm.Booster, matrix: Floats, parameters: Parameters) -> Floats:
    """Raw scores after every ROUND_STEP rounds, shape (n_rows, n_stages)."""
    steps = [
        booster.predict(
            matrix, raw_score=True, start_iteration=stage * ROUND_STEP, num_iteration=ROUND_STEP, num_threads=1
        )
        for stage in range(_n_stages(parameters))
    ]
    raw: Floats = np.cumsum(np.column_stack(steps), axis=1)
    return raw


def learn_texts(examples: Examples, learn: Rows) -> Learned:
    """Fit the text encoders on rows, and give those rows the columns that encoders of *other* rows say.

    A booster that learned from encodings of texts they were fitted on would trust them far too much.

    A text feature with too few known texts is left out.
    """
    matrix = examples.matrix[learn].copy()
    encoders: dict[str, TextEncoder] = {}
    inner = StratifiedKFold(_TEXT_FOLDS, shuffle=True, random_state=examples.parameters.seed + 1)
    for column, (name, info) in enumerate(examples.features.items()):
        if info.kind != "text":
            continue
        counted = examples.texts[name]
        encoder = fit_text_encoder(counted, learn, examples.passes)
        if encoder is None:
            continue
        encoders[name] = encoder
        for others, fold in inner.split(learn, examples.ratings[learn]):
            of_others = fit_text_encoder(counted, learn[others], examples.passes)
            if of_others is not None:
                matrix[fold, [column]] = encode_counted(of_others, counted, learn[fold]).ravel()
    used = {name: info for name, info in examples.features.items() if info.kind != "text" or name in encoders}
    columns = [column for column, name in enumerate(examples.features) if name in used]
    return Learned(used, encoders, columns, matrix[:, columns])


def grow_booster(
    examples: Examples, learned: Learned, rows: Rows, *, threshold: int, rounds: int, forests: int = 1
) -> lightgbm.Booster:
    """P(rating >= threshold) from the rows: one booster, or the mean of several forests, each with its own seed."""
    data = lightgbm.Dataset(
        learned.matrix,
        (examples.ratings[rows] >= threshold).astype(np.float64),
        feature_name=list(learned.features),
        weight=examples.weights[rows],
        categorical_feature=[name for name, info in learned.features.items() if info.kind == "category"],
    )
    directions = [direction_of(info) for info in learned.features.values()]
    settings = {**examples.parameters.for_lightgbm(), "monotone_constraints": directions}
    seeds = range(examples.parameters.seed, examples.parameters.seed + forests)
    return average_boosters(
        [lightgbm.train({**settings, "seed": seed}, data, num_boost_round=rounds) for seed in seeds]
    )


def direction_of(info: FeatureInfo) -> int:
    """1 when a higher value may never lower the probability, -1 when it may never raise it, 0 when both may happen.

    More women in the cast cannot make two of them less likely to talk; a rank counts from the top of the billing.
    On the real films these constraints cost nothing, and they take away answers that nobody could explain.
    """
    if info.family != "cast" or "female" not in info.name:
        return 0
    return -1 if info.name.endswith("_rank") else 1


def _n_stages(parameters: Parameters) -> int:
    return parameters.max_rounds // ROUND_STEP


def _choose_rounds(staged: Floats, ratings: NDArray[np.int64]) -> tuple[tuple[int, ...], Floats]:
    """For each threshold the number of rounds with the lowest out-of-fold log-loss, and the scores there."""
    rounds: list[int] = []
    raw: list[Floats] = []
    for position, threshold in enumerate(THRESHOLDS):
        sign = np.where(ratings >= threshold, -1.0, 1.0)[:, np.newaxis]
        losses = np.logaddexp(0.0, sign * staged[:, position, :]).mean(axis=0)
        best = int(np.argmin(losses))
        rounds.append((best + 1) * ROUND_STEP)
        raw.append(staged[:, position, best])
    return tuple(rounds), np.column_stack(raw)
