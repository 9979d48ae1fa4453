"""MLflow as `make up` starts it with passwords: it knows who asks, and refuses strange names and strange paths."""

import json
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import SecretStr

from common.errors import ServiceError
from common.settings import Settings
from orchestration.runtime import Runtime
from orchestration.services import Service
from serving.champion import ALIAS, EVALUATION, MlflowRegistry
from tests.conftest import free_port
from training.cleanup import collect_garbage
from training.history import find_champion
from training.registry import MODEL_NAME, connect_registry

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PASSWORDS = {name: f"the password of {name}" for name in ("admin", "training", "serving")}
PARTS = {f"MLFLOW_{name.upper()}_PASSWORD": PASSWORDS[name] for name in ("training", "serving")}


def mlflow_of(settings: Settings, **passwords: str) -> Service:
    """MLflow as `make up` starts it, with the parts' passwords of the containers."""
    service = Runtime(settings).mlflow
    assert service is not None
    environment = {name: value for name, value in service.environment.items() if not name.startswith("MLFLOW_TRACK")}
    owner = {"MLFLOW_TRACKING_PASSWORD": settings.mlflow_tracking_password.get_secret_value()}  # type: ignore[union-attr]
    return replace(service, environment={**environment, **owner, **PARTS, **passwords})


@pytest.fixture(scope="module")
def running_settings(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a platform with a password for MLflow; a secret lies beside MLflow's artifacts."""
    with psycopg.connect(module_database_url) as connection:
        connection.execute("create schema mlflow")
    state = tmp_path_factory.mktemp("state")
    (state / "mlflow" / "artifacts").mkdir(parents=True)
    (state / "mlflow" / "secret").write_text("well kept")
    return Settings(
        _env_file=None,
        db_connection_string=module_database_url,
        state_dir=state,
        mlflow_port=free_port(),
        mlflow_tracking_uri=None,
        mlflow_tracking_password=PASSWORDS["admin"],
    )


@pytest.fixture(scope="module")
def mlflow_url(running_settings: Settings) -> Iterator[str]:
    """A running MLflow on an empty database."""
    service = mlflow_of(running_settings)
    service.start()
    try:
        service.wait(120)
        yield service.url
    finally:
        service.stop()


@pytest.fixture
def log_in(monkeypatch: pytest.MonkeyPatch) -> "LogIn":
    return LogIn(monkeypatch)


class LogIn:
    """Gives MLflow's client a name and a password."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, name: str, password: str | None = None) -> None:
        self._patch.setenv("MLFLOW_TRACKING_USERNAME", name)
        self._patch.setenv("MLFLOW_TRACKING_PASSWORD", password or PASSWORDS[name])


ADMIN = ("admin", PASSWORDS["admin"])


def status(method: str, address: str, user: str | None = None, **values: str) -> int:
    login = (user, PASSWORDS[user]) if user else None
    return requests.request(method, address, json=values or None, auth=login, timeout=30).status_code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/experiments/get?experiment_id=0"),
        ("POST", f"{API}/experiments/search"),
        ("POST", f"{API}/experiments/create"),
        ("POST", f"{API}/runs/create"),
        ("POST", f"{API}/registered-models/create"),
        ("POST", f"{API}/registered-models/alias"),
        ("POST", f"{API}/users/create"),
        ("GET", f"{ARTIFACTS}/model.txt"),
        ("PUT", f"{ARTIFACTS}/model.txt"),
        ("DELETE", f"{ARTIFACTS}/model.txt"),
        ("GET", "/"),
        ("GET", "/graphql"),
        ("POST", "/graphql"),
        ("GET", "/api/3.0/mlflow/traces/search"),
        ("POST", "/v1/traces"),
    ],
)
def test_nobody_reads_or_writes_without_a_login(mlflow_url: str, method: str, path: str) -> None:
    assert status(method, mlflow_url + path) == 401
    wrong = requests.request(method, mlflow_url + path, auth=("admin", "password1234"), timeout=30)
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("experiments/create", {"name": "theirs"}),
        ("experiments/set-experiment-tag", {"experiment_id": "0", "key": "a", "value": "b"}),
        ("runs/create", {"experiment_id": "0"}),
        ("registered-models/create", {"name": "theirs"}),
        ("users/create", {"username": "friend", "password": "another password"}),
        ("users/update-password", {"username": "serving", "password": "another password"}),
    ],
)
def test_serving_reads_and_cannot_write(mlflow_url: str, path: str, values: dict[str, str]) -> None:
    assert status("POST", f"{mlflow_url}{API}/experiments/search", "serving", max_results="1") == 200
    assert status("POST", f"{mlflow_url}{API}/{path}", "serving", **values) == 403


def test_serving_cannot_store_an_artifact(mlflow_url: str) -> None:
    assert status("PUT", f"{mlflow_url}{ARTIFACTS}/0/theirs/model.txt", "serving", a="b") == 403


def test_training_registers_what_serving_loads(mlflow_url: str, log_in: LogIn, tmp_path: Path) -> None:
    log_in("serving")
    assert MlflowRegistry(mlflow_url).find_champion() is None  # nothing yet is not a refusal
    log_in("training")
    client = connect_registry(mlflow_url)
    assert find_champion(client, MODEL_NAME) is None
    experiment = client.create_experiment("ours")
    run = client.create_run(experiment)
    (tmp_path / "model.txt").write_text("trees")
    client.log_artifact(run.info.run_id, str(tmp_path / "model.txt"), "model")
    client.log_dict(run.info.run_id, {"time": {}}, EVALUATION)
    client.create_registered_model(MODEL_NAME)
    version = client.create_model_version(MODEL_NAME, f"runs:/{run.info.run_id}/model", run.info.run_id)
    client.set_registered_model_alias(MODEL_NAME, ALIAS, version.version)

    log_in("serving")
    registry = MlflowRegistry(mlflow_url)
    champion = registry.find_champion()
    assert champion is not None
    assert datetime.fromisoformat(champion.registered_at).timestamp() == version.creation_timestamp / 1000
    registry.download(champion, tmp_path / "loaded")
    assert json.loads((tmp_path / "loaded" / EVALUATION).read_text()) == {"time": {}}
    assert (tmp_path / "loaded" / "model.txt").read_text() == "trees"
    with pytest.raises(MlflowException, match="Permission denied"):
        MlflowClient(mlflow_url).delete_registered_model_alias(MODEL_NAME, ALIAS)


def test_garbage_is_collected_of_what_was_deleted_alone(
    mlflow_url: str, running_settings: Settings, log_in: LogIn, tmp_path: Path
) -> None:
    log_in("training")
    client = connect_registry(mlflow_url)
    experiment = client.create_experiment("with garbage")
    kept, deleted = (client.create_run(experiment).info.run_id for _ in range(2))
    (tmp_path / "trees.txt").write_text("trees")
    for run in (kept, deleted):
        client.log_artifact(run, str(tmp_path / "trees.txt"))
    client.delete_run(deleted)
    artifacts = running_settings.state_dir / "mlflow" / "artifacts"
    assert len(list(artifacts.rglob("trees.txt"))) == 2

    log_in("admin")
    assert "collected" in collect_garbage(running_settings)

    assert [path.parent.parent.name for path in artifacts.rglob("trees.txt")] == [kept]
    with pytest.raises(MlflowException):
        client.get_run(deleted)


def test_training_writes_to_what_others_have_made_and_deletes_none_of_it(mlflow_url: str) -> None:
    for name in ("theirs", "of the administrator"):
        requests.post(f"{mlflow_url}{API}/experiments/create", json={"name": name}, auth=ADMIN, timeout=30)
    found = requests.get(
        f"{mlflow_url}{API}/experiments/get-by-name?experiment_name=theirs", auth=ADMIN, timeout=30
    ).json()["experiment"]["experiment_id"]
    assert status("POST", f"{mlflow_url}{API}/runs/create", "training", experiment_id=found) == 200
    assert status("POST", f"{mlflow_url}{API}/experiments/delete", "training", experiment_id=found) == 403
    assert status("POST", f"{mlflow_url}{API}/users/create", "training", username="a", password="b" * 12) == 403


def test_without_its_password_training_is_told_so(mlflow_url: str, log_in: LogIn) -> None:
    log_in("training", "an older password")
    with pytest.raises(ServiceError, match=r"refuses .*MLFLOW_TRACKING_PASSWORD"):
        connect_registry(mlflow_url)


@pytest.mark.parametrize(("host", "expected"), [("evil.example", 403), ("127.0.0.1:80", 200)])
def test_another_host_name_is_refused(mlflow_url: str, host: str, expected: int) -> None:
    address = f"{mlflow_url}{API}/experiments/get?experiment_id=0"
    assert requests.get(address, headers={"Host": host}, auth=ADMIN, timeout=30).status_code == expected


def test_a_foreign_page_cannot_write(mlflow_url: str) -> None:
    answer = requests.post(
        f"{mlflow_url}{API}/experiments/create",
        json={"name": "theirs"}, headers={"Origin": "https://evil.example"}, auth=ADMIN, timeout=30,
    )  # fmt: skip
    assert answer.status_code == 403


def send(method: str, url: str, path: str) -> tuple[int, bytes]:
    """Status and body; the path goes out as it is written, which `requests` would tidy."""
    login = requests.Request("GET", url, auth=ADMIN).prepare().headers["Authorization"]
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        body = b"theirs" if method == "PUT" else None
        connection.request(method, f"{ARTIFACTS}/{path}", body=body, headers={"Authorization": login})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_an_artifact_can_be_stored_and_read(mlflow_url: str) -> None:
    assert send("PUT", mlflow_url, "ours/model.txt")[0] == 200
    assert send("GET", mlflow_url, "ours/model.txt") == (200, b"theirs")


@pytest.mark.parametrize(
    "path", ["../secret", "..%2Fsecret", "%2e%2e/secret", "a/..%2f..%2fsecret", "%2Fproc%2Fself%2Fenviron"]
)
def test_no_artifact_path_leads_out_of_the_folder(mlflow_url: str, path: str) -> None:
    answer, body = send("GET", mlflow_url, path)
    assert 400 <= answer < 500
    assert b"well kept" not in body
    assert b"PATH=" not in body
    assert 400 <= send("PUT", mlflow_url, path)[0] < 500


def test_the_file_with_the_databases_password_is_private(mlflow_url: str, running_settings: Settings) -> None:
    del mlflow_url
    file = running_settings.state_dir / "mlflow" / "login.ini"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [word for word in PASSWORDS.values() if word in file.read_text()] == []


def test_a_restart_keeps_the_users_and_takes_a_changed_password(mlflow_url: str, running_settings: Settings) -> None:
    address = f"{mlflow_url}{API}/experiments/get?experiment_id=0"
    friend = ("friend", "friend's password")
    values = {"username": friend[0], "password": friend[1]}
    assert requests.post(f"{mlflow_url}{API}/users/create", json=values, auth=ADMIN, timeout=30).ok

    rotated = running_settings.model_copy(update={"mlflow_tracking_password": SecretStr("a new password")})
    service = mlflow_of(rotated, MLFLOW_SERVING_PASSWORD="serving's new one")
    assert service.start()  # a changed password is a reason to start anew
    service.wait(120)

    seen = {
        login: requests.get(address, auth=login, timeout=30).status_code
        for login in (ADMIN, ("admin", "a new password"), ("serving", PASSWORDS["serving"]),
                      ("serving", "serving's new one"), ("training", PASSWORDS["training"]), friend)
    }  # fmt: skip
    assert list(seen.values()) == [401, 200, 401, 200, 200, 200]
