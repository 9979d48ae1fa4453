"""What the commands do, each as the recipe of its steps."""

import argparse
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from feast import FeatureStore

from common.settings import ROOT, Settings
from training.dataset import Dataset, load_dataset, load_labels, open_feature_store
from training.diagnostics import report_both_slices
from training.evaluation import Evaluation, evaluate_split, format_report, read_report, write_report
from training.model import choose_features, fit_scorer
from training.parameters import ANYTIME_FEATURE_SERVICE, REFERENCE_FEATURE_SERVICE, Parameters
from training.split import split_at_random, split_by_release

logger = logging.getLogger(__name__)

FEATURE_REPOSITORY = ROOT / "feature_repo"
_BYTES_PER_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def run_command(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run the chosen command; returns the exit code."""
    commands: Mapping[str, Callable[[Settings, argparse.Namespace], int]] = {
        "train": train,
        "evaluate": evaluate,
        "search": search,
        "rollback": roll_back_champion,
        "history": print_history,
        "rebuild": rebuild,
        "cleanup-mlflow": clean_up,
    }
    return commands[arguments.command](settings, arguments)


@dataclass
class Stopwatch:
    """How long each step took: logged as it happens, and told together at the end."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        logger.info("%s ...", what)
        began = time.perf_counter()
        yield
        self.seconds[what] = time.perf_counter() - began
        logger.info("%s: done seconds=%.1f", what, self.seconds[what])

    def format(self) -> str:
        """One line per step, the sum and the most memory that this process ever held."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_RSS_UNIT
        lines = [f"{seconds:6.1f} s  {what}" for what, seconds in self.seconds.items()]
        return "\n".join([*lines, f"{sum(self.seconds.values()):6.1f} s  in all; {peak / 1e6:,.0f} MB at most"])


@dataclass(frozen=True)
class Data:
    """What a training run reads.

    Attributes:
        store: the feature store that the rest came from.
        labels: all rated films.
        dataset: the labels with the features of the model's service.
        reference: the same films with the reference project's ten columns.
    """

    store: FeatureStore
    labels: pd.DataFrame
    dataset: Dataset
    reference: Dataset


def load_data(settings: Settings, feature_service: str, watch: Stopwatch) -> Data:
    """Read labels from PostgreSQL and features from Feast."""
    with watch.step("labels and feature store"):
        labels = load_labels(settings.database_url)
        store = open_feature_store(FEATURE_REPOSITORY)
    with watch.step(f"features of {feature_service} for {len(labels)} films, point in time"):
        dataset = load_service(store, labels, feature_service)
    with watch.step(f"features of {REFERENCE_FEATURE_SERVICE}"):
        reference = load_service(store, labels, REFERENCE_FEATURE_SERVICE)
    return Data(store, labels, dataset, reference)


def load_service(store: FeatureStore, labels: pd.DataFrame, feature_service: str) -> Dataset:
    """What was known on each film's release day; of services that look after it, what is known today."""
    looks_back = feature_service in (REFERENCE_FEATURE_SERVICE, ANYTIME_FEATURE_SERVICE)
    return load_dataset(store, labels, feature_service, as_of=datetime.now(UTC) if looks_back else None)


def measure(data: Data, parameters: Parameters, watch: Stopwatch) -> tuple[dict[str, Evaluation], dict[str, Any]]:
    """Fit and judge on both splits; gives the evaluations by split and their report."""
    evaluations = {}
    for split in (split_at_random(data.dataset.frame), split_by_release(data.dataset.frame)):
        with watch.step(f"fit and measure, {split.name} split: {len(split.development)} and {len(split.test)} films"):
            evaluations[split.name] = evaluate_split(split, data.dataset, data.reference.frame, parameters)
    report = {
        **{name: evaluation.report for name, evaluation in evaluations.items()},
        "data": {
            "films": len(data.dataset.frame),
            "features": len(choose_features(data.dataset.features)),
            "feature_service": data.dataset.feature_service,
            "data_hash": data.dataset.data_hash,
            "is_synthetic": bool(data.dataset.frame["is_synthetic"].any()),
        },
    }
    return evaluations, report


def train(settings: Settings, arguments: argparse.Namespace) -> int:
    """Evaluate, fit on all films, register."""
    watch = Stopwatch()
    parameters = Parameters()
    with watch.step("MLflow"):
        from training.registry import connect_registry, register  # takes 2 s to import: only where it is needed

        client = connect_registry(settings.tracking_uri)
    data = load_data(settings, arguments.service, watch)
    dataset = data.dataset
    evaluations, report = measure(data, parameters, watch)
    with watch.step("slices"):
        report |= report_both_slices(evaluations)
    write_report(report, arguments.report)
    with watch.step(f"fit the model that serves, on all {len(dataset.frame)} films"):
        fit = fit_scorer(
            dataset.frame,
            dataset.features,
            feature_service=dataset.feature_service,
            parameters=parameters,
            facts={"fitted_on": "all rated films", "data_hash": dataset.data_hash, "films": len(dataset.frame)},
        )
    with watch.step("register with MLflow"):
        registered = register(
            client,
            fit.scorer,
            judged=evaluations["time"],
            dataset=dataset,
            report=report,
            report_file=arguments.report,
            parameters=parameters,
            username=settings.username,
            promote=not arguments.no_promote,
            features_of=lambda service: load_service(data.store, data.labels, service).frame,
        )
    print(format_report(report))
    print(watch.format())
    role = "champion" if registered.decision.promoted else "challenger"
    print(f"Version {registered.version} of {registered.name} is the {role}: {registered.decision.reason}")
    return 0


def evaluate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Judge on both splits, explain, and write the report."""
    if not arguments.last:
        from training.report import write_full_report

        watch = Stopwatch()
        write_full_report(settings, arguments.service, arguments.report, watch)
        print(watch.format())
    print(format_report(read_report(arguments.report)))
    return 0


def search(settings: Settings, arguments: argparse.Namespace) -> int:
    """Try parameters inside the development part."""
    from training.search import format_study, run_search

    labels = load_labels(settings.database_url)
    dataset = load_service(open_feature_store(FEATURE_REPOSITORY), labels, arguments.service)
    development = split_by_release(dataset.frame).development
    study = run_search(
        development,
        dataset,
        storage=settings.state_dir / "search" / "optuna.db",
        trials=arguments.trials,
        minutes=arguments.minutes,
    )
    print(format_study(study))
    return 0


def roll_back_champion(settings: Settings, arguments: argparse.Namespace) -> int:
    """Give the alias back."""
    from training.history import roll_back
    from training.registry import connect_registry, model_name_of

    name = model_name_of(arguments.service)
    former, present = roll_back(connect_registry(settings.tracking_uri), name, to=arguments.to)
    print(f"Version {present} of {name} is the champion again, instead of version {former}.")
    return 0


def print_history(settings: Settings, arguments: argparse.Namespace) -> int:
    """Champions by time."""
    from training.history import read_history
    from training.registry import connect_registry, model_name_of

    for period in read_history(connect_registry(settings.tracking_uri), model_name_of(arguments.service)):
        ended = f"{period.ended:%Y-%m-%d %H:%M:%S}" if period.ended else "now"
        print(f"version {period.version:>4}  {period.began:%Y-%m-%d %H:%M:%S} to {ended} (UTC)")
    return 0


def rebuild(settings: Settings, arguments: argparse.Namespace) -> int:
    """Check that a training set can be had again."""
    from common.errors import ModelNotReadyError
    from training.history import find_champion
    from training.rebuild import rebuild_training_set
    from training.registry import connect_registry, model_name_of

    client = connect_registry(settings.tracking_uri)
    name = model_name_of(arguments.service)
    champion = find_champion(client, name)
    version = arguments.version or (str(champion.version) if champion else None)
    if version is None:
        raise ModelNotReadyError(f"{name} has no champion. Name a version: --version 1.")
    dataset = rebuild_training_set(client, open_feature_store(FEATURE_REPOSITORY), name, version)
    if arguments.out:
        write_dataset(dataset, arguments.out)
    print(f"Version {version}: {len(dataset.frame)} films, every value as it was ({dataset.data_hash[:12]}).")
    return 0


def write_dataset(dataset: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.frame.to_parquet(path, index=False)


def clean_up(settings: Settings, arguments: argparse.Namespace) -> int:
    """Delete what MLflow keeps."""
    from training.cleanup import collect_garbage, delete_everything, find_leftovers
    from training.registry import connect_registry

    client = connect_registry(settings.tracking_uri)
    leftovers = find_leftovers(client, force=arguments.force)
    print(leftovers)
    if not arguments.yes and not _agrees("Delete this for good? [y/N] "):
        print("Nothing was deleted.")
        return 1
    delete_everything(client, leftovers)
    print(collect_garbage(settings))
    return 0


def _agrees(question: str) -> bool:
    """Whether a person types y; a script, which types nothing, does not agree."""
    try:
        return input(question).strip().lower() == "y"
    except EOFError:
        print()
        return False
