"""The commands of `python -m training`, and nothing that takes time to import: `--help` answers at once."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.settings import ROOT
from training.parameters import FEATURE_SERVICE

REPORT = ROOT / "reports" / "evaluation.json"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    return build_parser().parse_args(arguments)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Learn from rated films whether a film passes the Bechdel test, and say how well.",
    )
    parser.add_argument(
        "--report", type=Path, default=REPORT, help="where the numbers are written (default: %(default)s)"
    )
    parser.add_argument(
        "--service", default=FEATURE_SERVICE, help="feature service to learn from (default: %(default)s)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_learning(commands)
    _add_registry(commands)
    return parser


def _add_learning(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = commands.add_parser(
        "train",
        help="evaluate, fit on all rated films, register with MLflow",
        description="Evaluate on two splits, fit once more on all rated films, and register that model with MLflow. "
        "It becomes the champion when there is none, or when it is better on the newest films beyond chance.",
    )
    train.add_argument("--no-promote", action="store_true", help="register as challenger and leave the champion")
    evaluate = commands.add_parser(
        "evaluate",
        help="measure model and baselines on two splits, print the table, write the report as JSON and page",
        description="Fit and measure on the reference project's random 70/30 split and on the newest 20 % of films, "
        "explain the model and its mistakes, and write evaluation.json and evaluation.html. Nothing is registered; "
        "when MLflow answers, it gets the report as a run of its own.",
    )
    evaluate.add_argument("--last", action="store_true", help="only print the report that is already there")
    search = commands.add_parser(
        "search",
        help="look for better parameters with Optuna; stops and resumes at any time",
        description="Try parameters on films that came after those learned from (rolling time folds inside the "
        "development part; the reported films are never read). Every trial is kept in STATE_DIR, so a second "
        "call goes on where the first stopped. The best are printed; put them into training/parameters.py.",
    )
    search.add_argument("--trials", type=int, default=50, help="at most this many more (default: %(default)s)")
    search.add_argument("--minutes", type=float, default=10.0, help="at most this long (default: %(default)s)")


def _add_registry(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    rollback = commands.add_parser(
        "rollback",
        help="give the alias champion back to an earlier version",
        description="Make the champion before the present one the champion again, or the version named by --to. "
        "A running server follows within seconds. A model of synthetic films is refused while real ones are loaded, "
        "and the other way round.",
    )
    rollback.add_argument("--to", metavar="VERSION", help="any registered version")
    commands.add_parser("history", help="who was champion when", description="List the champions by time.")
    rebuild = commands.add_parser(
        "rebuild",
        help="build a version's training set again and compare its hash",
        description="Join the features of the version's service to the version's films, and check that every value "
        "is what the model had learned from.",
    )
    rebuild.add_argument("--version", help="a registered version (default: the champion)")
    rebuild.add_argument("--out", type=Path, help="write the training set to this parquet file")
    cleanup = commands.add_parser(
        "cleanup-mlflow",
        help="delete models, runs and experiments, and collect MLflow's garbage",
        description="Delete every registered version and run, then what they left on the disk. Asks first. "
        "The champion in use and its run stay, unless --force is given.",
    )
    cleanup.add_argument("--force", action="store_true", help="delete the champion too")
    cleanup.add_argument("--yes", action="store_true", help="do not ask")
