"""Each problem of the machine and the settings is found, and its cure named."""

import json
import os
import socket
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import psutil
import pytest
import responses
from pydantic import SecretStr

from common.settings import Settings
from orchestration import doctor_checks as checks
from orchestration.doctor import examine, main
from orchestration.doctor_findings import NotApplicableError, Problem
from orchestration.runtime import Runtime

MLFLOW = "http://127.0.0.1:9/api/2.0/mlflow/registered-models/alias"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests do not reach them."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def problem_of(check: Any, *arguments: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        check(*arguments)
    return caught.value


def test_an_unsupported_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert "PYTHON=" in problem_of(checks.check_python).cure


def test_an_environment_older_than_its_lock_is_found(tmp_path: Path) -> None:
    (tmp_path / "requirements.installed").write_text("old")
    assert problem_of(checks.check_environment, tmp_path).cure == "make install"


def test_a_full_disk_and_a_full_memory_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(10**9))
    assert "Free at least 2 GB" in problem_of(checks.check_disk).cure
    monkeypatch.setattr(psutil, "virtual_memory", lambda: namedtuple("Memory", "available")(10**9))
    assert "training needs" in problem_of(checks.check_memory).cure


def test_a_clock_that_is_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.time, "time", lambda: 0.0)
    assert "clock" in problem_of(checks.check_clock).cure


def test_secrets_that_others_can_read_are_found(tmp_path: Path) -> None:
    for check in (checks.check_env_file, checks.check_kaggle):
        file = tmp_path / "secret"
        file.write_text("")
        file.chmod(0o644)
        assert problem_of(check, settings(), file).cure == f"chmod 600 {file}"
        file.chmod(0o600)
        assert check(settings(), file) == "secret is private"


@pytest.mark.parametrize(
    ("token", "found"),
    [("0123456789abcdef" * 2, "API key"), ("eyJhbGci", "form"), ("eyJhb.eyJhdWQ", "form"), ("secret words", "form")],
)
def test_a_token_of_the_wrong_kind_is_found_and_not_shown(token: str, found: str) -> None:
    problem = problem_of(checks.check_tmdb_token, settings(tmdb_api_token=SecretStr(token)))
    assert found in problem.fact
    assert token not in problem.fact + problem.cure


def test_a_token_of_the_right_form_is_well() -> None:
    assert "has the form" in checks.check_tmdb_token(settings(tmdb_api_token=SecretStr("eyJh-bGci.eyJhdWQ_.s1g")))


def test_half_of_the_kaggle_credentials_is_found(tmp_path: Path) -> None:
    problem = problem_of(checks.check_kaggle, settings(kaggle_username="me"), tmp_path / "absent")
    assert "Set both" in problem.cure


def test_kaggle_without_credentials_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.settings.ROOT", tmp_path)  # without a kaggle.json
    problem = problem_of(checks.check_kaggle, settings(movies_source="kaggle"), tmp_path / "absent")
    assert problem.cure == "Set KAGGLE_USERNAME and KAGGLE_KEY."


def test_a_source_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    missing = tmp_path / "movies.csv"
    assert str(missing) in problem_of(checks.check_source, settings(movies_source=str(missing))).fact
    assert str(missing) in problem_of(checks.check_source, settings(tmdb_payloads=missing)).fact


def test_a_state_folder_of_somebody_else_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.log").write_text("")
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)  # noqa: PTH116
    assert "chown" in problem_of(checks.check_state_dir, settings(state_dir=tmp_path)).cure


def test_a_state_folder_that_cannot_be_written_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert "Set STATE_DIR" in problem_of(checks.check_state_dir, settings(state_dir=tmp_path)).cure


def test_the_record_of_a_dead_process_is_found(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    record = tmp_path / "run" / "mlflow.json"
    record.write_text(json.dumps({"pid": 2**22 - 1}))
    assert "mlflow ended" in problem_of(checks.check_records, settings(state_dir=tmp_path)).fact
    record.write_text(json.dumps({"pid": os.getpid()}))
    assert checks.check_records(settings(state_dir=tmp_path)) == "none of a dead process"


def test_a_port_of_another_program_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "_is_open", lambda port: port == 5001)
    problem = problem_of(checks.check_ports, Runtime(settings(state_dir=tmp_path)))
    assert "5001" in problem.fact
    assert "MLFLOW_PORT=" in problem.cure


def test_a_silent_program_on_the_databases_port_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setattr(
            "orchestration.doctor.load_settings",
            lambda: settings(state_dir=tmp_path, embedded_db_port=port, mlflow_tracking_uri="http://127.0.0.1:9"),
        )
        started = time.monotonic()
        assert main(["--quiet"]) == 1
    printed = capsys.readouterr().out
    assert f"port {port} for PostgreSQL taken by another program" in printed
    assert "EMBEDDED_DB_PORT=" in printed
    assert "cannot be reached" not in printed  # the program is not asked
    assert time.monotonic() - started < 15  # it was 80


def test_a_silent_database_elsewhere_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "CONNECT_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/films"
        made = settings(state_dir=tmp_path, db_connection_string=url, mlflow_tracking_uri="http://127.0.0.1:9")
        monkeypatch.setattr("orchestration.doctor.load_settings", lambda: made)
        findings = {finding.name: finding for finding in examine()}
    assert "timeout" in str(findings["database"].cure)
    assert not {*checks.DATABASE_CHECKS} & {*findings}


