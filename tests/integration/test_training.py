"""`python -m training` over generated films, dbt, Feast and a real MLflow server, as a user runs it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from tests.conftest import free_port
from tests.feature_films import ROOT, Project

FILMS = 700


def run(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *(
            "--backend-store-uri",
            f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination",
            str(folder / "artifacts"),
        ),
    ]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "mlflow.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/health")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.3)
    pytest.fail(f"{url} did not answer in 90 s")


@pytest.fixture(scope="module")
def database(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Generated films, loaded, built by dbt and published to Feast; the environment that names their database."""
    folder = tmp_path_factory.mktemp("films")
    environment = {"DB_CONNECTION_STRING": module_database_url, "STATE_DIR": str(folder), "SAMPLE_FILMS": str(FILMS)}
    loaded = run("-m", "ingestion", "load", "--source", "sample", environment=environment)
    assert loaded.returncode == 0, loaded.stderr
    project = Project(module_database_url, folder / "dbt")
    project.run()
    project.publish()
    return environment


def test_training_registers_a_champion_and_reports_both_splits(database: dict[str, str], tmp_path: Path) -> None:
    report_file = tmp_path / "evaluation.json"
    with mlflow_server(tmp_path) as url:
        environment = {**database, "MLFLOW_TRACKING_URI": url, "USERNAME": "ada"}
        trained = run("-m", "training", "--report", str(report_file), "train", environment=environment)
        assert trained.returncode == 0, trained.stderr
        asked = {"name": "bechdel-test-predictor", "alias": "champion"}
        answer = requests.get(f"{url}/api/2.0/mlflow/registered-models/alias", params=asked, timeout=10)

    assert "Version 1 is the champion" in trained.stdout
    tags = {tag["key"]: tag["value"] for tag in answer.json()["model_version"]["tags"]}
    assert tags["feature_service"] == "movie_bechdel_v1"
    assert tags["is_synthetic"] == "true"
    assert len(tags["data_hash"]) == 64
    report = json.loads(report_file.read_text())
    assert report["time"]["rating_3"]["auc"] > 0.65
    assert set(report["random"]) >= {"rating_3", "rating_2_or_3"}

    printed = run("-m", "training", "--report", str(report_file), "evaluate", "--last", environment=database)
    assert "reference_forest" in printed.stdout


def test_no_films_is_one_sentence(database_url: str) -> None:
    answer = run("-m", "training", "evaluate", environment={"DB_CONNECTION_STRING": database_url})

    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "features.lbl_movie_bechdel_rating does not exist yet" in answer.stderr
