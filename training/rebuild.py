"""The training set of a registered version once more, from its run: which films, which service, and the same hash."""

import logging
import tempfile
from pathlib import Path

import pandas as pd
from feast import FeatureStore
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from common.errors import FeatureStoreError, ModelNotReadyError
from training.dataset import LABEL_COLUMNS, Dataset, load_dataset

logger = logging.getLogger(__name__)

TRAINING_LABELS = "training_labels.parquet"


def save_labels(frame: pd.DataFrame, path: Path) -> None:
    """Keep which films with which ratings were learned from; their features are in the feature store."""
    frame[list(LABEL_COLUMNS)].to_parquet(path, index=False)


def rebuild_training_set(client: MlflowClient, store: FeatureStore, name: str, version: str) -> Dataset:
    """Join the features of the version's service to the version's films, and compare the hash.

    Raises:
        ModelNotReadyError: there is no such version, or it was registered without its films.
        FeatureStoreError: the features are not what they were.
    """
    try:
        registered = client.get_model_version(name, version)
        with tempfile.TemporaryDirectory() as folder:
            path = client.download_artifacts(registered.run_id or "", TRAINING_LABELS, folder)
            labels = pd.read_parquet(path)
    except (MlflowException, OSError) as error:
        raise ModelNotReadyError(f"MLflow keeps no {TRAINING_LABELS} of {name} version {version}.") from error
    dataset = load_dataset(store, labels, registered.tags["feature_service"])
    expected = registered.tags["data_hash"]
    if dataset.data_hash != expected:
        raise FeatureStoreError(
            f"The features of version {version} are not what they were: their hash is {dataset.data_hash[:12]} and "
            f"was {expected[:12]}. Load the films of that time and build commit {registered.tags['git_commit'][:12]}."
        )
    logger.info("training set rebuilt version=%s films=%d hash=%s", version, len(dataset.frame), expected)
    return dataset
