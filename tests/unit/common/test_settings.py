"""Settings: typed, checked, and never telling a secret."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from common.environment import export
from common.errors import SettingsError
from common.settings import SECRETS, Settings, load_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")


def test_without_a_connection_string_the_embedded_database_is_used() -> None:
    assert load_settings().database_url == "postgresql://bechdel@127.0.0.1:54329/bechdel"


def test_a_connection_string_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_CONNECTION_STRING", "postgres://ada:secret@db.example:6432/films")
    assert load_settings().database_url == "postgresql://ada:secret@db.example:6432/films"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_TOKEN", "")
    assert load_settings().tmdb_api_token is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("PORT", "many"),
        ("DB_CONNECTION_STRING", "mysql://root:hunter2@localhost/films"),
        ("TMDB_API_BASE_URL", "not a url"),
        ("SAMPLE_FILMS", "0"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_names_its_variable_and_hides_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_TOKEN", "hunter2")
    monkeypatch.setenv("KAGGLE_KEY", "hunter3")
    assert "hunter" not in repr(load_settings())


def test_every_secret_may_stand_in_a_file() -> None:
    hidden = {name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)}
    assert set(SECRETS) == hidden | {"db_connection_string"}


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_secret_is_read_from_the_file_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    (tmp_path / "token").write_text(" hunter2\n")
    if place == ".env":
        (tmp_path / ".env").write_text(f"TMDB_API_TOKEN_FILE={tmp_path / 'token'}\n")
    else:
        monkeypatch.setenv("TMDB_API_TOKEN_FILE", str(tmp_path / "token"))
    token = load_settings().tmdb_api_token
    assert token is not None
    assert token.get_secret_value() == "hunter2"


@pytest.mark.parametrize(("content", "reason"), [(None, "cannot be read"), (" \n", "is empty"), (b"\xff", "no text")])
def test_a_file_without_a_secret_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | bytes | None, reason: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("TMDB_API_TOKEN_FILE", str(file))
    with pytest.raises(SettingsError, match=rf"TMDB_API_TOKEN_FILE names {file}.*{reason}"):
        load_settings()


def test_a_secret_and_its_file_at_once_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "hunter2")
    monkeypatch.setenv("KAGGLE_KEY_FILE", str(tmp_path))
    with pytest.raises(SettingsError, match="KAGGLE_KEY and KAGGLE_KEY_FILE are both set") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_the_environment_wins_over_a_file_that_dotenv_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DB_CONNECTION_STRING_FILE={tmp_path / 'absent'}\n")
    monkeypatch.setenv("DB_CONNECTION_STRING", "postgresql://ada@db.example/films")
    assert load_settings().database_url == "postgresql://ada@db.example/films"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        (
            "postgresql://ada@db.example/films?sslmode=require",
            "postgresql://ada:p%2Fw@db.example/films?sslmode=require",
        ),
        ("postgresql://ada:own@db.example/films", "postgresql://ada:own@db.example/films"),
        ("postgresql://db.example/films", "postgresql://db.example/films"),
    ],
)
def test_a_password_in_a_file_completes_the_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, whole: str
) -> None:
    (tmp_path / "password").write_text("p/w")
    monkeypatch.setenv("DB_CONNECTION_STRING", url)
    monkeypatch.setenv("DB_PASSWORD_FILE", str(tmp_path / "password"))
    assert load_settings().database_url == whole


def test_what_libraries_get_can_be_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://ada:p@db.example/films")
    monkeypatch.setattr(os, "environ", {**os.environ, "DB_CONNECTION_STRING_FILE": str(tmp_path / "url")})
    export(load_settings())
    assert os.environ["DB_CONNECTION_STRING"] == load_settings().database_url


def test_a_program_is_run_with_the_settings_as_its_environment(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("kept")
    show = "import os; print(os.environ['DB_CONNECTION_STRING'])"
    done = subprocess.run(
        [sys.executable, "-m", "common.environment", sys.executable, "-c", show],
        env={
            **os.environ,
            "DB_CONNECTION_STRING": "postgresql://ada@db.example/films",
            "DB_PASSWORD_FILE": str(tmp_path / "password"),
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "postgresql://ada:kept@db.example/films"
