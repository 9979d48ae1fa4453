"""The champion's way into MLflow: runs with everything needed to repeat them, versions, aliases."""

import hashlib
import logging
import platform
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

import common
from common import film_kind
from common.errors import FeatureStoreError, ModelNotReadyError, ServiceError
from common.feature_encoding import FeatureInfo
from common.pyfunc_model import OUTPUT_COLUMNS
from common.scoring import Scorer
from training.dataset import Dataset
from training.evaluation import TARGETS, Evaluation, score_frame
from training.history import crown, find_champion
from training.metrics import METRICS
from training.parameters import FEATURE_SERVICE, Parameters
from training.promotion import Contest, Decision, describe_mismatch, judge
from training.rebuild import TRAINING_LABELS, save_labels
from training.slices import flatten_slices, slice_films

logger = logging.getLogger(__name__)

MODEL_NAME = "bechdel-test-predictor"
EXPERIMENT = "bechdel-test"
CHALLENGER = "challenger"
EVALUATED_MODEL = "evaluated_model"
RATING_PASSES = 3
HEALTH_SECONDS = 10.0

# Reads all rated films with the features of a service.
FeaturesOf = Callable[[str], pd.DataFrame]

# What the registered model needs to be loaded by `mlflow models serve --env-manager local` or in an image.
_REQUIREMENTS = ("lightgbm", "mlflow", "numpy", "pandas")


@dataclass(frozen=True)
class Registered:
    """A new version in MLflow's registry."""

    name: str
    version: str
    run_id: str
    decision: Decision


def connect_registry(tracking_uri: str) -> MlflowClient:
    """Point MLflow at its server and check that it answers, which MLflow itself would try for minutes.

    Raises:
        ServiceError: it does not.
    """
    mlflow.set_tracking_uri(tracking_uri)
    client = MlflowClient(tracking_uri)
    try:
        if tracking_uri.startswith("http"):
            requests.get(f"{tracking_uri}/health", timeout=HEALTH_SECONDS).raise_for_status()
        client.search_experiments(max_results=1)
    except (MlflowException, requests.RequestException) as error:
        if isinstance(error, MlflowException) and error.get_http_status_code() in (401, 403):
            raise ServiceError(
                f"MLflow at {tracking_uri} refuses who asks. Correct MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD."
            ) from error
        raise ServiceError(
            f"MLflow at {tracking_uri} does not answer. Start it with `make up`, or correct MLFLOW_TRACKING_URI."
        ) from error
    return client


def model_name_of(feature_service: str) -> str:
    """The registered model that a service's models are versions of; each service but the default has its own, so
    that a model which knows what is known after release never becomes the champion of one that does not."""
    return MODEL_NAME if feature_service == FEATURE_SERVICE else f"{MODEL_NAME}-{feature_service.replace('_', '-')}"


def register(
    client: MlflowClient,
    scorer: Scorer,
    *,
    judged: Evaluation,
    dataset: Dataset,
    report: Mapping[str, Any],
    report_file: Path,
    parameters: Parameters,
    username: str,
    promote: bool,
    features_of: FeaturesOf | None = None,
) -> Registered:
    """Log one run, register the model, and move the alias when the challenger wins.

    Args:
        client: from `connect_registry()`.
        scorer: the model that will serve, fitted on all films.
        judged: the same recipe fitted without the newest films; it is kept in the run, so that the next challenger
            can be compared with it on the same films.
        dataset: what both were fitted on.
        report: what `judged` and the random split gave.
        report_file: the same as a file.
        parameters: how the boosters were grown.
        username: who trained, recorded on the run.
        promote: False keeps the current champion in any case.
        features_of: reads the films with another service's features, for a champion that was trained on those.
    """
    name = model_name_of(dataset.feature_service)
    mlflow.set_experiment(EXPERIMENT)
    decision = decide(client, scorer, judged, dataset, promote=promote, features_of=features_of)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "scorer"
        scorer.save(saved)
        judged.fit.scorer.save(Path(folder) / EVALUATED_MODEL)
        tags = {**_tags(dataset, judged, decision), "model_sha256": hash_files(saved)}
        with mlflow.start_run(tags={**tags, "mlflow.user": username, "username": username}) as run:
            mlflow.log_params(_parameters(parameters, dataset, judged))
            mlflow.log_metrics(flatten_metrics(report))
            mlflow.log_artifact(str(report_file))
            mlflow.log_dict(describe_environment(), "environment.json")
            save_labels(dataset.frame, Path(folder) / TRAINING_LABELS)
            mlflow.log_artifact(str(Path(folder) / TRAINING_LABELS))
            mlflow.log_artifacts(str(Path(folder) / EVALUATED_MODEL), EVALUATED_MODEL)
            version = _register_model(scorer, saved, name)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    if decision.promoted:
        crown(client, name, version)
    else:
        client.set_registered_model_alias(name, CHALLENGER, version)
    logger.info("registered model=%s version=%s promoted=%s", name, version, decision.promoted)
    return Registered(name, version, run.info.run_id, decision)


def decide(
    client: MlflowClient,
    scorer: Scorer,
    judged: Evaluation,
    dataset: Dataset,
    *,
    promote: bool = True,
    features_of: FeaturesOf | None = None,
) -> Decision:
    """Compare with the champion on the same newest films, each fitted without them; see `training.promotion`."""
    mismatch = describe_mismatch(scorer.features, dataset.features)
    if mismatch:
        return Decision(False, f"It does not fit {dataset.feature_service}: {mismatch}.")
    if not promote:
        return Decision(False, "Trained with --no-promote.")
    champion = find_champion(client, model_name_of(dataset.feature_service))
    if champion is None:
        return Decision(True, "There was no champion.")
    kind = _kind_of_films(dataset)
    if champion.tags.get(film_kind.TAG, kind) != kind:
        return Decision(
            True,
            f"Champion {champion.version} learned from {film_kind.WORDS[champion.tags[film_kind.TAG]]} films, "
            f"this version from {film_kind.WORDS[kind]} ones.",
        )
    try:
        contest = _compete(client, champion, judged, dataset, features_of)
    except (ModelNotReadyError, FeatureStoreError) as error:
        return Decision(True, f"Champion {champion.version} cannot score today's features: {error}")
    return judge(contest)


