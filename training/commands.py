"""What the commands do, each as the recipe of its steps."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from common import film_kind
from common.database import connect
from common.errors import DatabaseError
from common.settings import Settings
from training.dataset import Dataset, load_labels, open_feature_store
from training.diagnostics import report_both_slices
from training.evaluation import format_report, read_report, write_report
from training.model import fit_scorer
from training.parameters import Parameters
from training.split import split_by_release
from training.steps import FEATURE_REPOSITORY, Stopwatch, load_data, load_service, measure


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
    try:
        with connect(settings.database_url) as connection:
            films = film_kind.kind_of_loaded(connection)
    except DatabaseError as error:  # a model that answers badly has to go also then
        print(f"{error} So whether the earlier model learned from such films was not looked at.")
        films = None
    former, present = roll_back(connect_registry(settings.tracking_uri), name, to=arguments.to, films=films)
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
