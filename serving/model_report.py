"""The champion's evaluation from MLflow, its reliability on films it never saw, and its history."""

import json
import logging
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from common.errors import PlatformError
from serving.champion import EVALUATION, MODEL_NAME, Champion
from serving.charts import ChangeChart, RangeChart, Share, draw_changes, draw_ranges
from serving.database import Database
from serving.feature_tables import read_features

logger = logging.getLogger(__name__)

BINS = 10
MAX_FILMS = 5_000
KEPT_SECONDS = 60.0
Z = 1.96  # of a 95 % interval
EVALUATION_RUNS = "attributes.run_name = 'evaluation'"  # as training/report.py names them
LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "sv": "Swedish",
    "zh": "Chinese",
}
SLICES = {
    "decade": "Decade of release",
    "genre": "Genre",
    "language": "Original language",
    "budget": "Size of the budget",
    "known_genders": "Share of the cast whose gender is known",
}


@dataclass(frozen=True)
class Reliability:
    """Films to which about the same probability was given: how many of them pass.

    Attributes:
        predicted: mean probability.
        observed: share that passes, with its 95 % interval (Wilson 1927).
    """

    predicted: float
    observed: float
    low: float
    high: float
    films: int


@dataclass(frozen=True)
class Version:
    """A registered version."""

    version: str
    registered_at: datetime
    is_champion: bool
    promotion: str
    films: str
    periods: str


@dataclass(frozen=True)
class Diagnosis:
    """Where the model is good and what it lives on; None where nobody has measured it.

    Attributes:
        slices: AUC by kind of film.
        ablation: AUC lost when the model does without a family of features.
    """

    slices: RangeChart | None = None
    ablation: ChangeChart | None = None


@dataclass(frozen=True)
class ModelReport:
    """Everything about one champion; parts that could not be had are empty, and `problems` says why."""

    version: str
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    reliability: Sequence[Reliability] = ()
    history: Sequence[Version] = ()
    problems: Sequence[str] = ()


