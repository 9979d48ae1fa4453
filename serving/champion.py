"""The model that answers: MLflow's champion, looked for every few seconds and swapped whole or not at all."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from common.errors import FeatureStoreError, ModelNotReadyError

if TYPE_CHECKING:
    from common.scoring import Scorer

logger = logging.getLogger(__name__)

MODEL_NAME = "bechdel-test-predictor"
ALIAS = "champion"
EVALUATION = "evaluation.json"
LAYOUT = "2"  # of the kept folders; another one is fetched again
POLL_SECONDS = 2.0
RETRY_REFUSED_SECONDS = 60.0
NO_MODEL = "No model yet. Run: make train-model"
LOADING = "The model is being loaded: try again in a few seconds. When none has been trained, run: make train-model"


@dataclass(frozen=True)
class ModelVersion:
    """A version in the model registry.

    Attributes:
        registered_at: ISO 8601, UTC; empty when the registry does not say.
    """

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    registered_at: str = ""


@dataclass(frozen=True)
class Champion:
    """A loaded model. Requests keep the one they began with, so that no answer mixes two.

    Attributes:
        evaluation: what training wrote into `evaluation.json`; empty when the run does not hold it.
    """

    version: ModelVersion
    scorer: "Scorer"
    loaded_at: datetime
    evaluation: Mapping[str, Any] = field(default_factory=dict)


class ModelRegistry(Protocol):
    """Where champions are registered."""

    def find_champion(self) -> ModelVersion | None:
        """The version that bears the alias now; None when there is none."""

    def download(self, version: ModelVersion, directory: Path) -> None:
        """Copy the version's files into a directory."""


