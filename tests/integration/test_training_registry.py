"""MLflow's registry over a real store: what is registered scores as what was fitted, and the champion is guarded."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from common.errors import ServiceError
from common.scoring import FeatureInfo, Scorer
from training.dataset import Dataset
from training.evaluation import Evaluation, score_frame
from training.metrics import METRICS
from training.model import fit_scorer
from training.parameters import Parameters
from training.registry import MODEL_NAME, Registered, connect_registry, register
from training.split import split_by_release

pytestmark = [
    # MLflow's and its dependencies' own
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PARAMETERS = Parameters(max_rounds=50, folds=3)
NUMBERS = {**dict.fromkeys(METRICS, 0.5), "baselines": {}}
REPORT = {split: {"rating_3": NUMBERS, "rating_2_or_3": NUMBERS} for split in ("random", "time")}


def make_dataset(*, spoiled: bool = False) -> Dataset:
    """Ratings that follow `share`; spoiled: those of the older 80 % are drawn by lot."""
    random = np.random.default_rng(6)
    count = 300
    share = random.random(count)
    rating = np.clip(np.round(3.5 * share + random.normal(size=count) / 2), 0, 3).astype(int)
    if spoiled:
        rating[: int(count * 0.8)] = random.integers(0, 4, int(count * 0.8))
    frame = pd.DataFrame(
        {
            "movie_id": np.arange(count),
            "event_timestamp": pd.to_datetime("2001-01-01", utc=True) + pd.to_timedelta(np.arange(count), unit="D"),
            "bechdel_rating": rating,
            "is_dubious": False,
            "is_synthetic": True,
            "source_row": np.arange(count),
            "share": share,
            "text_tagline": np.where(share > 0.5, "two sisters", None),
        }
    )
    features = [FeatureInfo("share"), FeatureInfo("text_tagline", kind="text")]
    return Dataset(frame, {feature.name: feature for feature in features}, "movie_bechdel_v1", f"hash-{spoiled}")


def train(
    client: MlflowClient, folder: Path, *, spoiled: bool = False, promote: bool = True
) -> tuple[Registered, Scorer]:
    dataset = make_dataset(spoiled=spoiled)
    split = split_by_release(dataset.frame)
    fits = [
        fit_scorer(films, dataset.features, feature_service=dataset.feature_service, parameters=PARAMETERS)
        for films in (split.development, dataset.frame)
    ]
    report_file = folder / "evaluation.json"
    report_file.write_text("{}")
    registered = register(
        client,
        fits[1].scorer,
        judged=Evaluation(split, fits[0], {}),
        dataset=dataset,
        report=REPORT,
        report_file=report_file,
        parameters=PARAMETERS,
        username="ada",
        promote=promote,
    )
    return registered, fits[1].scorer


def version_of(client: MlflowClient, alias: str) -> str:
    return str(client.get_model_version_by_alias(MODEL_NAME, alias).version)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.chdir(tmp_path)  # a store in a file keeps its artifacts in the working directory
    yield connect_registry(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(None)


def test_first_model_is_champion_and_scores_as_fitted(client: MlflowClient, tmp_path: Path) -> None:
    registered, scorer = train(client, tmp_path)
    films = make_dataset().frame.iloc[:20]
    expected = score_frame(scorer, films)

    version = client.get_model_version_by_alias(MODEL_NAME, "champion")
    assert str(version.version) == registered.version
    assert version.tags["feature_service"] == "movie_bechdel_v1"
    assert version.tags["data_hash"] == "hash-False"
    assert version.tags["promotion"] == "There was no champion."
    assert client.get_run(registered.run_id).data.tags["username"] == "ada"

    downloaded = Path(
        mlflow.artifacts.download_artifacts(f"models:/{MODEL_NAME}@champion", dst_path=str(tmp_path / "m"))
    )
    natively = Scorer.load(next(downloaded.rglob("scorer.json")).parent)
    np.testing.assert_array_equal(score_frame(natively, films), expected)
    assert not [path for path in downloaded.rglob("*") if path.suffix == ".pkl"]

    as_pyfunc = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}@champion")
    answered = as_pyfunc.predict(films[["share", "text_tagline"]])
    np.testing.assert_allclose(answered.to_numpy(), expected, atol=1e-12)


def test_worse_challenger_does_not_replace_the_champion(client: MlflowClient, tmp_path: Path) -> None:
    first, _ = train(client, tmp_path)
    second, _ = train(client, tmp_path, spoiled=True)

    assert not second.decision.promoted
    assert version_of(client, "champion") == first.version
    challenger = client.get_model_version_by_alias(MODEL_NAME, "challenger")
    assert str(challenger.version) == second.version
    assert f"against champion {first.version}" in challenger.tags["promotion"]


def test_equal_challenger_takes_over_unless_told_not_to(client: MlflowClient, tmp_path: Path) -> None:
    train(client, tmp_path)
    kept, _ = train(client, tmp_path, promote=False)
    assert not kept.decision.promoted

    newest, _ = train(client, tmp_path)

    assert newest.decision.promoted
    assert version_of(client, "champion") == newest.version


def test_mlflow_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        connect_registry("http://127.0.0.1:9")
    mlflow.set_tracking_uri(None)
