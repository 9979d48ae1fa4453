"""MLflow as `make up` starts it: no login, so strange names and strange paths are refused."""

from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import psycopg
import pytest
import requests

from common.settings import Settings
from orchestration.runtime import Runtime
from tests.conftest import free_port

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def mlflow_url(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running MLflow on an empty database; a secret lies beside its artifacts."""
    with psycopg.connect(module_database_url) as connection:
        connection.execute("create schema mlflow")
    state = tmp_path_factory.mktemp("state")
    (state / "mlflow" / "artifacts").mkdir(parents=True)
    (state / "mlflow" / "secret").write_text("well kept")
    values = {"db_connection_string": module_database_url, "state_dir": state, "mlflow_port": free_port()}
    service = Runtime(Settings(_env_file=None, mlflow_tracking_uri=None, **values)).mlflow  # type: ignore[arg-type]
    assert service is not None
    service.start()
    try:
        service.wait(120)
        yield service.url
    finally:
        service.stop()


@pytest.mark.parametrize(("host", "status"), [("evil.example", 403), ("127.0.0.1:80", 200)])
def test_another_host_name_is_refused(mlflow_url: str, host: str, status: int) -> None:
    address = f"{mlflow_url}/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert requests.get(address, headers={"Host": host}, timeout=30).status_code == status


def test_a_foreign_page_cannot_write(mlflow_url: str) -> None:
    answer = requests.post(
        f"{mlflow_url}/api/2.0/mlflow/experiments/create",
        json={"name": "theirs"}, headers={"Origin": "https://evil.example"}, timeout=30,
    )  # fmt: skip
    assert answer.status_code == 403


def send(method: str, url: str, path: str) -> tuple[int, bytes]:
    """Status and body; the path goes out as it is written, which `requests` would tidy."""
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request(method, f"{ARTIFACTS}/{path}", body=b"theirs" if method == "PUT" else None)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_an_artifact_can_be_stored_and_read(mlflow_url: str) -> None:
    assert send("PUT", mlflow_url, "ours/model.txt")[0] == 200
    assert send("GET", mlflow_url, "ours/model.txt") == (200, b"theirs")


@pytest.mark.parametrize(
    "path", ["../secret", "..%2Fsecret", "%2e%2e/secret", "a/..%2f..%2fsecret", "%2Fproc%2Fself%2Fenviron"]
)
def test_no_artifact_path_leads_out_of_the_folder(mlflow_url: str, path: str) -> None:
    status, body = send("GET", mlflow_url, path)
    assert 400 <= status < 500
    assert b"well kept" not in body
    assert b"PATH=" not in body
    assert 400 <= send("PUT", mlflow_url, path)[0] < 500
