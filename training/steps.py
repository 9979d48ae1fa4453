"""The steps that training and the full evaluation share, and the watch that times them."""

import logging
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from feast import FeatureStore

from common.settings import ROOT, Settings
from training.dataset import Dataset, load_dataset, load_labels, open_feature_store
from training.evaluation import Evaluation, evaluate_split
from training.model import choose_features
from training.parameters import ANYTIME_FEATURE_SERVICE, REFERENCE_FEATURE_SERVICE, Parameters
from training.split import split_at_random, split_by_release

logger = logging.getLogger(__name__)

FEATURE_REPOSITORY = ROOT / "feature_repo"
_BYTES_PER_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


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
