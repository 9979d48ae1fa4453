"""Why the model is as good as it is: slices, importance, learning curve, noise, mistakes.

Everything is measured on the films of the time split that no fit has seen, for rating 3. Ablation and learning curve
need the ranks alone, so they grow one booster each at the rounds that the full fit chose, without calibration.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.feature_encoding import FeatureInfo
from common.sentences import describe, plain_value
from training.dataset import to_rows
from training.evaluation import Evaluation, as_json, score_frame
from training.metrics import measure, measure_once
from training.model import Examples, grow_booster, learn_texts, prepare_examples, show_unseen
from training.parameters import Parameters
from training.slices import slice_films
from training.split import MIN_FILMS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

LEARNING_SHARES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
MIN_SLICE_FILMS = 30
MISTAKES = 20
REASONS_PER_MISTAKE = 4
# What "dubious" is taken to mean for the ceiling: whoever submitted the rating might as well have tossed a coin.
DUBIOUS_IS_WRONG = 0.5
_DRAWS = 200
_SEED = 13
_THRESHOLD = 3


@dataclass(frozen=True)
class Judged:
    """The reported films of a split with what the model says about them.

    Attributes:
        evaluation: the fit and its split.
        films: the reported films with their features.
        passes: whether the rating is 3.
        probabilities: P(rating 3).
        contributions: shape (n_films, n_features + 1): log-odds of rating 3, last column the base.
    """

    evaluation: Evaluation
    films: pd.DataFrame
    passes: Bools
    probabilities: Floats
    contributions: Floats

    @classmethod
    def of(cls, evaluation: Evaluation) -> "Judged":
        films = evaluation.split.test
        scorer = evaluation.fit.scorer
        return cls(
            evaluation,
            films,
            (films["bechdel_rating"] == _THRESHOLD).to_numpy(),
            score_frame(scorer, films)[:, _THRESHOLD],
            scorer.contributions(scorer.encode(to_rows(films, scorer.feature_names))),
        )

    @property
    def features(self) -> Mapping[str, FeatureInfo]:
        return self.evaluation.fit.scorer.features


def report_slices(judged: Judged) -> dict[str, Any]:
    """Every metric with its interval for each slice of at least MIN_SLICE_FILMS films."""
    report: dict[str, Any] = {}
    for kind, masks in slice_films(judged.films).items():
        for name, mask in masks.items():
            passes = judged.passes[mask]
            if len(passes) < MIN_SLICE_FILMS or passes.all() or not passes.any():
                continue
            measured = as_json(measure(passes, judged.probabilities[mask]))
            report.setdefault(kind, {})[name] = {
                "films": len(passes),
                "base_rate": round(float(passes.mean()), 5),
                "mean_probability": round(float(judged.probabilities[mask].mean()), 5),
                **measured,
            }
    return report


def report_both_slices(evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Slices of the newest films, and of the random part, in which there are many decades."""
    return {
        "slices": report_slices(Judged.of(evaluations["time"])),
        "slices_random": report_slices(Judged.of(evaluations["random"])),
    }


def report_importance(judged: Judged) -> dict[str, Any]:
    """Gain while growing and mean absolute contribution on the reported films, by feature and family."""
    booster = judged.evaluation.fit.scorer.boosters[-1]
    gains = dict(zip(booster.feature_name(), booster.feature_importance("gain"), strict=True))
    total = float(sum(gains.values())) or 1.0
    shares = np.abs(judged.contributions[:, :-1]).mean(axis=0)
    by_feature: dict[str, dict[str, Any]] = {
        name: {
            "family": info.family,
            "gain_share": round(float(gains.get(name, 0.0)) / total, 5),
            "mean_contribution": round(float(share), 5),
        }
        for (name, info), share in zip(judged.features.items(), shares, strict=True)
    }
    by_family: dict[str, dict[str, float]] = {}
    for facts in by_feature.values():
        family = by_family.setdefault(
            str(facts["family"]), {"gain_share": 0.0, "mean_contribution": 0.0, "features": 0}
        )
        family["features"] += 1
        for name in ("gain_share", "mean_contribution"):
            family[name] = round(family[name] + facts[name], 5)
    ranked = dict(sorted(by_feature.items(), key=lambda item: -item[1]["mean_contribution"]))
    return {"by_feature": ranked, "by_family": by_family}


