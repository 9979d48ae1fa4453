"""`make status` on a real database: what is loaded, and what PostgreSQL says to a wrong login."""

from pathlib import Path

import psycopg
import pytest
import responses

from common.settings import Settings
from orchestration import commands


def print_status(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    made = Settings(
        _env_file=None, db_connection_string=url, mlflow_tracking_uri="http://127.0.0.1:9", state_dir=folder
    )
    monkeypatch.setattr(commands, "load_settings", lambda: made)
    with responses.RequestsMock():
        assert commands.main(["status"]) == 0
    return capsys.readouterr().out.splitlines()


def test_films_payloads_and_steps_are_counted(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "films     missing  0 films, 0 TMDB payloads" in print_status(database_url, tmp_path, monkeypatch, capsys)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into ops.step_runs (step, fingerprint, seconds) values ('load', 'x', 2.5)")
    printed = print_status(database_url, tmp_path, monkeypatch, capsys)
    assert any(line.startswith("load      done") and line.endswith("2.5 s") for line in printed)


def test_a_database_without_our_tables_answers(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("drop schema ops cascade")
    printed = print_status(database_url, tmp_path, monkeypatch, capsys)
    assert printed[0].startswith("database  answers")
    assert not any(line.startswith("films") for line in printed)


def test_a_refused_login_is_told_in_postgresqls_words(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{database_url.rsplit('/', 1)[0]}/no_such_database"
    printed = print_status(url, tmp_path, monkeypatch, capsys)
    assert 'database "no_such_database" does not exist' in printed[0]
