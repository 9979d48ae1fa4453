"""Judge the model on films it never saw, beside the baselines: `reports/evaluation.json` and its table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.errors import ModelNotReadyError
from common.scoring import Scorer
from training.baselines import predict_always_pass, predict_logistic_regression, predict_reference_forest
from training.dataset import Dataset, to_rows
from training.metrics import METRICS, Bin, Measured, bin_reliability, ece_by_chance, measure
from training.model import Fit, fit_scorer
from training.parameters import Parameters
from training.split import Split

Floats = NDArray[np.float64]

# The lowest rating that counts as true: the Bechdel test itself, and the reference project's looser target.
TARGETS = {"rating_3": 3, "rating_2_or_3": 2}


@dataclass(frozen=True)
class Evaluation:
    """One split's report and the fit behind it."""

    split: Split
    fit: Fit
    report: dict[str, Any]


def evaluate_split(split: Split, dataset: Dataset, reference: pd.DataFrame, parameters: Parameters) -> Evaluation:
    """Fit on the development part, then measure model and baselines on the reported part.

    Args:
        split: a split of `dataset.frame`.
        dataset: where the split comes from.
        reference: the features of `movie_reference_v1`, by `movie_id`.
        parameters: how to grow the boosters.
    """
    facts = {"split": split.name, "test_from": str(split.test_from), "data_hash": dataset.data_hash}
    fit = fit_scorer(
        split.development,
        dataset.features,
        feature_service=dataset.feature_service,
        parameters=parameters,
        facts=facts,
    )
    probabilities = score_frame(fit.scorer, split.test)
    report: dict[str, Any] = {
        name: _report_target(split, dataset, reference, lowest=lowest, probabilities=probabilities)
        for name, lowest in TARGETS.items()
    }
    report["abstention"] = _report_band(fit, split, probabilities[:, 3])
    report["films"] = {
        "development": len(split.development),
        "test": len(split.test),
        "test_from": str(split.test_from) if split.test_from else None,
        "test_until": str(split.test["event_timestamp"].max().date()) if split.test_from else None,
    }
    return Evaluation(split, fit, report)


def score_frame(scorer: Scorer, films: pd.DataFrame) -> Floats:
    """P(rating 0 to 3) of the films, shape (n_films, 4), by the road that serving takes.

    Raises:
        ModelNotReadyError: the films lack features that the scorer was fitted on.
    """
    gone = [name for name in scorer.feature_names if name not in films.columns]
    if gone:
        raise ModelNotReadyError(f"these features are gone: {', '.join(gone)}.")
    return scorer.probabilities(scorer.encode(to_rows(films, scorer.feature_names)))


def _report_target(
    split: Split, dataset: Dataset, reference: pd.DataFrame, *, lowest: int, probabilities: Floats
) -> dict[str, Any]:
    learned = split.development["bechdel_rating"].to_numpy() >= lowest
    passes = split.test["bechdel_rating"].to_numpy() >= lowest
    baselines = {
        "always_pass": predict_always_pass(split),
        "reference_forest": predict_reference_forest(split, reference, learned),
        "logistic_regression": predict_logistic_regression(split, dataset.features, learned),
    }
    ours = np.clip(probabilities[:, lowest:].sum(axis=1), 0.0, 1.0)
    by_chance = ece_by_chance(ours)
    return {
        **as_json(measure(passes, ours)),
        "ece_by_chance": {
            "mean": round(by_chance.value, 5),
            "interval": [round(by_chance.low, 5), round(by_chance.high, 5)],
        },
        "base_rate": float(passes.mean()),
        "reliability": [_bin_as_json(found) for found in bin_reliability(passes, ours)],
        "baselines": {name: as_json(measure(passes, scores)) for name, scores in baselines.items()},
    }


def as_json(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Metrics as the report keeps them: the values by name, and their intervals beside them."""
    return {
        **{name: round(metric.value, 5) for name, metric in measured.items()},
        "intervals": {name: [round(metric.low, 5), round(metric.high, 5)] for name, metric in measured.items()},
    }


def _bin_as_json(found: Bin) -> dict[str, Any]:
    return {
        "predicted": round(found.predicted, 5),
        "observed": round(found.observed, 5),
        "interval": [round(found.low, 5), round(found.high, 5)],
        "films": found.films,
    }


def _report_band(fit: Fit, split: Split, passes: Floats) -> dict[str, Any]:
    called = (passes < fit.band.low) | (passes > fit.band.high)
    right = (passes > 0.5) == (split.test["bechdel_rating"].to_numpy() == 3)
    return {
        "low": fit.band.low,
        "high": fit.band.high,
        "accuracy_outside": round(float(right[called].mean()), 5) if called.any() else None,
        "abstained_share": round(float(1.0 - called.mean()), 5),
        "calibration_accuracy_outside": round(fit.band.accuracy, 5),
        "calibration_abstained_share": round(fit.band.abstained_share, 5),
    }


def write_report(report: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_report(path: Path) -> dict[str, Any]:
    """Read what `write_report()` wrote.

    Raises:
        ModelNotReadyError: nothing has been evaluated yet.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelNotReadyError(f"There is no {path} yet. Write it: python -m training evaluate.") from error
    return report


def format_report(report: Mapping[str, Any]) -> str:
    """The report as a table for a terminal, one row per split, target and model."""
    lines = [f"{'split':<7} {'target':<14} {'model':<20} " + " ".join(f"{name:>22}" for name in METRICS)]
    for split in ("random", "time"):
        for target in TARGETS:
            cell = report[split][target]
            for model, numbers in {"LightGBM": cell, **cell["baselines"]}.items():
                lines.append(f"{split:<7} {target:<14} {model:<20} " + " ".join(map(_cell, _columns(numbers))))
            chance = cell["ece_by_chance"]["interval"]
            lines.append(
                f"{'':<43} an ece of {chance[0]:.3f} to {chance[1]:.3f} is what perfect probabilities show here"
            )
        band = report[split]["abstention"]
        lines.append(
            f"{split:<7} outside the band {band['low']:.3f} to {band['high']:.3f}: accuracy "
            f"{_number(band['accuracy_outside'])}, {band['abstained_share']:.1%} of films too close to call"
        )
    return "\n".join([*lines, *_anytime_lines(report.get("anytime"))])


def _anytime_lines(anytime: Mapping[str, Any] | None) -> Iterator[str]:
    """What votes, popularity and revenue would add, one row per split and target; only the full report knows."""
    if not anytime:
        return
    for split in ("random", "time"):
        for target in TARGETS:
            cell = anytime[split][target]
            low, high = cell["auc_gained"]["interval"]
            yield (
                f"{split:<7} {target:<14} with what is known after release: auc {cell['auc']:.3f}, "
                f"{cell['auc_gained']['value']:+.3f} [{low:+.3f}, {high:+.3f}]"
            )


def _columns(numbers: Mapping[str, Any]) -> list[tuple[float, list[float]]]:
    return [(numbers[name], numbers["intervals"][name]) for name in METRICS]


def _cell(measured: tuple[float, list[float]]) -> str:
    value, (low, high) = measured
    return f"{value:.3f} [{low:.3f}, {high:.3f}]".rjust(22)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
