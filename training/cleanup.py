"""Empty MLflow: versions, runs, experiments, and what they left on the disk."""

import logging
import os
import subprocess
import sys
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import ViewType

from common.database import store_address
from common.errors import ServiceError
from common.settings import Settings
from training.history import find_champion

logger = logging.getLogger(__name__)

# MLflow's own, which cannot be deleted.
_DEFAULT_EXPERIMENT = "0"
_GARBAGE_SECONDS = 600
# `mlflow gc` takes the store's address, which holds a password, on the command line alone, where `ps` shows it.
_STORE_VARIABLE = "GARBAGE_STORE_URI"
_COLLECT = (
    "import os, sys; from mlflow.cli import gc; "
    f"gc(['--backend-store-uri', os.environ['{_STORE_VARIABLE}'], *sys.argv[1:]])"
)


@dataclass(frozen=True)
class Leftovers:
    """What would be deleted.

    Attributes:
        versions: registered name and version.
        runs: run ids that are not deleted yet.
        experiments: ids of experiments of which nothing stays.
        kept: champions that stay, as registered name and version.
    """

    versions: tuple[tuple[str, str], ...]
    runs: tuple[str, ...]
    experiments: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        text = f"{len(self.versions)} model versions, {len(self.runs)} runs, {len(self.experiments)} experiments."
        champions = ", ".join(f"{name} version {version}" for name, version in self.kept)
        return f"{text} The champion stays: {champions} (FORCE=1 deletes it too)." if champions else text


def find_leftovers(client: MlflowClient, *, force: bool) -> Leftovers:
    """Everything but the champions in use with their runs; with `force` those too."""
    registered = client.search_registered_models()
    champions = [] if force else [found for model in registered if (found := find_champion(client, model.name))]
    kept = {(champion.name, str(champion.version)) for champion in champions}
    kept_runs = {champion.run_id for champion in champions}
    versions = [
        (model.name, str(version.version))
        for model in registered
        for version in client.search_model_versions(f"name = '{model.name}'")
    ]
    runs: list[str] = []
    experiments: list[str] = []
    for experiment in client.search_experiments(view_type=ViewType.ACTIVE_ONLY):
        found = [run.info.run_id for run in client.search_runs([experiment.experiment_id], max_results=10_000)]
        runs.extend(run for run in found if run not in kept_runs)
        if experiment.experiment_id != _DEFAULT_EXPERIMENT and not kept_runs.intersection(found):
            experiments.append(experiment.experiment_id)
    return Leftovers(
        versions=tuple(version for version in versions if version not in kept),
        runs=tuple(runs),
        experiments=tuple(experiments),
        kept=tuple(sorted(kept)),
    )


def delete_everything(client: MlflowClient, leftovers: Leftovers) -> None:
    """Delete them; MLflow keeps the files until `collect_garbage()`."""
    for name, version in leftovers.versions:
        client.delete_model_version(name, version)
    for model in client.search_registered_models():
        if not client.search_model_versions(f"name = '{model.name}'"):
            client.delete_registered_model(model.name)
    for run in leftovers.runs:
        client.delete_run(run)
    for experiment in leftovers.experiments:
        client.delete_experiment(experiment)


def collect_garbage(settings: Settings) -> str:
    """Run `mlflow gc` on the store of our own MLflow server; says what was done.

    Raises:
        ServiceError: it failed.
    """
    if settings.mlflow_tracking_uri:
        return (
            f"Deleted. The files behind {settings.tracking_uri} are collected by who runs that server: "
            "mlflow gc --backend-store-uri ..."
        )
    artifacts = settings.state_dir / "mlflow" / "artifacts"
    answer = subprocess.run(
        [sys.executable, "-c", _COLLECT, "--artifacts-destination", str(artifacts)],
        env={
            **os.environ,
            _STORE_VARIABLE: store_address(settings.database_url),
            "MLFLOW_TRACKING_URI": settings.tracking_uri,
        },
        capture_output=True,
        text=True,
        timeout=_GARBAGE_SECONDS,
        check=False,
    )
    if answer.returncode != 0:
        last = (answer.stderr.strip() or answer.stdout.strip() or "no output").splitlines()[-1]
        raise ServiceError(f"mlflow gc failed: {last}")
    logger.info("garbage collected artifacts=%s", artifacts)
    return f"Deleted, and the files in {artifacts} collected."
