"""The champion's evaluation from MLflow as charts, and its history.

Labels are shown as the evaluation has them; a stored one that wrote `80 %` shows that until the next training.
"""

import json
import logging
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import PlatformError
from common.sentences import language_names
from serving.champion import EVALUATION, MODEL_NAME, Champion
from serving.charts import ChangeChart, Curve, RangeChart, Share, Step, draw_changes, draw_ranges, draw_steps

logger = logging.getLogger(__name__)

KEPT_SECONDS = 60.0
SPLITS = ("time", "random")
EVALUATION_RUNS = "attributes.run_name = 'evaluation'"  # as training/report.py names them
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
        observed: share that passes, with its 95 % interval.
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
class Sweep:
    """The mean probability over some films while one thing about them is changed step by step.

    Attributes:
        name: what is changed.
        description: what each step sets.
        rows: a table of the steps: label, probability, change from the step before, share of films lowered by it.
    """

    name: str
    description: str
    films: int
    curve: Curve
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Dependence:
    """Partial dependence of the probability.

    Attributes:
        stated_loss: a woman more at the top never lowers the mean probability by more than this.
        together: women put into the casts, with every feature that depends on them.
        alone: one feature, everything else as it is.
        swaps: a table of single changes: what, films, mean change, middle 90 %, share of films lowered.
    """

    stated_loss: float
    together: Sequence[Sweep]
    alone: Sequence[Sweep]
    swaps: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Diagnosis:
    """Where the model is good and what it lives on; None or empty where nobody has measured it.

    Attributes:
        reliability: by split.
        slices: AUC by kind of film.
        decades: AUC by decade, in the random part: the newest films are of one decade.
        ablation: AUC lost when the model does without a family of features.
        dependence: how the probability follows the women in a cast.
    """

    reliability: Mapping[str, Sequence[Reliability]] = field(default_factory=dict)
    slices: RangeChart | None = None
    decades: RangeChart | None = None
    ablation: ChangeChart | None = None
    dependence: Dependence | None = None

    @property
    def is_complete(self) -> bool:
        """Whether `make evaluate` has nothing to add."""
        return bool(self.reliability) and None not in (self.slices, self.decades, self.ablation, self.dependence)


@dataclass(frozen=True)
class ModelReport:
    """Everything about one champion; parts that could not be had are empty, and `problems` says why."""

    version: str
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    history: Sequence[Version] = ()
    problems: Sequence[str] = ()


class ModelReports:
    """Asks MLflow once per champion, and for the history at most once a minute."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
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
                if not diagnosis.is_complete:  # somebody may have run `make evaluate` by now
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
        diagnosis = Diagnosis()
        if evaluation:
            diagnosis = self._try(problems, "diagnosis", lambda: self._diagnose(champion, evaluation)) or diagnosis
        history = self._try(problems, "history", self._read_history) or ()
        return ModelReport(champion.version.version, evaluation, diagnosis, history, problems)

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
        diagnosis = make_diagnosis(evaluation)
        if diagnosis.is_complete:
            return diagnosis
        run_id = self._find_evaluation(champion)
        if run_id is None:
            return diagnosis
        full = make_diagnosis(self._read_evaluation(run_id))
        return Diagnosis(
            diagnosis.reliability or full.reliability,
            diagnosis.slices or full.slices,
            diagnosis.decades or full.decades,
            diagnosis.ablation or full.ablation,
            diagnosis.dependence or full.dependence,
        )

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
    """An evaluation's figures as charts."""
    lost = {family: float(figures["auc_lost"]) for family, figures in (evaluation.get("ablation") or {}).items()}
    reliability = {split: _read_reliability(evaluation.get(split) or {}) for split in SPLITS}
    return Diagnosis(
        reliability=reliability if all(reliability.values()) else {},
        slices=_draw_slices(evaluation, "time", evaluation.get("slices") or {}),
        decades=_draw_slices(
            evaluation, "random", {"decade": (evaluation.get("slices_random") or {}).get("decade", {})}
        ),
        ablation=draw_changes(lost) if lost else None,
        dependence=_read_dependence(evaluation) if "partial_dependence" in evaluation else None,
    )


def _draw_slices(
    evaluation: Mapping[str, Any], split: str, slices: Mapping[str, Mapping[str, Any]]
) -> RangeChart | None:
    """AUC by kind of film beside that of all films of the split; a kind of which all films are says nothing."""
    groups = {
        SLICES.get(kind, kind): [_as_share(kind, name, figures) for name, figures in groups.items()]
        for kind, groups in slices.items()
        if len(groups) > 1
    }
    return draw_ranges(groups, reference=evaluation[split]["rating_3"]["auc"]) if groups else None


def _as_share(kind: str, name: str, figures: Mapping[str, Any]) -> Share:
    low, high = figures["intervals"]["auc"]
    shown = language_names().get(name, name) if kind == "language" else name
    return Share(shown, figures["auc"], low=low, high=high, count=figures["films"])


def _read_reliability(split: Mapping[str, Any]) -> list[Reliability]:
    """Empty for an evaluation of before it was kept."""
    bins = (split.get("rating_3") or {}).get("reliability") or []
    return [Reliability(one["predicted"], one["observed"], *_ends(one["interval"]), one["films"]) for one in bins]


def _ends(interval: Sequence[float]) -> tuple[float, float]:
    low, high = interval
    return low, high


def _read_dependence(evaluation: Mapping[str, Any]) -> Dependence:
    curves = evaluation["partial_dependence"]
    return Dependence(
        stated_loss=curves["stated_loss"],
        together=[_read_sweep(sweep) for sweep in curves["together"]],
        alone=[_read_sweep(sweep) for sweep in curves["alone"] if len(sweep["points"]) > 1],
        swaps=[
            [
                swap["change"],
                str(swap["films"]),
                _points(swap["mean"]),
                f"{_points(swap['low'])} to {_points(swap['high'])}",
                _percent(swap["lowered_share"]),
            ]
            for swap in evaluation.get("billing") or ()
        ],
    )


def _read_sweep(sweep: Mapping[str, Any]) -> Sweep:
    points = sweep["points"]
    has_places = all(point["value"] is not None for point in points)
    steps = [
        Step(float(point["value"] if has_places else number), point["label"], point["probability"])
        for number, point in enumerate(points)
    ]
    return Sweep(
        name=sweep["name"],
        description=sweep["description"],
        films=sweep["films"],
        curve=draw_steps(steps, says=[f"{step.label}: {_percent(step.value)}" for step in steps]),
        rows=[
            [
                point["label"],
                _percent(point["probability"]),
                "" if point["change"] is None else _points(point["change"]),
                "" if point["lowered_share"] is None else _percent(point["lowered_share"]),
            ]
            for point in points
        ],
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _points(change: float) -> str:
    """A change of a probability in percentage points."""
    return f"{100 * change:+.1f}".replace("-", "\N{MINUS SIGN}")


def _say_periods(tag: str) -> str:
    """`begin/end begin/` as training writes them, in days."""
    periods = (period.partition("/") for period in tag.split())
    return ", ".join(f"{begin[:10]} to {end[:10] or 'now'}" for begin, _, end in periods)
