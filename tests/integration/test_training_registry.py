"""MLflow's registry over a real store: what is registered scores as what was fitted, and the champion is guarded."""

import functools
import io
import shutil
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from common.errors import ModelNotReadyError, ServiceError
from common.feature_encoding import FeatureInfo
from common.scoring import Scorer
from common.settings import Settings
from training.cleanup import delete_everything, find_leftovers
from training.commands import clean_up
from training.dataset import Dataset
from training.evaluation import Evaluation, score_frame
from training.history import crown, read_history, roll_back
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
PARAMETERS = Parameters(max_rounds=50, folds=3, forests=1)
NUMBERS = {**dict.fromkeys(METRICS, 0.5), "baselines": {}}
REPORT = {split: {"rating_3": NUMBERS, "rating_2_or_3": NUMBERS} for split in ("random", "time")}


def make_dataset(*, spoiled: bool = False, synthetic: bool = True, feature: str = "share") -> Dataset:
    """Ratings that follow `share`; spoiled: those of the older 80 % are drawn by lot."""
    random = np.random.default_rng(6)
    count = 800
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
            "is_synthetic": synthetic,
            "source_row": np.arange(count),
            feature: share,
            "text_tagline": np.where(share > 0.5, "two sisters", None),
        }
    )
    features = [FeatureInfo(feature), FeatureInfo("text_tagline", kind="text")]
    return Dataset(frame, {feature.name: feature for feature in features}, "movie_bechdel_v1", f"hash-{spoiled}")


@functools.cache
def fit_both(**options: Any) -> tuple[Dataset, Evaluation, Scorer]:
    """The data, the evaluated model and the one that serves."""
    dataset = make_dataset(**options)
    split = split_by_release(dataset.frame)
    fits = [
        fit_scorer(films, dataset.features, feature_service=dataset.feature_service, parameters=PARAMETERS)
        for films in (split.development, dataset.frame)
    ]
    return dataset, Evaluation(split, fits[0], {}), fits[1].scorer


def train(client: MlflowClient, folder: Path, *, promote: bool = True, **options: Any) -> tuple[Registered, Scorer]:
    dataset, judged, scorer = fit_both(**options)
    report_file = folder / "evaluation.json"
    report_file.write_text("{}")
    registered = register(
        client,
        scorer,
        judged=judged,
        dataset=dataset,
        report=REPORT,
        report_file=report_file,
        parameters=PARAMETERS,
        username="ada",
        promote=promote,
    )
    return registered, scorer


def version_of(client: MlflowClient, alias: str) -> str:
    return str(client.get_model_version_by_alias(MODEL_NAME, alias).version)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once: its migrations take seconds."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(file.parent)
        connect_registry(f"sqlite:///{file}")
    return file


