from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from training.parameters import Parameters
from training.search import format_study, open_study, suggest_parameters

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def try_some(study: optuna.Study, trials: int) -> None:
    """Trials that cost nothing: the more leaves, the better."""

    def judge(trial: optuna.Trial) -> float:
        trial.set_user_attr("auc", 0.8)
        trial.set_user_attr("rounds", 100)
        return -float(suggest_parameters(trial).num_leaves)

    study.optimize(judge, n_trials=trials)


def test_parameters_in_use_are_the_first_trial(tmp_path: Path) -> None:
    study = open_study("films", tmp_path / "optuna.db")
    try_some(study, 1)

    assert suggest_parameters(optuna.trial.FixedTrial(study.trials[0].params)) == Parameters()
    assert "1 trials of films" in format_study(study)
    assert "in use: log-loss -8.0000" in format_study(study)


def test_search_in_parts_tries_nothing_twice(tmp_path: Path) -> None:
    for _ in range(4):
        study = open_study("films", tmp_path / "optuna.db")
        try_some(study, 2)

    assert len({str(trial.params) for trial in study.trials}) == len(study.trials) == 8


def test_search_that_was_killed_goes_on(tmp_path: Path) -> None:
    """Its trial never ended: it counts for nothing, and the parameters in use are tried after all."""
    open_study("films", tmp_path / "optuna.db").ask()
    study = open_study("films", tmp_path / "optuna.db")
    try_some(study, 2)

    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert "2 trials of films" in format_study(study)
    assert "in use: log-loss -8.0000" in format_study(study)


def test_study_without_a_finished_trial_is_said_to_have_none(tmp_path: Path) -> None:
    assert "0 trials of films" in format_study(open_study("films", tmp_path / "optuna.db"))