def report_refits(
    judged: Judged, features: Mapping[str, FeatureInfo], parameters: Parameters, *, workers: int = 2
) -> dict[str, Any]:
    """AUC without each family of features (ablation), and after fewer films (learning curve)."""
    split = judged.evaluation.split
    examples = prepare_examples(pd.concat([split.development, split.test]), features, parameters)
    learn = np.arange(len(split.development), dtype=np.intp)
    unseen = np.arange(len(learn), len(examples.ratings), dtype=np.intp)
    order = np.random.default_rng(_SEED).permutation(learn)
    families = sorted({info.family for info in features.values()} - {""})
    rounds = judged.evaluation.fit.rounds[-1]

    def score(task: tuple[Examples, Rows]) -> float:
        return _rank(task[0], task[1], unseen, rounds)

    tasks = [(_without(examples, family), learn) for family in families]
    sizes = [size for share in LEARNING_SHARES if (size := int(len(order) * share)) >= MIN_FILMS]
    tasks += [(examples, np.sort(order[:size])) for size in sizes]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        aucs = [round(auc, 5) for auc in pool.map(score, tasks)]
    ablated, curve = aucs[: len(families)], aucs[len(families) :]
    return {
        "ablation": {
            family: {"auc_without": auc, "auc_lost": round(curve[-1] - auc, 5)}
            for family, auc in zip(families, ablated, strict=True)
        },
        "learning_curve": [{"films": size, "auc": auc} for size, auc in zip(sizes, curve, strict=True)],
    }


def _without(examples: Examples, family: str) -> Examples:
    kept = {name: info for name, info in examples.features.items() if info.family != family}
    columns = [position for position, name in enumerate(examples.features) if name in kept]
    return replace(examples, features=kept, matrix=examples.matrix[:, columns])


def _rank(examples: Examples, learn: Rows, unseen: Rows, rounds: int) -> float:
    learned = learn_texts(examples, learn)
    booster = grow_booster(examples, learned, learn, threshold=_THRESHOLD, rounds=rounds)
    raw = booster.predict(show_unseen(examples, learned, unseen), raw_score=True, num_threads=1)
    return measure_once(examples.passes[unseen], 1.0 / (1.0 + np.exp(-raw)))["auc"]


def report_noise(judged: Judged) -> dict[str, Any]:
    """How good a model could look on these ratings.

    `auc_of_truth`: what someone who knows every film's true answer would get, if each dubious rating were a coin
    toss. `auc_expected`: what the model would get if its probabilities were exactly right; what is above it would
    need features that tell more, not a better fit.
    """
    random = np.random.default_rng(_SEED)
    dubious = judged.films["is_dubious"].eq(True).to_numpy()
    flips = (random.random((_DRAWS, len(dubious))) < DUBIOUS_IS_WRONG) & dubious
    truths = [judged.passes ^ flip for flip in flips]
    outcomes = random.random((_DRAWS, len(dubious))) < judged.probabilities
    return {
        "dubious_share": round(float(dubious.mean()), 5),
        "dubious_share_of_rating_3": round(float(dubious[judged.passes].mean()), 5),
        "auc_of_truth": _mean(measure_once(judged.passes, truth.astype(np.float64))["auc"] for truth in truths),
        "brier_of_truth": _mean(float((truth != judged.passes).mean()) for truth in truths),
        "auc_expected": _mean(measure_once(outcome, judged.probabilities)["auc"] for outcome in outcomes),
        "auc_without_dubious": round(measure_once(judged.passes[~dubious], judged.probabilities[~dubious])["auc"], 5),
    }


def _mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 5)


def report_mistakes(judged: Judged, *, count: int = MISTAKES) -> list[dict[str, Any]]:
    """The films on which the model was surest and wrong, with what it went by."""
    wrongness = np.abs(judged.probabilities - judged.passes)
    worst = np.argsort(-wrongness, kind="stable")[:count]
    rows = to_rows(judged.films.iloc[worst], list(judged.films.columns))
    return [
        {
            "movie_id": int(row["movie_id"]),  # type: ignore[call-overload]
            "title": row.get("text_title"),
            "year": judged.films["event_timestamp"].iloc[position].year,
            "rating": int(row["bechdel_rating"]),  # type: ignore[call-overload]
            "dubious": bool(row["is_dubious"]),
            "probability": round(float(judged.probabilities[position]), 4),
            "reasons": _reasons(judged, position, row),
        }
        for position, row in zip(worst.tolist(), rows, strict=True)
    ]


def _reasons(judged: Judged, position: int, row: Mapping[str, object]) -> list[dict[str, Any]]:
    """What pushed towards the wrong answer, strongest first, each sentence once."""
    infos = list(judged.features.values())
    towards = judged.contributions[position, :-1] * (-1.0 if judged.passes[position] else 1.0)
    told: dict[str, dict[str, Any]] = {}
    for feature in np.argsort(-towards)[: 3 * REASONS_PER_MISTAKE]:
        info = infos[feature]
        value = plain_value(row.get(info.name))
        share = round(float(judged.contributions[position, feature]), 4)
        text = _cut(describe(info, row))
        told.setdefault(text, {"feature": info.name, "value": _cut(value), "contribution": share, "text": text})
    return list(told.values())[:REASONS_PER_MISTAKE]


def _cut(value: Any) -> Any:
    return f"{value[:100]}…" if isinstance(value, str) and len(value) > 100 else value


Diagnosis = Callable[[Judged], Any]
LIGHT_DIAGNOSES: Sequence[tuple[str, Diagnosis]] = (
    ("importance", report_importance),
    ("noise", report_noise),
    ("mistakes", report_mistakes),
)