def _compete(
    client: MlflowClient,
    champion: ModelVersion,
    judged: Evaluation,
    dataset: Dataset,
    features_of: FeaturesOf | None,
) -> Contest:
    """Score the newest films by both models, without those that the champion's evaluated model had learned from."""
    theirs = load_evaluated_model(client, champion.run_id)
    films = judged.split.test
    films = films[films["event_timestamp"] >= pd.Timestamp(champion.tags.get("test_from", "1800-01-01"), tz="UTC")]
    as_theirs = films
    if theirs.feature_service != dataset.feature_service and features_of is not None:
        as_theirs = features_of(theirs.feature_service).set_index("movie_id").loc[films["movie_id"]].reset_index()
    return Contest(
        champion=str(champion.version),
        passes=(films["bechdel_rating"] == RATING_PASSES).to_numpy(),
        ours=score_frame(judged.fit.scorer, films)[:, RATING_PASSES],
        theirs=score_frame(theirs, as_theirs)[:, RATING_PASSES],
        slices=flatten_slices(slice_films(films)),
    )


def load_evaluated_model(client: MlflowClient, run_id: str | None) -> Scorer:
    """The model behind a run's reported numbers.

    Raises:
        ModelNotReadyError: the run does not hold one, or it cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = client.download_artifacts(run_id or "", EVALUATED_MODEL, folder)
        except (MlflowException, OSError) as error:
            raise ModelNotReadyError(f"Run {run_id} holds no {EVALUATED_MODEL}.") from error
        return Scorer.load(Path(path))


def signature_of(features: Mapping[str, FeatureInfo]) -> ModelSignature:
    """The features by name, and the four probabilities that come back."""
    inputs = [
        ColSpec(DataType.double if info.kind == "number" else DataType.string, name)
        for name, info in features.items()
    ]
    outputs = [ColSpec(DataType.double, name) for name in OUTPUT_COLUMNS]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _register_model(scorer: Scorer, saved: Path, name: str) -> str:
    # it warns that there is no pip whose version it could note; environments that uv makes have none
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # no input example on purpose: MLflow would load the model once more to try it, and the signature is typed
        warnings.filterwarnings("ignore", message=".*input example was not provided", category=UserWarning)
        info = mlflow.pyfunc.log_model(
            name="model",
            loader_module="common.pyfunc_model",
            data_path=str(saved),
            code_paths=[str(Path(common.__file__).parent)],
            signature=signature_of(scorer.features),
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in _REQUIREMENTS],
            registered_model_name=name,
            # what serving needs to ask Feast for, before it downloads anything
            metadata={"feature_service": scorer.feature_service, "features": list(scorer.feature_names)},
        )
    return str(info.registered_model_version)


def _kind_of_films(dataset: Dataset) -> str:
    return film_kind.kind_of(synthetic=bool(dataset.frame["is_synthetic"].any()))


def describe_environment() -> dict[str, object]:
    """Python, system and the version of every installed distribution."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {
            found.metadata["Name"]: found.version
            for found in sorted(metadata.distributions(), key=lambda found: found.metadata["Name"].lower())
        },
    }


def hash_files(folder: Path) -> str:
    """SHA-256 over names and bytes of a folder's files: equal models have equal ones."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _tags(dataset: Dataset, judged: Evaluation, decision: Decision) -> dict[str, str]:
    test_from = str(judged.split.test_from)
    return {
        "feature_service": dataset.feature_service,
        "data_hash": dataset.data_hash,
        "git_commit": read_git_commit(Path(__file__).resolve().parent),
        "films": str(len(dataset.frame)),
        film_kind.TAG: _kind_of_films(dataset),
        "test_from": test_from,
        "fitted_on": "all rated films",
        "metrics_of": f"{EVALUATED_MODEL} (same recipe, fitted without the films from {test_from} on)",
        "promotion": decision.reason,
    }


def _parameters(parameters: Parameters, dataset: Dataset, judged: Evaluation) -> dict[str, object]:
    ratings = dataset.frame["bechdel_rating"]
    return {
        **asdict(parameters),
        "feature_service": dataset.feature_service,
        "features": len(judged.fit.scorer.features),
        "films": len(dataset.frame),
        **{f"films_rated_{rating}": int((ratings == rating).sum()) for rating in range(4)},
        "films_dubious": int(dataset.frame["is_dubious"].fillna(False).astype(bool).sum()),
        "first_release": str(dataset.frame["event_timestamp"].min().date()),
        "last_release": str(dataset.frame["event_timestamp"].max().date()),
        "test_from": str(judged.split.test_from),
        "rounds": "/".join(map(str, judged.fit.rounds)),
    }


def flatten_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """`time.rating_3.auc` and so on, and the same of each baseline, for MLflow's metric table."""
    flat: dict[str, float] = {}
    for split in ("random", "time"):
        for target in TARGETS:
            cell = report[split][target]
            flat |= {f"{split}.{target}.{name}": cell[name] for name in METRICS}
            for baseline, numbers in cell["baselines"].items():
                flat |= {f"{split}.{target}.{baseline}.{name}": numbers[name] for name in METRICS}
    return flat


def read_git_commit(folder: Path) -> str:
    """The checked-out commit, `-dirty` when tracked files differ from it, `unknown` outside of a checkout."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
