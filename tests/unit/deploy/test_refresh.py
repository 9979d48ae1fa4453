"""The daily refresh: when, in which order, and as whom."""

import importlib.util
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from common.errors import SettingsError
from tests.conftest import ROOT

ENVIRONMENT = {
    "DB_CONNECTION_STRING": "postgresql://postgres:5432/bechdel",
    "INGEST_DB_PASSWORD": "one",
    "DBT_DB_PASSWORD": "tw/o",
    "FEAST_DB_PASSWORD": "three",
    "TRAINING_DB_PASSWORD": "four",
    "SERVING_DB_PASSWORD": "six",
    "MLFLOW_TRACKING_PASSWORD": "five",
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


def test_training_alone_logs_in_to_mlflow(refresh: ModuleType) -> None:
    environments = {step.part: refresh.environment_of(step, ENVIRONMENT) for step in refresh.STEPS}
    assert [part for part, values in environments.items() if "MLFLOW_TRACKING_PASSWORD" in values] == ["training"]


def test_a_steps_password_may_stand_in_a_file(refresh: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "dbt").write_text("two")
    step = next(step for step in refresh.STEPS if step.part == "dbt")
    given = {
        "DB_CONNECTION_STRING": "postgresql://postgres:5432/bechdel",
        "DBT_DB_PASSWORD_FILE": str(tmp_path / "dbt"),
    }
    assert refresh.environment_of(step, given) == {
        "DB_CONNECTION_STRING": "postgresql://bechdel_dbt:two@postgres:5432/bechdel"
    }
    with pytest.raises(SettingsError, match="DBT_DB_PASSWORD is not set, nor DBT_DB_PASSWORD_FILE"):
        refresh.environment_of(step, {"DB_CONNECTION_STRING": "postgresql://postgres:5432/bechdel"})


@pytest.mark.parametrize(("failing", "ran"), [(None, 5), ("dbt", 3), ("serving", 5)])
def test_steps_stop_at_the_first_failure_of_one_that_is_needed(
    refresh: ModuleType, monkeypatch: pytest.MonkeyPatch, failing: str | None, ran: int
) -> None:
    users: list[str] = []

    def fake_run(command: Any, *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        users.append(env["DB_CONNECTION_STRING"].split("//bechdel_")[1].split(":")[0])
        return subprocess.CompletedProcess(command, 1 if users[-1] == failing else 0)

    monkeypatch.setattr(refresh.subprocess, "run", fake_run)
    assert refresh.refresh(ENVIRONMENT) is (failing is None)
    assert users == ["serving", "ingest", "dbt", "feast", "training"][:ran]


def test_what_may_not_be_kept_goes_every_day_before_anything_can_fail(refresh: ModuleType) -> None:
    assert refresh.STEPS[0] == refresh.RefreshStep(
        "serving", (sys.executable, "-m", "serving", "expire"), is_optional=True
    )