class ModelReports:
    """Asks MLflow once per champion, and for the history at most once a minute."""

    def __init__(self, tracking_uri: str, database: Database) -> None:
        self._tracking_uri = tracking_uri
        self._database = database
        self._lock = threading.Lock()
        self._report: ModelReport | None = None
        self._asked_at = float("-inf")

    def read(self, champion: Champion) -> ModelReport:
        """The report on a champion."""
        with self._lock:
            report = self._report
            is_old = time.monotonic() - self._asked_at > KEPT_SECONDS
            is_same = report is not None and report.version == champion.version.version
            if report is None or not is_same or (is_old and report.problems):
                report = self._report = self._make(champion)
                self._asked_at = time.monotonic()
            elif is_old:
                problems: list[str] = []
                history = self._try(problems, "history", self._read_history) or report.history
                diagnosis = report.diagnosis
                if diagnosis.ablation is None:  # somebody may have run `make evaluate` by now
                    diagnosis = self._try(problems, "diagnosis", lambda: self._diagnose(champion, report.evaluation))
                report = self._report = replace(
                    report, diagnosis=diagnosis or report.diagnosis, history=history, problems=problems
                )
                self._asked_at = time.monotonic()
            return report

    def _make(self, champion: Champion) -> ModelReport:
        problems: list[str] = []
        run_id = champion.version.run_id
        evaluation = self._try(problems, "evaluation", lambda: self._read_evaluation(run_id)) or {}
        diagnosis, reliability = Diagnosis(), ()
        if evaluation:
            diagnosis = self._try(problems, "diagnosis", lambda: self._diagnose(champion, evaluation)) or diagnosis
            reliability = self._try(problems, "reliability", lambda: self._judge(run_id, evaluation)) or ()
        history = self._try(problems, "history", self._read_history) or ()
        return ModelReport(champion.version.version, evaluation, diagnosis, reliability, history, problems)

    def _try(self, problems: list[str], what: str, read: Any) -> Any:
        try:
            return read()
        except PlatformError as error:
            problems.append(f"The {what} is not available: {error}")
        except Exception as error:  # noqa: BLE001 - MLflow raises what its transport raises; the page says so
            logger.warning("model report incomplete part=%s kind=%s", what, type(error).__name__)
            problems.append(f"The {what} is not available: MLflow did not give it ({type(error).__name__}).")
        return None

    def _client(self) -> Any:
        from mlflow import MlflowClient, environment_variables  # imported late: it takes seconds

        environment_variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(1)  # a page cannot wait for minutes
        environment_variables.MLFLOW_HTTP_REQUEST_TIMEOUT.set(10)
        return MlflowClient(self._tracking_uri)

    def _read_evaluation(self, run_id: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            path = self._client().download_artifacts(run_id, EVALUATION, folder)
            report: dict[str, Any] = json.loads(Path(path).read_bytes())
            return report

    def _diagnose(self, champion: Champion, evaluation: Mapping[str, Any]) -> Diagnosis:
        """From the champion's own run, and what that lacks from the newest `make evaluate` on the same data."""
        if "ablation" not in evaluation:
            run_id = self._find_evaluation(champion)
            evaluation = {**(self._read_evaluation(run_id) if run_id else {}), **evaluation}
        return make_diagnosis(evaluation)

    def _find_evaluation(self, champion: Champion) -> str | None:
        """The run of the newest full evaluation of the champion's features on the champion's films."""
        client = self._client()
        run = client.get_run(champion.version.run_id)
        wanted = {name: run.data.tags.get(name, "") for name in ("data_hash", "feature_service")}
        found = client.search_runs(
            [run.info.experiment_id],
            " and ".join([f"tags.{name} = '{value}'" for name, value in wanted.items()] + [EVALUATION_RUNS]),
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        return found[0].info.run_id if found else None

    def _judge(self, run_id: str, evaluation: Mapping[str, Any]) -> list[Reliability]:
        """Let the evaluated model, which was fitted without the newest films, score those films once more."""
        from common.scoring import Scorer

        test_from = date.fromisoformat(str(evaluation["time"]["films"]["test_from"]))
        with tempfile.TemporaryDirectory() as folder:
            scorer = Scorer.load(Path(self._client().download_artifacts(run_id, "evaluated_model", folder)))
        rows = read_features(
            self._database,
            scorer.feature_names,
            condition=f"labels.event_timestamp >= '{test_from}T00:00:00Z'",
            limit=MAX_FILMS,
        )
        if not rows:
            return []
        probabilities = scorer.probabilities(scorer.encode(rows))[:, 3].tolist()
        return bin_reliability(probabilities, [row["bechdel_rating"] == 3 for row in rows])

    def _read_history(self) -> list[Version]:
        client = self._client()
        champion = client.get_registered_model(MODEL_NAME).aliases.get("champion")
        found = client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=50)
        return [
            Version(
                version=str(item.version),
                registered_at=datetime.fromtimestamp(item.creation_timestamp / 1000, UTC),
                is_champion=str(item.version) == str(champion),
                promotion=item.tags.get("promotion", ""),
                films=item.tags.get("films", ""),
                periods=_say_periods(item.tags.get("champion_periods", "")),
            )
            for item in sorted(found, key=lambda item: -int(item.version))
        ]


def make_diagnosis(evaluation: Mapping[str, Any]) -> Diagnosis:
    """The figures of the newest films as charts."""
    groups = {
        SLICES.get(kind, kind): [
            Share(
                LANGUAGES.get(name, name) if kind == "language" else name,
                figures["auc"],
                low=figures["intervals"]["auc"][0],
                high=figures["intervals"]["auc"][1],
                count=figures["films"],
            )
            for name, figures in groups.items()
        ]
        for kind, groups in (evaluation.get("slices") or {}).items()
    }
    lost = {family: float(figures["auc_lost"]) for family, figures in (evaluation.get("ablation") or {}).items()}
    return Diagnosis(
        slices=draw_ranges(groups, reference=evaluation["time"]["rating_3"]["auc"]) if groups else None,
        ablation=draw_changes(lost) if lost else None,
    )


def bin_reliability(probabilities: Sequence[float], passes: Sequence[bool]) -> list[Reliability]:
    """Ten bins of equal width; empty ones are left out."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for probability, outcome in zip(probabilities, passes, strict=True):
        bins.setdefault(min(int(probability * BINS), BINS - 1), []).append((probability, outcome))
    found = []
    for _, pairs in sorted(bins.items()):
        count = len(pairs)
        observed = sum(outcome for _, outcome in pairs) / count
        low, high = wilson(observed, count)
        found.append(Reliability(sum(p for p, _ in pairs) / count, observed, low, high, count))
    return found


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share; it stays inside 0 to 1 also for few films."""
    spread = Z * Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z * ((share * (1 - share) + spread / 4) / count) ** 0.5 / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _say_periods(tag: str) -> str:
    """`begin/end begin/` as training writes them, in days."""
    periods = (period.partition("/") for period in tag.split())
    return ", ".join(f"{begin[:10]} to {end[:10] or 'now'}" for begin, _, end in periods)