class MlflowRegistry:
    """MLflow's model registry, asked with short timeouts: the next look comes in seconds anyway."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._client: Any = None

    def find_champion(self) -> ModelVersion | None:
        client = self._open()
        from common.model_registry import find_by_alias  # with MLflow, which takes a second to import

        found = find_by_alias(client, MODEL_NAME, ALIAS)
        if found is None:
            return None
        registered_at = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat()
        return ModelVersion(MODEL_NAME, str(found.version), found.run_id or "", dict(found.tags), registered_at)

    def download(self, version: ModelVersion, directory: Path) -> None:
        self._open()
        from mlflow.artifacts import download_artifacts

        download_artifacts(
            artifact_uri=f"models:/{version.name}/{version.version}",
            dst_path=str(directory),
            tracking_uri=self._tracking_uri,
        )
        try:
            self._client.download_artifacts(version.run_id, EVALUATION, str(directory))
        except Exception as error:  # noqa: BLE001 - the model answers without its figures
            logger.warning("evaluation missing version=%s kind=%s", version.version, type(error).__name__)

    def _open(self) -> Any:
        if self._client is None:
            from mlflow import MlflowClient, environment_variables, set_tracking_uri

            environment_variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(1)
            environment_variables.MLFLOW_HTTP_REQUEST_TIMEOUT.set(5)
            environment_variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
            set_tracking_uri(self._tracking_uri)
            self._client = MlflowClient(self._tracking_uri)
        return self._client


@dataclass(frozen=True)
class WatchState:
    """How the watch is going, for readiness.

    Attributes:
        registry_problem: why the registry did not answer last time; None when it did.
        refused: why a newer champion is not served; None when the newest is.
        looked_at: when the registry last answered.
    """

    registry_problem: str | None = None
    refused: str | None = None
    looked_at: datetime | None = None


class ChampionWatcher:
    """Keeps the current champion in memory and, for the next start, on disk.

    Args:
        registry: where champions are registered.
        directory: where model files are kept; one subdirectory per version.
        source: names the registry, so that a kept model of another registry is not served.
        on_load: called with each new champion before it answers; an exception refuses the champion.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        directory: Path,
        source: str,
        *,
        on_load: Callable[[Champion], None] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._source = source
        self._on_load = on_load
        self._poll_seconds = poll_seconds
        self._champion: Champion | None = None
        self._refused: tuple[ModelVersion, float] | None = None
        self._stopped = threading.Event()
        self._is_loading = True
        self.state = WatchState()

    def current(self) -> Champion:
        """The champion.

        Raises:
            ModelNotReadyError: there is none yet.
        """
        champion = self._champion
        if champion is not None:
            return champion
        if self.state.refused:
            raise ModelNotReadyError(f"{NO_MODEL} ({self.state.refused})")
        if self._is_loading:
            raise ModelNotReadyError(LOADING)
        if self.state.registry_problem:
            raise ModelNotReadyError(f"No model is loaded: {self.state.registry_problem}. Check it: make status")
        raise ModelNotReadyError(NO_MODEL)

    @property
    def version(self) -> str | None:
        """The champion's version; None while there is none."""
        champion = self._champion
        return champion.version.version if champion else None

    @property
    def is_loading(self) -> bool:
        """Whether the registry has not answered yet, or the first champion that it names is on its way."""
        return self._is_loading

    def start(self) -> None:
        """Watch in the background until `stop()`."""
        threading.Thread(target=self._watch, name="champion", daemon=True).start()

    def stop(self) -> None:
        """Let the watch end."""
        self._stopped.set()

    def look(self) -> None:
        """Ask the registry once and load its champion if it is another one than ours; never raises."""
        try:
            found = self._registry.find_champion()
        except Exception as error:  # noqa: BLE001 - whatever MLflow raises, the old champion stays
            self._note_registry_problem(error)
        else:
            self._follow(found)
        self._is_loading = False

    def _follow(self, found: ModelVersion | None) -> None:
        self.state = WatchState(refused=self.state.refused, looked_at=datetime.now(UTC))
        if found is None:
            if self._champion is not None:
                logger.warning("champion gone: no version of %s bears the alias %s", MODEL_NAME, ALIAS)
            self._champion = None
        elif self._is_news(found):
            self._is_loading = self._champion is None
            self._adopt(found)

    def load_kept(self) -> None:
        """Serve the champion of the last run until the registry has been asked; a damaged one is ignored."""
        try:
            kept = orjson.loads((self._directory / "current.json").read_bytes())
            if kept["source"] == self._source:
                version = ModelVersion(**kept["version"])
                self._serve(version, self._directory / _folder(version))
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - the registry will be asked next
            logger.warning("kept champion ignored kind=%s", type(error).__name__)

    def _watch(self) -> None:
        self.load_kept()
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(self._poll_seconds)

    def _is_news(self, found: ModelVersion) -> bool:
        if self._champion is not None and _folder(self._champion.version) == _folder(found):
            self._refused = None
            self.state = WatchState(looked_at=self.state.looked_at)
            return False
        if self._refused is not None and _folder(self._refused[0]) == _folder(found):
            return time.monotonic() - self._refused[1] > RETRY_REFUSED_SECONDS
        return True

    def _adopt(self, found: ModelVersion) -> None:
        try:
            directory = self._fetch(found)
            self._serve(found, directory)
        except Exception as error:  # noqa: BLE001 - a broken champion is refused, the old one stays
            reason = f"version {found.version} is registered but cannot be used: {error}"
            logger.error("champion refused version=%s kind=%s reason=%s", found.version, type(error).__name__, error)
            self._refused = (found, time.monotonic())
            self.state = WatchState(refused=reason, looked_at=self.state.looked_at)
            if not isinstance(error, FeatureStoreError):  # else its files are good, the tables are not ready for it
                shutil.rmtree(self._directory / _folder(found), ignore_errors=True)
            return
        self._refused = None
        self.state = WatchState(looked_at=self.state.looked_at)
        self._keep(found)

    def _fetch(self, version: ModelVersion) -> Path:
        """Download a version beside the others; it appears under its name only when it is complete."""
        target = self._directory / _folder(version)
        if target.exists():
            return target
        partial = self._directory / f".{_folder(version)}.{threading.get_native_id()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            self._registry.download(version, partial)
            partial.rename(target)
        except OSError:
            if not target.exists():  # another worker was quicker
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return target

    def _serve(self, version: ModelVersion, directory: Path) -> None:
        started = time.monotonic()
        champion = Champion(version, _load_scorer(directory), datetime.now(UTC), _load_evaluation(directory))
        if self._on_load is not None:
            self._on_load(champion)
        self._champion = champion
        logger.info(
            "champion loaded version=%s features=%d seconds=%.1f",
            version.version,
            len(champion.scorer.feature_names),
            time.monotonic() - started,
        )

    def _keep(self, version: ModelVersion) -> None:
        record = orjson.dumps({"source": self._source, "version": asdict(version)})
        partial = self._directory / f".current.{threading.get_native_id()}"
        partial.write_bytes(record)
        partial.replace(self._directory / "current.json")
        for old in self._directory.iterdir():
            if old.is_dir() and not old.name.startswith(".") and old.name != _folder(version):
                shutil.rmtree(old, ignore_errors=True)

    def _note_registry_problem(self, error: Exception) -> None:
        problem = f"MLflow does not answer ({type(error).__name__})"
        if self.state.registry_problem is None:
            logger.warning("registry away reason=%r", problem)
        self.state = WatchState(problem, self.state.refused, self.state.looked_at)


def _folder(version: ModelVersion) -> str:
    return f"{version.version}-{version.run_id or 'no-run'}-{LAYOUT}"


def _load_evaluation(directory: Path) -> dict[str, Any]:
    try:
        evaluation: dict[str, Any] = orjson.loads((directory / EVALUATION).read_bytes())
    except (OSError, ValueError):
        return {}
    return evaluation


def _load_scorer(directory: Path) -> "Scorer":
    """Load the Scorer among a model's files and try it on a film of which nothing is known."""
    from common.scoring import Scorer  # imported late: LightGBM takes a second

    found = sorted(directory.rglob("scorer.json"))
    if not found:
        raise ModelNotReadyError("its files hold no scorer.json. Train a new one: make train-model")
    scorer = Scorer.load(found[0].parent)
    matrix = scorer.encode([dict.fromkeys(scorer.feature_names)])
    probabilities = scorer.probabilities(matrix)
    contributions = scorer.contributions(matrix)
    if probabilities.shape != (1, 4) or not abs(float(probabilities.sum()) - 1.0) < 1e-6:
        raise ModelNotReadyError("its probabilities do not sum to 1. Train a new one: make train-model")
    if contributions.shape != (1, len(scorer.feature_names) + 1):
        raise ModelNotReadyError("its contributions do not fit its features. Train a new one: make train-model")
    return scorer
