"""The full evaluation: numbers, explanations, pictures, page, and a run in MLflow that holds them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.errors import FeatureStoreError, ServiceError
from common.settings import Settings
from training.baselines import predict_logistic_regression, predict_reference_forest
from training.billing import measure_billing
from training.dataset import Dataset
from training.dependence import report_dependence
from training.diagnostics import LIGHT_DIAGNOSES, Judged, report_both_slices, report_refits
from training.evaluation import TARGETS, Evaluation, evaluate_split, score_frame, write_report
from training.figures import (
    draw_bars,
    draw_contributions,
    draw_dependence,
    draw_learning_curve,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
    draw_slices,
)
from training.metrics import auc_difference
from training.model import choose_features
from training.page import render_page
from training.parameters import ANYTIME_FEATURE_SERVICE, FEATURE_SERVICE, Parameters
from training.steps import Data, Stopwatch, load_data, load_service, measure

logger = logging.getLogger(__name__)

_SHOWN_GAINS = 20


def write_full_report(settings: Settings, feature_service: str, report_file: Path, watch: Stopwatch) -> None:
    """Measure, explain and write `report_file` and the page beside it."""
    parameters = Parameters()
    data = load_data(settings, feature_service, watch)
    evaluations, report = measure(data, parameters, watch)
    newest = Judged.of(evaluations["time"])
    with watch.step("slices, importance, noise, mistakes"):
        report |= report_both_slices(evaluations)
        report |= {name: diagnose(newest) for name, diagnose in LIGHT_DIAGNOSES}
    with watch.step("ablation and learning curve"):
        report |= report_refits(newest, data.dataset.features, parameters)
    with watch.step("women at the top of the billing"):
        movie_ids = newest.films["movie_id"].tolist()
        effects = measure_billing(settings.database_url, newest.evaluation.fit.scorer, movie_ids)
        report["billing"] = [asdict(effect) for effect in effects]
    with watch.step("partial dependence"):
        report["partial_dependence"] = report_dependence(newest, settings.database_url)
    if feature_service == FEATURE_SERVICE:
        anytime = report_anytime(data, evaluations, parameters, watch)
        report |= {"anytime": anytime} if anytime else {}
    with watch.step("pictures and page"):
        write_report(report, report_file)
        pictures = draw_everything(report, newest, data)
        page = report_file.with_suffix(".html")
        page.write_text(render_page(report, pictures), encoding="utf-8")
    log_to_mlflow(settings, report, [report_file, page], pictures)
    print(f"The report as a page: {page}")


def report_anytime(
    data: Data, evaluations: Mapping[str, Evaluation], parameters: Parameters, watch: Stopwatch
) -> dict[str, Any] | None:
    """The service that also sees what is known after release, beside the default; None while Feast has none."""
    try:
        with watch.step(f"features of {ANYTIME_FEATURE_SERVICE}"):
            dataset = load_service(data.store, data.labels, ANYTIME_FEATURE_SERVICE)
    except FeatureStoreError as error:
        logger.warning("the any-time service is left out: %s", error)
        return None
    report: dict[str, Any] = {
        "feature_service": ANYTIME_FEATURE_SERVICE,
        "features": len(choose_features(dataset.features)),
    }
    for name, evaluation in evaluations.items():
        with watch.step(f"fit and measure {ANYTIME_FEATURE_SERVICE}, {name} split"):
            report[name] = _beside(evaluation, dataset, data, parameters)
    return report


def _beside(evaluation: Evaluation, dataset: Dataset, data: Data, parameters: Parameters) -> dict[str, Any]:
    """The same split with another service's features."""
    split = evaluation.split.on(dataset.frame)
    other = evaluate_split(split, dataset, data.reference.frame, parameters)
    theirs = score_frame(evaluation.fit.scorer, evaluation.split.test)
    ours = score_frame(other.fit.scorer, split.test)
    for target, lowest in TARGETS.items():
        passes = (split.test["bechdel_rating"] >= lowest).to_numpy()
        gained = auc_difference(passes, ours[:, lowest:].sum(axis=1), theirs[:, lowest:].sum(axis=1))
        other.report[target]["auc_gained"] = {
            "value": round(gained.value, 5),
            "interval": [round(gained.low, 5), round(gained.high, 5)],
        }
    return other.report


def draw_everything(report: Mapping[str, Any], newest: Judged, data: Data) -> dict[str, str]:
    """Every picture of the page by name."""
    split = newest.evaluation.split
    learned = split.development["bechdel_rating"].to_numpy() == max(TARGETS.values())
    curves = {
        "LightGBM": (newest.passes, newest.probabilities),
        "logistic regression": (newest.passes, predict_logistic_regression(split, data.dataset.features, learned)),
        "reference forest": (newest.passes, predict_reference_forest(split, data.reference.frame, learned)),
    }
    gains = {name: facts["gain_share"] for name, facts in report["importance"]["by_feature"].items()}
    strongest = dict(sorted(gains.items(), key=lambda item: -item[1])[:_SHOWN_GAINS])
    return {
        "reliability": draw_reliability(
            {name: report[name]["rating_3"]["reliability"] for name in ("time", "random")}
        ),
        "roc": draw_roc(curves),
        "precision_recall": draw_precision_recall(curves),
        "slices": draw_slices(report["slices"]),
        "contributions": draw_contributions(newest),
        "gain": draw_bars(strongest, label="share of the gain"),
        **{
            f"dependence_{kind}": draw_dependence(report["partial_dependence"][kind])
            for kind in ("together", "alone")
        },
        "learning_curve": draw_learning_curve(report["learning_curve"], report["noise"]["auc_of_truth"]),
    }


def log_to_mlflow(
    settings: Settings, report: Mapping[str, Any], files: Sequence[Path], pictures: Mapping[str, str]
) -> None:
    """Keep the report as a run of its own; a missing MLflow costs the run, not the report."""
    import mlflow

    from training.registry import EXPERIMENT, connect_registry, flatten_metrics, read_git_commit

    try:
        connect_registry(settings.tracking_uri)
    except ServiceError as error:
        logger.warning("the report is not in MLflow: %s", error)
        return
    mlflow.set_experiment(EXPERIMENT)
    tags = {
        "mlflow.user": settings.username,
        "feature_service": report["data"]["feature_service"],
        "data_hash": report["data"]["data_hash"],
        "git_commit": read_git_commit(Path(__file__).resolve().parent),
    }
    with mlflow.start_run(run_name="evaluation", tags=tags):
        mlflow.log_metrics(flatten_metrics(report))
        for file in files:
            mlflow.log_artifact(str(file))
        for name, picture in pictures.items():
            mlflow.log_text(picture, f"pictures/{name}.svg")
