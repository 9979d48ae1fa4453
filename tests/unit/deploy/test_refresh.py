"""The daily refresh: when, in which order, and as whom."""

import importlib.util
import subprocess
import sys
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT

ENVIRONMENT = {
    "DB_CONNECTION_STRING": "postgresql://postgres:5432/bechdel",
    "INGEST_DB_PASSWORD": "one",
    "DBT_DB_PASSWORD": "tw/o",
    "FEAST_DB_PASSWORD": "three",
    "TRAINING_DB_PASSWORD": "four",
    "MOVIES_SOURCE": "sample",
}


@pytest.fixture(scope="module")
def refresh() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_refresh", ROOT / "deploy" / "refresh.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("now", "seconds"), [((3, 29), 60), ((3, 30), 86400), ((4, 30), 82800)])
def test_the_next_refresh_is_at_the_next_such_time_of_day(
    refresh: ModuleType, now: tuple[int, int], seconds: int
) -> None:
    assert refresh.seconds_until("03:30", datetime(2026, 1, 1, *now, tzinfo=UTC)) == seconds


def test_each_step_gets_its_own_login_and_no_other_password(refresh: ModuleType) -> None:
    step = next(step for step in refresh.STEPS if step.part == "dbt")
    assert refresh.environment_of(step, ENVIRONMENT) == {
        "DB_CONNECTION_STRING": "postgresql://bechdel_dbt:tw%2Fo@postgres:5432/bechdel",
        "MOVIES_SOURCE": "sample",
    }


@pytest.mark.parametrize(("failing", "ran"), [(None, 4), ("dbt", 2)])
def test_steps_stop_at_the_first_failure(
    refresh: ModuleType, monkeypatch: pytest.MonkeyPatch, failing: str | None, ran: int
) -> None:
    users: list[str] = []

    def fake_run(command: Any, *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        users.append(env["DB_CONNECTION_STRING"].split("//bechdel_")[1].split(":")[0])
        return subprocess.CompletedProcess(command, 1 if users[-1] == failing else 0)

    monkeypatch.setattr(refresh.subprocess, "run", fake_run)
    assert refresh.refresh(ENVIRONMENT) is (failing is None)
    assert users == ["ingest", "dbt", "feast", "training"][:ran]
