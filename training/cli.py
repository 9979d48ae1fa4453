"""`python -m training train` and `python -m training evaluate`."""

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.settings import ROOT, Settings
from training.dataset import Dataset, load_dataset, load_labels, open_feature_store
from training.evaluation import Evaluation, evaluate_split, format_report, read_report, write_report
from training.model import fit_scorer
from training.parameters import FEATURE_SERVICE, REFERENCE_FEATURE_SERVICE, Parameters
from training.split import split_at_random, split_by_release

logger = logging.getLogger(__name__)

FEATURE_REPOSITORY = ROOT / "feature_repo"
REPORT = ROOT / "reports" / "evaluation.json"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Learn from rated films whether a film passes the Bechdel test, and say how well.",
    )
    parser.add_argument(
        "--report", type=Path, default=REPORT, help="where the numbers are written (default: %(default)s)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train",
        help="evaluate, fit on all rated films, register with MLflow",
        description="Evaluate on two splits, fit once more on all rated films, and register that model with MLflow. "
        "It becomes the champion when there is none or when it is not worse on the newest films.",
    )
    train.add_argument("--no-promote", action="store_true", help="register as challenger and leave the champion")
    evaluate = commands.add_parser(
        "evaluate",
        help="measure model and baselines on two splits and print the table",
        description="Fit and measure on the reference project's random 70/30 split and on the newest 20 % of films, "
        "write the report and print it. MLflow is not touched.",
    )
    evaluate.add_argument("--last", action="store_true", help="only print the report that is already there")
    return parser


def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run the chosen command."""
    if arguments.command == "train":
        return train(settings, report_file=arguments.report, promote=not arguments.no_promote)
    if not arguments.last:
        run_evaluation(load_data(settings), Parameters(), report_file=arguments.report)
    print(format_report(read_report(arguments.report)))
    return 0


@dataclass(frozen=True)
class Data:
    """What a training run reads.

    Attributes:
        dataset: the labels with the features of the model's service.
        reference: the same films with the reference project's ten columns.
        seconds: how long reading took.
    """

    dataset: Dataset
    reference: Dataset
    seconds: float


def load_data(settings: Settings) -> Data:
    """Read labels from PostgreSQL and features from Feast."""
    began = time.perf_counter()
    with _step("labels and feature store"):
        labels = load_labels(settings.database_url)
        store = open_feature_store(FEATURE_REPOSITORY)
    with _step(f"features of {FEATURE_SERVICE} for {len(labels)} films, point in time"):
        dataset = load_dataset(store, labels, FEATURE_SERVICE)
    with _step(f"features of {REFERENCE_FEATURE_SERVICE}"):
        reference = load_dataset(store, labels, REFERENCE_FEATURE_SERVICE, as_of=datetime.now(UTC))
    return Data(dataset, reference, time.perf_counter() - began)


def run_evaluation(data: Data, parameters: Parameters, *, report_file: Path) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate both splits and write the report; gives the time split's evaluation and the report."""
    evaluations = {}
    for split in (split_at_random(data.dataset.frame), split_by_release(data.dataset.frame)):
        with _step(f"fit and measure, {split.name} split: {len(split.development)} and {len(split.test)} films"):
            evaluations[split.name] = evaluate_split(split, data.dataset, data.reference.frame, parameters)
    report = {
        **{name: evaluation.report for name, evaluation in evaluations.items()},
        "data": {
            "films": len(data.dataset.frame),
            "features": len(data.dataset.features),
            "feature_service": data.dataset.feature_service,
            "data_hash": data.dataset.data_hash,
            "is_synthetic": bool(data.dataset.frame["is_synthetic"].any()),
        },
    }
    write_report(report, report_file)
    return evaluations["time"], report


def train(settings: Settings, *, report_file: Path, promote: bool) -> int:
    """Evaluate, fit on all films, register."""
    began = time.perf_counter()
    from training.registry import connect_registry, register  # MLflow takes 2 s to import: only where it is needed

    parameters = Parameters()
    client = connect_registry(settings.tracking_uri)
    data = load_data(settings)
    judged, report = run_evaluation(data, parameters, report_file=report_file)
    dataset = data.dataset
    with _step(f"fit the model that serves, on all {len(dataset.frame)} films"):
        fit = fit_scorer(
            dataset.frame,
            dataset.features,
            feature_service=dataset.feature_service,
            parameters=parameters,
            facts={"fitted_on": "all rated films", "data_hash": dataset.data_hash, "films": len(dataset.frame)},
        )
    with _step("register with MLflow"):
        registered = register(
            client,
            fit.scorer,
            judged=judged,
            dataset=dataset,
            report=report,
            report_file=report_file,
            parameters=parameters,
            username=settings.username,
            promote=promote,
        )
    print(format_report(report))
    role = "champion" if registered.decision.promoted else "challenger"
    print(f"Version {registered.version} is the {role}: {registered.decision.reason}")
    logger.info("training finished seconds=%.1f", time.perf_counter() - began)
    return 0


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    return build_parser().parse_args(arguments)


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Log what begins and how long it took."""
    logger.info("%s ...", what)
    began = time.perf_counter()
    yield
    logger.info("%s: done seconds=%.1f", what, time.perf_counter() - began)