@pytest.fixture
def client(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.chdir(tmp_path)  # a store in a file keeps its artifacts in the working directory
    shutil.copy(empty_store, tmp_path / "mlflow.db")
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


def test_only_a_better_challenger_takes_over(client: MlflowClient, tmp_path: Path) -> None:
    first, _ = train(client, tmp_path, spoiled=True)
    same, _ = train(client, tmp_path, spoiled=True)
    told_not_to, _ = train(client, tmp_path, promote=False)
    better, _ = train(client, tmp_path)

    assert [first.decision.promoted, same.decision.promoted, told_not_to.decision.promoted] == [True, False, False]
    assert better.decision.promoted
    assert version_of(client, "champion") == better.version


@pytest.mark.parametrize("then", [True, False])
def test_made_up_and_real_films_never_outlive_each_other(client: MlflowClient, tmp_path: Path, then: bool) -> None:
    train(client, tmp_path, synthetic=not then)
    second, _ = train(client, tmp_path, synthetic=then, spoiled=True)

    assert second.decision.promoted
    assert "learned from" in second.decision.reason


def test_champion_whose_features_are_gone_is_replaced(client: MlflowClient, tmp_path: Path) -> None:
    train(client, tmp_path)
    second, _ = train(client, tmp_path, spoiled=True, feature="portion")

    assert second.decision.promoted
    assert "these features are gone: share" in second.decision.reason


def test_rollback_gives_the_alias_back_and_history_tells(client: MlflowClient, tmp_path: Path) -> None:
    for number in range(3):
        version, _ = train(client, tmp_path, promote=number == 0)
        crown(client, MODEL_NAME, version.version)

    assert roll_back(client, MODEL_NAME) == ("3", "2")
    assert roll_back(client, MODEL_NAME) == ("2", "1")
    with pytest.raises(ModelNotReadyError, match="No champion of bechdel-test-predictor came before version 1"):
        roll_back(client, MODEL_NAME)
    assert roll_back(client, MODEL_NAME, to="3") == ("1", "3")
    with pytest.raises(ModelNotReadyError, match="has no version 9"):
        roll_back(client, MODEL_NAME, to="9")

    periods = read_history(client, MODEL_NAME)
    assert [period.version for period in periods] == ["1", "2", "3", "2", "1", "3"]
    assert [period.ended for period in periods[:-1]] == [period.began for period in periods[1:]]
    assert periods[-1].ended is None
    assert client.get_model_version(MODEL_NAME, "2").tags["rolled_back"] == "replaced by version 1, by hand"


def test_rollback_suggests_another_version_that_fits_or_none(client: MlflowClient, tmp_path: Path) -> None:
    train(client, tmp_path)
    with pytest.raises(ModelNotReadyError, match=r"came before version 1\.$"):
        roll_back(client, MODEL_NAME, films="true")
    train(client, tmp_path, promote=False)
    with pytest.raises(ModelNotReadyError, match=r"rollback --to 2\.$"):
        roll_back(client, MODEL_NAME, films="true")
    with pytest.raises(ModelNotReadyError, match=r"came before version 1\.$"):
        roll_back(client, MODEL_NAME, films="false")


@pytest.mark.parametrize("to", [None, "1"])
def test_rollback_onto_a_model_of_the_other_kind_of_films_is_refused(
    client: MlflowClient, tmp_path: Path, to: str | None
) -> None:
    train(client, tmp_path, synthetic=True)
    train(client, tmp_path, synthetic=False)

    with pytest.raises(
        ModelNotReadyError, match=r"^Version 1 of .* made-up films, and real ones are loaded.*: version 2 stays"
    ):
        roll_back(client, MODEL_NAME, to=to, films="false")
    assert version_of(client, "champion") == "2"
    assert roll_back(client, MODEL_NAME, to=to, films="true") == ("2", "1")


def test_cleanup_keeps_the_champion_unless_forced(client: MlflowClient, tmp_path: Path) -> None:
    train(client, tmp_path)
    train(client, tmp_path, spoiled=True)

    leftovers = find_leftovers(client, force=False)
    delete_everything(client, leftovers)

    assert leftovers.kept == ((MODEL_NAME, "1"),)
    assert "The champion stays" in str(leftovers)
    assert [version.version for version in client.search_model_versions("")] == [1]
    assert mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}@champion")

    delete_everything(client, find_leftovers(client, force=True))
    assert client.search_registered_models() == []


@pytest.mark.parametrize(("typed", "left"), [("n", ["1", "2"]), ("", ["1", "2"]), (None, ["1", "2"]), ("y", ["1"])])
def test_cleanup_deletes_only_after_a_yes(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str | None, left: list[str]
) -> None:
    """`None`: nobody is there to answer."""
    train(client, tmp_path)
    train(client, tmp_path, spoiled=True)
    monkeypatch.setattr("sys.stdin", io.StringIO("" if typed is None else f"{typed}\n"))

    monkeypatch.setattr("training.registry.connect_registry", lambda _: client)
    settings = Settings(_env_file=None, mlflow_tracking_uri="http://somewhere.example")  # its garbage is its own
    code = clean_up(settings, Namespace(force=False, yes=False))

    assert sorted(str(version.version) for version in client.search_model_versions("")) == left
    assert code == (0 if typed == "y" else 1)


def test_run_tells_its_environment_and_films(client: MlflowClient, tmp_path: Path) -> None:
    registered, _ = train(client, tmp_path)

    kept = {artifact.path for artifact in client.list_artifacts(registered.run_id)}
    assert {"environment.json", "training_labels.parquet", "evaluated_model"} <= kept
    environment = mlflow.artifacts.load_dict(f"runs:/{registered.run_id}/environment.json")
    assert environment["packages"]["lightgbm"]
    labels = pd.read_parquet(client.download_artifacts(registered.run_id, "training_labels.parquet"))
    pd.testing.assert_frame_equal(labels, make_dataset().frame[labels.columns], check_dtype=False)
    digest = client.get_model_version(MODEL_NAME, registered.version).tags["model_sha256"]
    again, _ = train(client, tmp_path)
    assert len(digest) == 64
    assert client.get_model_version(MODEL_NAME, again.version).tags["model_sha256"] == digest


def test_mlflow_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        connect_registry("http://127.0.0.1:9")
    mlflow.set_tracking_uri(None)
