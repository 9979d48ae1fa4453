"""The champion's way into MLflow: runs with everything needed to repeat them, versions, aliases."""

import logging
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

import common
from common.errors import ModelNotReadyError, ServiceError
from common.pyfunc_model import OUTPUT_COLUMNS
from common.scoring import FeatureInfo, Scorer
from training.dataset import Dataset
from training.evaluation import TARGETS, Evaluation, score_frame
from training.metrics import METRICS, Measured, auc_difference
from training.parameters import Parameters

logger = logging.getLogger(__name__)

MODEL_NAME = "bechdel-test-predictor"
EXPERIMENT = "bechdel-test"
CHAMPION = "champion"
CHALLENGER = "challenger"
EVALUATED_MODEL = "evaluated_model"

# A challenger may be this much worse on the newest films and still take over: it has learned from newer data, and
# a difference below it is noise (the standard error of an AUC on 1,400 films is 0.01).
AUC_MARGIN = 0.005


# What the registered model needs to be loaded by `mlflow models serve --env-manager local` or in an image.
_REQUIREMENTS = ("lightgbm", "mlflow", "numpy", "pandas")


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes the champion.

    Attributes:
        promoted: it takes the alias `champion`; else it takes `challenger`.
        reason: one sentence, kept as the version's tag.
    """

    promoted: bool
    reason: str


@dataclass(frozen=True)
class Registered:
    """A new version in MLflow's registry."""

    version: str
    run_id: str
    decision: Decision


def connect_registry(tracking_uri: str) -> MlflowClient:
    """Point MLflow at its server and check that it answers.

    Raises:
        ServiceError: it does not.
    """
    mlflow.set_tracking_uri(tracking_uri)
    client = MlflowClient(tracking_uri)
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise ServiceError(
            f"MLflow at {tracking_uri} does not answer. Start it with `make up`, or correct MLFLOW_TRACKING_URI."
        ) from error
    return client


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
) -> Registered:
    """Log a run, register its model and give it an alias.

    Args:
        client: from `connect_registry()`.
        scorer: the model that is to serve, fitted on all films.
        judged: the time split; its scorer, fitted without the newest films, is kept beside the one that serves, so
            that the reported numbers can be repeated and the next challenger has an equal to be compared with.
        dataset: what both were fitted on.
        report: what `reports/evaluation.json` holds.
        report_file: that file.
        parameters: how the boosters were grown.
        username: who trained, recorded on the run.
        promote: False keeps the current champion in any case.
    """
    mlflow.set_experiment(EXPERIMENT)
    decision = decide(client, judged, promote=promote)
    tags = _tags(dataset, judged, decision)
    with mlflow.start_run(tags={**tags, "mlflow.user": username, "username": username}) as run:
        mlflow.log_params(_parameters(parameters, dataset, judged))
        mlflow.log_metrics(flatten_metrics(report))
        mlflow.log_artifact(str(report_file))
        with tempfile.TemporaryDirectory() as folder:
            judged.fit.scorer.save(Path(folder) / EVALUATED_MODEL)
            mlflow.log_artifacts(str(Path(folder) / EVALUATED_MODEL), EVALUATED_MODEL)
            scorer.save(Path(folder) / "scorer")
            version = _register_model(scorer, Path(folder) / "scorer")
    for name, value in tags.items():
        client.set_model_version_tag(MODEL_NAME, version, name, value)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION if decision.promoted else CHALLENGER, version)
    logger.info("registered model=%s version=%s promoted=%s", MODEL_NAME, version, decision.promoted)
    return Registered(version, run.info.run_id, decision)


def decide(client: MlflowClient, judged: Evaluation, *, promote: bool = True) -> Decision:
    """Compare with the champion on the same newest films, each fitted without its own newest ones."""
    if not promote:
        return Decision(False, "Trained with --no-promote.")
    try:
        version = client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
    except MlflowException:
        return Decision(True, "There was no champion.")
    try:
        champion = load_evaluated_model(client, version.run_id)
        theirs = score_frame(champion, judged.split.test)[:, 3]
    except ModelNotReadyError as error:
        return Decision(True, f"Champion {version.version} cannot score today's features: {error}")
    ours = score_frame(judged.fit.scorer, judged.split.test)[:, 3]
    passes = (judged.split.test["bechdel_rating"] == 3).to_numpy()
    return judge(auc_difference(passes, ours, theirs), champion=version.version, films=len(passes))


def judge(difference: Measured, *, champion: str, films: int) -> Decision:
    """Promote unless the AUC fell by more than AUC_MARGIN.

    Args:
        difference: challenger's AUC minus champion's.
        champion: its version.
        films: how many films they were compared on.
    """
    promoted = difference.value >= -AUC_MARGIN
    return Decision(
        promoted,
        f"AUC {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] against champion {champion} "
        f"on the {films} newest films; promoted at {-AUC_MARGIN:+.3f} or better.",
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


def _register_model(scorer: Scorer, saved: Path) -> str:
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
            registered_model_name=MODEL_NAME,
            # what serving needs to ask Feast for, before it downloads anything
            metadata={"feature_service": scorer.feature_service, "features": list(scorer.feature_names)},
        )
    return str(info.registered_model_version)


def _tags(dataset: Dataset, judged: Evaluation, decision: Decision) -> dict[str, str]:
    test_from = str(judged.split.test_from)
    return {
        "feature_service": dataset.feature_service,
        "data_hash": dataset.data_hash,
        "git_commit": read_git_commit(Path(__file__).resolve().parent),
        "films": str(len(dataset.frame)),
        "is_synthetic": str(bool(dataset.frame["is_synthetic"].any())).lower(),
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
        "features": len(dataset.features),
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
