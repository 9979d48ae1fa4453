"""Look for better parameters with Optuna, on films that are newer than those learned from.

Three rolling folds within the development part: learn from the oldest 55, 70 and 85 % of the films, judge on the next
15 %. The reported films are never read. The texts are learned once per fold, so that a trial is boosters alone.
"""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from common.feature_encoding import FeatureInfo
from training.dataset import Dataset
from training.metrics import measure_once
from training.model import (
    ROUND_STEP,
    Examples,
    Learned,
    grow_booster,
    learn_texts,
    predict_stages,
    prepare_examples,
    show_unseen,
)
from training.parameters import Parameters

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

LEARNED_SHARES = (0.55, 0.70, 0.85)
JUDGED_SHARE = 0.15
_THRESHOLD = 3
_SEED = 20


@dataclass(frozen=True)
class RollingFold:
    """One part to learn from and the films released after it."""

    examples: Examples
    learned: Learned
    learn: Rows
    unseen: Floats
    passes: NDArray[np.bool_]


def make_rolling_folds(
    development: pd.DataFrame, features: Mapping[str, FeatureInfo], parameters: Parameters
) -> list[RollingFold]:
    """Cut the development films by release; no release day is in both parts of a fold."""
    ordered = development.sort_values(["event_timestamp", "movie_id"], kind="stable")
    return [_make_fold(ordered, features, parameters, share) for share in LEARNED_SHARES]


def _make_fold(
    ordered: pd.DataFrame, features: Mapping[str, FeatureInfo], parameters: Parameters, share: float
) -> RollingFold:
    released = ordered["event_timestamp"]
    begins = released.iloc[int(len(ordered) * share)]
    last = released.iloc[min(int(len(ordered) * (share + JUDGED_SHARE)), len(ordered)) - 1]
    learn = ordered[released < begins]
    judged = ordered[(released >= begins) & (released <= last)]
    examples = prepare_examples(pd.concat([learn, judged]), features, parameters)
    rows = np.arange(len(learn), dtype=np.intp)
    held_out = np.arange(len(learn), len(learn) + len(judged), dtype=np.intp)
    learned = learn_texts(examples, rows)
    return RollingFold(examples, learned, rows, show_unseen(examples, learned, held_out), examples.passes[held_out])


def judge_parameters(folds: list[RollingFold], parameters: Parameters) -> tuple[float, float, int]:
    """Log-loss and AUC over the folds, both at the number of rounds with the lowest loss, and that number."""
    losses = []
    stages = []
    for fold in folds:
        examples = replace(fold.examples, parameters=parameters)
        booster = grow_booster(examples, fold.learned, fold.learn, threshold=_THRESHOLD, rounds=parameters.max_rounds)
        raw = predict_stages(booster, fold.unseen, parameters)
        sign = np.where(fold.passes, -1.0, 1.0)[:, np.newaxis]
        losses.append(np.logaddexp(0.0, sign * raw).mean(axis=0))
        stages.append(raw)
    loss = np.mean(losses, axis=0)
    best = int(np.argmin(loss))
    probabilities = [1.0 / (1.0 + np.exp(-raw[:, best])) for raw in stages]
    aucs = [measure_once(fold.passes, scores)["auc"] for fold, scores in zip(folds, probabilities, strict=True)]
    return float(loss[best]), float(np.mean(aucs)), (best + 1) * ROUND_STEP


def run_search(
    development: pd.DataFrame, dataset: Dataset, *, storage: Path, trials: int, minutes: float
) -> optuna.Study:
    """Go on with the study of this data and service, or begin it with the parameters in use.

    Args:
        development: films that may be learned from and judged on.
        dataset: where they come from; its hash and service name the study.
        storage: an SQLite file, made when missing; every trial is kept there.
        trials: at most this many more.
        minutes: no trial begins after that time.
    """
    study = open_study(f"{dataset.feature_service} {dataset.data_hash[:12]}", storage)
    folds = make_rolling_folds(development, dataset.features, Parameters())
    study.optimize(lambda trial: _try(trial, folds), n_trials=trials, timeout=minutes * 60)
    return study


def open_study(name: str, storage: Path) -> optuna.Study:
    """The study as it was left, also by a search that was killed in the middle of a trial."""
    storage.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name, storage=f"sqlite:///{storage}", direction="minimize", load_if_exists=True
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # with the seed alone, a search that goes on would draw again what its last part drew
        study.sampler = optuna.samplers.TPESampler(seed=_SEED + len(study.trials), multivariate=True)
    if _find_in_use(study, TrialState.COMPLETE, TrialState.WAITING) is None:
        study.enqueue_trial(_as_trial(Parameters()))
    return study


def _find_in_use(study: optuna.Study, *states: TrialState) -> FrozenTrial | None:
    """The trial of the parameters in use; of one that waits only its `fixed_params` are known."""
    ours = _as_trial(Parameters())
    trials = study.get_trials(states=states)
    return next((trial for trial in trials if trial.system_attrs.get("fixed_params", trial.params) == ours), None)


def _try(trial: optuna.Trial, folds: list[RollingFold]) -> float:
    parameters = suggest_parameters(trial)
    loss, auc, rounds = judge_parameters(folds, parameters)
    trial.set_user_attr("auc", auc)
    trial.set_user_attr("rounds", rounds)
    logger.info("trial=%d log_loss=%.4f auc=%.4f rounds=%d", trial.number, loss, auc, rounds)
    return loss


def suggest_parameters(trial: optuna.Trial | optuna.trial.FixedTrial) -> Parameters:
    """The space: everything that changed the loss by more than noise in hand-made trials, and their neighbours."""
    return replace(
        Parameters(),
        num_leaves=trial.suggest_int("num_leaves", 4, 16),
        learning_rate=trial.suggest_float("learning_rate", 0.03, 0.15, log=True),
        min_data_in_leaf=trial.suggest_int("min_data_in_leaf", 5, 100, log=True),
        feature_fraction=trial.suggest_float("feature_fraction", 0.1, 0.8),
        bagging_fraction=trial.suggest_float("bagging_fraction", 0.5, 1.0),
        lambda_l2=trial.suggest_float("lambda_l2", 0.1, 50.0, log=True),
        dubious_weight=trial.suggest_float("dubious_weight", 0.0, 1.0),
        extra_trees=trial.suggest_categorical("extra_trees", [False, True]),
    )


def _as_trial(parameters: Parameters) -> dict[str, Any]:
    fixed = optuna.trial.FixedTrial(
        {
            name: value
            for name, value in vars(parameters).items()
            if name not in ("max_rounds", "folds", "seed", "forests")
        }
    )
    suggest_parameters(fixed)
    return dict(fixed.params)


def format_study(study: optuna.Study) -> str:
    """The parameters in use and the best, beside what they gave; a trial that was cut off counts for neither."""
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    lines = [f"{len(finished)} trials of {study.study_name}, rolling time folds, rating 3:"]
    if not finished:
        return lines[0]
    best = study.best_trial
    for name, trial in (("in use", _find_in_use(study, TrialState.COMPLETE)), (f"trial {best.number}", best)):
        if trial is not None:
            lines.append(
                f"{name:>10}: log-loss {trial.value:.4f}, AUC {trial.user_attrs['auc']:.4f}, "
                f"{trial.user_attrs['rounds']} rounds"
            )
    lines += [f"    {name}: {value!r}," for name, value in best.params.items()]
    return "\n".join(lines)
