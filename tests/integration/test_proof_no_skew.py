"""What the model was taught, what is served and what is live are the same values, nulls included, bit for bit."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feast import FeatureStore

from common.scoring import FeatureInfo, encode_features
from serving.database import Database
from serving.features_live import LiveFeatures
from serving.features_online import OnlineFeatures
from tests.feature_films import ROOT, Project, close_store, open_store
from training.dataset import Dataset, load_dataset, load_labels, to_rows

pytestmark = [
    # Feast's and its dependencies' own; none of them is about what we call
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

FILMS = 500
SERVICE = "movie_bechdel_history_v1"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings that load some films: real ones where they are, else the synthetic sample."""
    folder = Path(os.environ.get("REAL_FILMS_DIR", ROOT.parent / "shared" / "data"))
    if not (folder / "movies.csv.gz").exists():
        return {"MOVIES_SOURCE": "sample", "SAMPLE_FILMS": str(FILMS + 100)}
    part = tmp_path_factory.mktemp("films")
    payloads = part / "payloads.jsonl.gz"
    with gzip.open(folder / "movies.csv.gz", "rt", encoding="utf-8", newline="") as rows:
        head = [next(rows) for _ in range(FILMS + 100)]
    with gzip.open(part / "movies.csv.gz", "wt", encoding="utf-8", newline="") as cut:
        cut.writelines(head)
    shutil.copy(folder / "tmdb_payloads.jsonl.gz", payloads)
    return {"MOVIES_SOURCE": str(part / "movies.csv.gz"), "TMDB_PAYLOADS": str(payloads)}


@pytest.fixture(scope="module")
def project(source: Mapping[str, str], module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The films as `make up` brings them in: loaded, built, published."""
    environment = {name: value for name, value in os.environ.items() if name != "TMDB_PAYLOADS"}
    environment |= {**source, "DB_CONNECTION_STRING": module_database_url}
    environment["STATE_DIR"] = str(tmp_path_factory.mktemp("state"))
    subprocess.run([sys.executable, "-m", "ingestion", "load"], cwd=ROOT, env=environment, check=True, timeout=300)
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"))
    built.run()
    built.publish()
    return built


@pytest.fixture(scope="module")
def dataset(project: Project) -> Iterator[Dataset]:
    """Offline: what training gets."""
    with open_store(project.database_url) as store:
        yield offline(store, project)


def offline(store: FeatureStore, project: Project) -> Dataset:
    labels = load_labels(project.database_url)
    live = {row["tmdb_id"] for row in project.rows("select tmdb_id from raw.tmdb_movies")}
    chosen = labels[labels["movie_id"].isin(live)].head(FILMS)
    assert len(chosen) == FILMS
    return load_dataset(store, chosen, SERVICE)


@pytest.fixture(scope="module")
def rows(project: Project, dataset: Dataset) -> dict[str, list[Mapping[str, Any]]]:
    """The films' rows by where they come from, each by the code that training and the API use."""
    ids = [int(movie_id) for movie_id in dataset.frame["movie_id"]]
    names = tuple(dataset.features)
    database = Database(project.database_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB_CONNECTION_STRING", project.database_url)
        reader = OnlineFeatures(ROOT / "feature_repo")
        online = reader.read(ids, SERVICE)
        close_store(reader._open())
    live = LiveFeatures(database).read(ids, names)
    database.close()
    return {
        "offline": to_rows(dataset.frame, names),
        "online": [online[movie_id] for movie_id in ids],
        "live": [live[movie_id] for movie_id in ids],
    }


@pytest.mark.parametrize("place", ["online", "live"])
def test_values_are_those_that_the_model_was_taught(
    dataset: Dataset, rows: Mapping[str, list[Mapping[str, Any]]], place: str
) -> None:
    different = [
        (name, taught[name], served[name])
        for taught, served in zip(rows["offline"], rows[place], strict=True)
        for name in dataset.features
        if plain(taught[name]) != plain(served[name])
    ]
    assert different == []


@pytest.mark.parametrize("place", ["online", "live"])
def test_vectors_that_the_api_scores_are_bit_for_bit_those_of_training(
    dataset: Dataset, rows: Mapping[str, list[Mapping[str, Any]]], place: str
) -> None:
    read = {name: info for name, info in dataset.features.items() if info.kind != "text"}
    taught, served = encode(read, rows["offline"]), encode(read, rows[place])
    assert taught.tobytes() == served.tobytes()
    assert np.isfinite(taught).mean() > 0.3  # and they are not all unknown


def encode(features: Mapping[str, FeatureInfo], rows: list[Mapping[str, Any]]) -> np.ndarray:
    return encode_features(features, {}, rows)


def plain(value: Any) -> Any:
    """Training has numbers as floats with nan; a number equals itself whatever its type."""
    return None if value is None or value != value else value


def test_sample_of_films_says_what_it_is(source: Mapping[str, str], project: Project) -> None:
    (row,) = project.rows("select bool_or(is_synthetic) as synthetic from raw.movies")
    assert row["synthetic"] == (source["MOVIES_SOURCE"] == "sample"), json.dumps(source)
