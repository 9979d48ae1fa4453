"""The sample's ratings can be learned, but not perfectly: what a model sees decides, and noise."""

import csv
import gzip
import json
import re
from collections import Counter
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ingestion.sample.files import SampleFiles, ensure

GENRES = (
    "Drama",
    "Comedy",
    "Thriller",
    "Romance",
    "Action",
    "Adventure",
    "Crime",
    "Horror",
    "Family",
    "War",
    "Western",
)
WORDS = ("she", "her", "woman", "women", "girl", "girls", "mother", "daughter", "sister", "he", "his", "man", "men")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    return ensure(tmp_path_factory.mktemp("sample"), films=8000, seed=7)


def women_share(credited: list[dict[str, int]]) -> float:
    known = [credit["gender"] for credit in credited if credit["gender"] in {1, 2}]
    return known.count(1) / len(known) if known else np.nan


def features(payload: dict) -> list[float]:  # type: ignore[type-arg]
    cast, crew = payload["credits"]["cast"], payload["credits"]["crew"]
    words = Counter(re.findall("[a-z]+", payload["overview"].lower()))
    genres = {genre["name"] for genre in payload["genres"]}
    return [
        *(women_share(cast[:first]) for first in (1, 2, 3, 5, 10, 100)),
        women_share([credit for credit in crew if credit["job"] == "Director"]),
        women_share([credit for credit in crew if credit["department"] == "Writing"]),
        float(payload["release_date"][:4] or "nan"),
        *(genre in genres for genre in GENRES),
        *(words[word] for word in WORDS),
    ]


def read(files: SampleFiles) -> tuple[np.ndarray, np.ndarray]:
    """Hand-made features and whether the film passes, in the order of the films."""
    with gzip.open(files.movies, "rt", encoding="utf-8", newline="") as file:
        passes = {int(row["tmdbId"]): row["bt_score"] == "3" for row in csv.DictReader(file)}
    with gzip.open(files.payloads, "rt", encoding="utf-8") as file:
        payloads = [json.loads(line) for line in file]
    matrix = np.array([features(payload) for payload in payloads], dtype=float)
    return matrix, np.array([passes[payload["id"]] for payload in payloads])


def test_good_model_learns_the_sample_well_but_not_perfectly(sample: SampleFiles) -> None:
    matrix, passes = read(sample)
    cut = len(passes) * 7 // 10  # the order of the films is random
    model = lightgbm.LGBMClassifier(
        n_estimators=250, learning_rate=0.04, num_leaves=15, min_child_samples=30, colsample_bytree=0.6, n_jobs=1,
        random_state=0, verbose=-1,
    )  # fmt: skip
    model.fit(matrix[:cut], passes[:cut])
    auc = roc_auc_score(passes[cut:], model.booster_.predict(matrix[cut:]))
    print(f"AUC on 30 % held out: {auc:.3f}")
    assert 0.78 < auc < 0.87


def test_sample_of_another_size_has_the_same_shape(sample: SampleFiles, tmp_path: Path) -> None:
    _, small = read(ensure(tmp_path, films=1000, seed=3))
    _, passes = read(sample)
    assert abs(small.mean() - passes.mean()) < 0.06