def test_a_lock_of_a_server_that_is_gone_is_found(tmp_path: Path) -> None:
    runtime = Runtime(settings(state_dir=tmp_path))
    assert runtime.database is not None
    assert checks.check_database_lock(runtime) == "none"
    lock = runtime.database.data / "postmaster.pid"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{2**22 - 1}\n{lock.parent}\n")
    problem = problem_of(checks.check_database_lock, runtime)
    assert str(2**22 - 1) in problem.fact
    assert problem.cure.startswith("make up removes it")
    lock.write_text(f"{os.getpid()}\n")
    assert checks.check_database_lock(runtime) == f"held by pid {os.getpid()}"


@pytest.mark.parametrize(
    ("check", "rows", "fact", "cure"),
    [
        (checks.check_database_server, [(13,), ("UTF8", "UTC")], "PostgreSQL 13", "Use PostgreSQL 14 or newer."),
        (checks.check_database_server, [(18,), ("SQL_ASCII", "UTC")], "encoding SQL_ASCII", "encoding 'UTF8'"),
        (checks.check_time_zone, [("me", "Asia/Tokyo")], "in Asia/Tokyo", "alter role me set timezone to 'UTC'"),
        (checks.check_connections, [(81, 100)], "81 of 100", "raise max_connections"),
        (checks.check_migrations, [("0000",)], "at version 0000", "python -m common.migrations"),
        (checks.check_films, [(0, 0)], "no film is loaded", "python -m ingestion load"),
        (checks.check_features, [(0,)], "are not built", "dbt build"),
        (checks.check_online_store, [(3,), (4,)], "3 of 4 views", "feature_repo/publish.py"),
    ],
)
def test_a_problem_of_the_database_is_found(
    check: Any, rows: list[tuple[Any, ...]], fact: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(rows)  # in the order of the check's questions; a real server is asked in tests/integration
    monkeypatch.setattr(checks, "_row", lambda *_, **__: next(answers))
    problem = problem_of(check, Runtime(settings()))
    assert fact in problem.fact
    assert cure in problem.cure


def test_four_fifths_of_the_connections_are_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_row", lambda *_, **__: (80, 100))
    assert checks.check_connections(Runtime(settings())) == "80 of 100"


def test_a_missing_manifest_is_found(tmp_path: Path) -> None:
    assert "dbt build" in problem_of(checks.check_manifest, Runtime(settings()), tmp_path / "manifest.json").cure


def test_a_database_without_an_answer_is_found() -> None:
    runtime = Runtime(settings(db_connection_string="postgresql://me:secret@127.0.0.1:9/films"))
    problem = problem_of(checks.check_database, runtime)
    assert "127.0.0.1:9/films" in problem.cure
    assert "secret" not in problem.cure
    with pytest.raises(NotApplicableError):  # said once is enough
        checks.check_films(runtime)


@responses.activate
@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (401, "Correct MLFLOW_TRACKING_USERNAME"),
        (404, "make train-model"),
        (403, "Add it to --allowed-hosts"),
        (500, "make logs shows why"),
    ],
)
def test_mlflow_without_a_champion_is_found(status: int, cure: str) -> None:
    responses.get(MLFLOW, status=status)
    problem = problem_of(checks.check_mlflow, Runtime(settings(mlflow_tracking_uri="http://127.0.0.1:9")))
    assert problem.cure.startswith(cure)


@responses.activate
def test_a_server_that_is_not_ready_says_what_it_lacks() -> None:
    responses.get("http://127.0.0.1:5000/readyz", status=503, json={"detail": "No model yet. Run: make train-model"})
    assert problem_of(checks.check_server, Runtime(settings())).cure == "No model yet. Run: make train-model"


@responses.activate
def test_something_else_at_the_servers_address_is_found() -> None:
    responses.get("http://127.0.0.1:5000/readyz", status=403, body="AirPlay")
    assert "something else answers 403" in problem_of(checks.check_server, Runtime(settings())).cure


@responses.activate  # with no answer registered, every connection is refused
@pytest.mark.parametrize(
    ("check", "cure"),
    [
        (checks.check_mlflow, "make up, or correct MLFLOW_TRACKING_URI"),
        (checks.check_server, "make up; why it ended"),
    ],
)
def test_a_service_that_does_not_answer_is_found(check: Any, cure: str) -> None:
    problem = problem_of(check, Runtime(settings()))
    assert "does not answer" in problem.fact
    assert problem.cure.startswith(cure)


def test_settings_that_cannot_be_read_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "0")
    *_, finding = examine()
    assert finding.name == "settings"
    assert finding.cure is not None
    assert "PORT" in finding.cure


def test_every_problem_is_printed_with_its_cure_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "0")
    assert main(["--quiet"]) == 1
    assert "-> PORT" in capsys.readouterr().out


def test_there_are_twenty_checks_and_more() -> None:
    tables = (checks.MACHINE_CHECKS, checks.SETTINGS_CHECKS, checks.SERVICE_CHECKS, checks.DATABASE_CHECKS)
    assert sum(map(len, tables)) >= 20
