"""What the model was taught, what is served and what the API scored are the same values, nulls included, bit for bit.

Once for generated films, and once for real ones where they are. The API is asked over HTTP, in the real application
on the real database; its vectors are read from its own log. TMDB is a server that gives back the films' answers.
"""

import gzip
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import psycopg
import pytest
from feast import FeatureStore
from flask.testing import FlaskClient
from pydantic import SecretStr

from common.environment import library_environment
from common.feature_encoding import FeatureEncoder
from common.scoring import Calibration, Floats, Scorer
from common.settings import Settings
from serving import services, tmdb_limits
from serving.app import create_app
from serving.champion import ModelVersion
from serving.database import Database
from serving.features_live import LiveFeatures
from serving.features_online import OnlineFeatures
from tests.feature_films import ROOT, Project, close_store, open_store
from tests.served_films import text_encoder
from training.dataset import Dataset, load_dataset, load_labels, to_rows

pytestmark = [
    # Feast's and its dependencies' own; none of them is about what we call
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

FILMS = 500
BATCH = 100
SERVICE = "movie_bechdel_history_v1"
ROADS = ("online", "live")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """What the API said about each film, in the order of the question.

    Attributes:
        films: the films' parts of the answers.
        logged: the feature values in the log of predictions; texts are not kept there.
        matrix: what the model was given, texts encoded, in any order.
    """

    films: Sequence[Mapping[str, Any]]
    logged: Sequence[Row]
    matrix: Floats


@pytest.fixture(scope="module", params=["generated", "real"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings that load some films more than are compared."""
    if request.param == "generated":
        return {"MOVIES_SOURCE": "sample", "SAMPLE_FILMS": str(FILMS + 100)}
    folder: Path = request.getfixturevalue("shared_data")
    part = tmp_path_factory.mktemp("films")
    with gzip.open(folder / "movies.csv.gz", "rt", encoding="utf-8", newline="") as rows:
        head = [next(rows) for _ in range(FILMS + 100)]
    with gzip.open(part / "movies.csv.gz", "wt", encoding="utf-8", newline="") as cut:
        cut.writelines(head)
    shutil.copy(folder / "tmdb_payloads.jsonl.gz", part / "payloads.jsonl.gz")
    return {"MOVIES_SOURCE": str(part / "movies.csv.gz"), "TMDB_PAYLOADS": str(part / "payloads.jsonl.gz")}


@pytest.fixture(scope="module")
def project(source: Mapping[str, str], make_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The films as `make up` brings them in: loaded, built, published."""
    url = make_database()
    environment = {name: value for name, value in os.environ.items() if name != "TMDB_PAYLOADS"}
    environment |= {**source, "DB_CONNECTION_STRING": url, "STATE_DIR": str(tmp_path_factory.mktemp("state"))}
    subprocess.run([sys.executable, "-m", "ingestion", "load"], cwd=ROOT, env=environment, check=True, timeout=300)
    with psycopg.connect(url) as connection:  # the server asks TMDB about real films only
        connection.execute("update raw.movies set is_synthetic = false")
        connection.execute("update raw.tmdb_movies set is_synthetic = false")
    built = Project(url, tmp_path_factory.mktemp("dbt"))
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
    with_answer = {row["tmdb_id"] for row in project.rows("select tmdb_id from raw.tmdb_movies")}
    chosen = labels[labels["movie_id"].isin(with_answer)].head(FILMS)
    assert len(chosen) == FILMS
    return load_dataset(store, chosen, SERVICE)


@pytest.fixture(scope="module")
def ids(dataset: Dataset) -> list[int]:
    return [int(movie_id) for movie_id in dataset.frame["movie_id"]]


@pytest.fixture(scope="module")
def taught(dataset: Dataset) -> list[Row]:
    return list(to_rows(dataset.frame, tuple(dataset.features)))


@pytest.fixture(scope="module")
def read(project: Project, dataset: Dataset, ids: list[int]) -> dict[str, list[Row]]:
    """The films' rows from the online store and the live view, by the code that the API uses."""
    database = Database(project.database_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB_CONNECTION_STRING", project.database_url)
        reader = OnlineFeatures(ROOT / "feature_repo")
        online = reader.read(ids, SERVICE)
        close_store(reader._open().store)
    live = LiveFeatures(database).read(ids, tuple(dataset.features))
    database.close()
    return {"online": [online[movie_id] for movie_id in ids], "live": [live[movie_id] for movie_id in ids]}


@pytest.fixture(scope="module")
def scorer(dataset: Dataset, taught: list[Row]) -> Scorer:
    """A model of every feature, the texts too, that has learned something, whatever it is."""
    texts = {name: text_encoder(taught, name) for name, info in dataset.features.items() if info.kind == "text"}
    matrix = FeatureEncoder(dataset.features, texts).encode(taught)
    target = np.random.default_rng(7).integers(0, 4, len(taught))
    options = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    boosters = tuple(
        lightgbm.train(options, lightgbm.Dataset(matrix, target >= rating), num_boost_round=10)
        for rating in (1, 2, 3)
    )
    calibrations = (Calibration(1.0, 0.0),) * 3
    return Scorer(SERVICE, dataset.features, (0.4, 0.6), boosters, calibrations, texts)


@pytest.fixture(scope="module")
def tmdb_url(project: Project) -> Iterator[str]:
    """A server that gives the landed answers back as TMDB does."""
    payloads = {
        f"/3/movie/{row['tmdb_id']}": row["payload"].encode()
        for row in project.rows("select tmdb_id, payload::text as payload from raw.tmdb_movies")
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = payloads[self.path.split("?")[0]]
            self.send_response(200)
            self.send_header("Content-Type", "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/3"
    server.shutdown()
    thread.join()
    server.server_close()


class SavedModel:
    """A model registry that holds one model."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def find_champion(self) -> ModelVersion:
        return ModelVersion("bechdel-test-predictor", "1", "run")

    def download(self, _: ModelVersion, directory: Path) -> None:
        self._scorer.save(directory)


@pytest.fixture(scope="module")
def answers(
    project: Project, ids: list[int], scorer: Scorer, tmdb_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Answers]:
    """The API's answers without and with TMDB."""
    tmdb = {"tmdb_api_token": SecretStr("made-up-token"), "tmdb_api_base_url": tmdb_url}
    found = {}
    for road, extra in {"online": {}, "live": tmdb}.items():
        settings = Settings(
            _env_file=None,
            db_connection_string=project.database_url,
            state_dir=tmp_path_factory.mktemp(road),
            **extra,  # type: ignore[arg-type]
        )
        with pytest.MonkeyPatch.context() as patch:
            found[road] = ask_application(settings, ids, scorer, patch)
    return found


def ask_application(settings: Settings, ids: list[int], scorer: Scorer, patch: pytest.MonkeyPatch) -> Answers:
    """Ask the real application, with this model, about the films over HTTP, and read its log."""
    for name in library_environment(settings):
        patch.setenv(name, "")  # the application sets them
    patch.setattr(services, "MlflowRegistry", lambda _: SavedModel(scorer))
    patch.setattr(tmdb_limits, "PACE_SECONDS", 0.0)
    given = watch_encoding(patch)
    parts = services.make_services(settings)
    client = create_app(settings, parts=parts).test_client()
    while parts.champions.version is None:
        time.sleep(0.05)
    given.clear()  # a loaded model is tried on a film of unknowns
    films = [film for start in range(0, len(ids), BATCH) for film in ask(client, ids[start : start + BATCH])]
    parts.champions.stop()
    parts.log.stop()
    rows = parts.database.fetch("select movie_id, vector from serving.prediction_log")
    parts.database.fetch("truncate serving.prediction_log")
    for thread in [found for found in threading.enumerate() if found.name == "feast"]:
        thread.join()
    close_store(parts.predictor._online._open().store)  # and every pool of this process
    parts.database.close()
    logged = {row["movie_id"]: row["vector"] for row in rows}
    return Answers(films, [logged[movie_id] for movie_id in ids], np.vstack(given))


def watch_encoding(patch: pytest.MonkeyPatch) -> list[Floats]:
    """A list that grows by every matrix that a model makes of features."""
    given: list[Floats] = []
    encode = Scorer.encode

    def watched(scorer: Scorer, rows: Sequence[Row]) -> Floats:
        given.append(encode(scorer, rows))
        return given[-1]

    patch.setattr(Scorer, "encode", watched)
    return given


def ask(client: FlaskClient, ids: Sequence[int]) -> list[dict[str, Any]]:
    answer = client.post("/api/v1/predictions", json={"movies": [{"tmdb_id": movie_id} for movie_id in ids]})
    assert answer.status_code == 200, answer.text
    films: list[dict[str, Any]] = answer.get_json()["predictions"]
    return films


def bits(value: Any) -> Any:
    """A value so that it equals another one only if it is the same: numbers by their bits, whatever their type."""
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else struct.pack("<d", float(value))


def differences(names: Sequence[str], taught: Sequence[Row], other: Sequence[Row]) -> list[tuple[Any, ...]]:
    return [
        (name, mine[name], theirs[name])
        for mine, theirs in zip(taught, other, strict=True)
        for name in names
        if bits(mine[name]) != bits(theirs[name])
    ]


@pytest.mark.parametrize("road", ROADS)
def test_values_are_those_that_the_model_was_taught(
    dataset: Dataset, taught: list[Row], read: Mapping[str, list[Row]], road: str
) -> None:
    assert differences(list(dataset.features), taught, read[road]) == []


@pytest.mark.parametrize("road", ROADS)
def test_values_in_the_log_of_the_api_are_those_that_the_model_was_taught(
    dataset: Dataset, taught: list[Row], answers: Mapping[str, Answers], road: str
) -> None:
    names = [name for name, info in dataset.features.items() if info.kind != "text"]
    assert len(names) > 100
    assert set(answers[road].logged[0]) == set(names)
    assert differences(names, taught, answers[road].logged) == []


@pytest.mark.parametrize("road", ROADS)
def test_vectors_and_probabilities_of_the_api_are_bit_for_bit_those_of_training(
    scorer: Scorer, taught: list[Row], answers: Mapping[str, Answers], road: str
) -> None:
    matrix = scorer.encode(taught)
    assert np.isfinite(matrix).mean() > 0.3  # they are not all unknown
    given = answers[road].matrix  # in the order in which the parts of a batch were scored
    assert sorted(film.tobytes() for film in given) == sorted(film.tobytes() for film in matrix)
    said = [film["prediction"]["probability"] for film in answers[road].films]
    assert said == scorer.probabilities(matrix)[:, 3].tolist()


@pytest.mark.parametrize("road", ROADS)
def test_answers_came_by_the_road_that_is_tested(ids: list[int], answers: Mapping[str, Answers], road: str) -> None:
    films = answers[road].films
    assert [film["movie"]["tmdb_id"] for film in films] == ids
    assert {film["data"]["live"] for film in films} == {road == "live"}
    assert {bool(film["data"]["degraded"]) for film in films} == {False}
