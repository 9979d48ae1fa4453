"""MLflow's start: who may log in, and that nobody else reaches a server without a login."""

import io
import os
import stat
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from common.database import store_address
from common.errors import SettingsError
from common.settings import Settings
from orchestration import mlflow_server
from orchestration.mlflow_server import (
    Login,
    environment_of_server,
    find_logins,
    reads,
    refuse_open_server,
    write_login_file,
)
from tests.conftest import ROOT

LONG = "a long password"
PARTS = {"MLFLOW_TRAINING_PASSWORD": "training's password", "MLFLOW_SERVING_PASSWORD": "serving's password"}


def settings(**values: str) -> Settings:
    return Settings(_env_file=None, **{"mlflow_tracking_password": None, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "mlflow"])  # noqa: S104 - what is to be refused
def test_others_reach_no_server_without_a_login(host: str) -> None:
    with pytest.raises(SettingsError, match=f"listen on {host} without a login. Set MLFLOW_TRACKING_PASSWORD"):
        refuse_open_server(host, [])
    refuse_open_server(host, [Login("admin", LONG, is_admin=True)])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_this_machine_needs_no_login(host: str) -> None:
    refuse_open_server(host, [])


def test_the_command_refuses_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.mlflow_server", "--host=0.0.0.0", "--login-file=/nowhere/login.ini"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("Error: MLflow would listen on 0.0.0.0 without a login.")
    assert len(done.stderr.splitlines()) == 1


def test_without_a_named_login_file_it_lies_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD_FILE", "DB_CONNECTION_STRING_FILE", *PARTS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DB_CONNECTION_STRING", "postgresql://ada@db.example/films")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", LONG)
    monkeypatch.setattr(mlflow_server, "connect", lambda _: io.StringIO())
    monkeypatch.setattr(mlflow_server, "set_logins", lambda *_: None)
    started: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda _program, _command, environment: started.append(environment))

    mlflow_server.main([])

    file = tmp_path / "mlflow" / "login.ini"
    assert started[0]["MLFLOW_AUTH_CONFIG_PATH"] == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_each_login_comes_from_its_variable() -> None:
    found = find_logins(settings(mlflow_tracking_username="ada", mlflow_tracking_password=LONG), PARTS)
    assert found == [
        Login("ada", LONG, is_admin=True),
        Login("training", PARTS["MLFLOW_TRAINING_PASSWORD"], is_admin=False),
        Login("serving", PARTS["MLFLOW_SERVING_PASSWORD"], is_admin=False),
    ]
    assert find_logins(settings(), {}) == []


@pytest.mark.parametrize(
    ("values", "environment", "sentence"),
    [
        ({}, PARTS, "MLFLOW_TRACKING_PASSWORD must be set too"),
        ({"mlflow_tracking_password": "short"}, {}, "MLFLOW_TRACKING_PASSWORD is too short"),
        ({"mlflow_tracking_password": LONG}, {"MLFLOW_SERVING_PASSWORD": "short"}, "MLFLOW_SERVING_PASSWORD is too"),
        ({"mlflow_tracking_password": LONG, "mlflow_tracking_username": "serving"}, {}, "name of a part"),
    ],
)
def test_logins_that_cannot_be_are_refused(
    values: dict[str, str], environment: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        find_logins(settings(**values), environment)


@pytest.mark.parametrize(
    ("method", "path", "only_reads"),
    [
        ("GET", "/api/2.0/mlflow/registered-models/alias", True),
        ("POST", "/api/2.0/mlflow/runs/search", True),
        ("POST", "/api/2.0/mlflow/runs/create", False),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/model/search", False),
        ("DELETE", "/api/2.0/mlflow/runs/search", False),
    ],
)
def test_searches_read_and_an_upload_by_that_name_does_not(method: str, path: str, only_reads: bool) -> None:
    assert reads(method, path) is only_reads


def test_the_login_file_says_what_mlflow_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "mlflow" / "login.ini"
    store = store_address("postgresql://ada:p%2Fw@db.example/films?sslmode=require")
    for _ in range(2):  # a second start writes it anew
        write_login_file(file, store, [Login("ada", LONG, is_admin=True)])
    config = ConfigParser()
    config.read(file)
    assert config["mlflow"]["database_uri"] == store
    assert config["mlflow"]["admin_username"] == "ada"
    assert LONG not in file.read_text()


def test_the_server_itself_knows_no_password() -> None:
    given = {
        "PATH": "/bin",
        "DB_CONNECTION_STRING": "x",
        "MLFLOW_TRACKING_PASSWORD_FILE": "x",
        "DB_PASSWORD": "x",
        **PARTS,
    }
    assert set(environment_of_server(given)) == {"PATH", "PYTHONPATH", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}
