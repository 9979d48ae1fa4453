"""What the commands of the Makefile say."""

from pathlib import Path

import pytest
import responses

from common.settings import Settings
from orchestration import commands
from orchestration.commands import main

READY = "http://127.0.0.1:5000/readyz"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a platform that does not run."""
    made = Settings(
        _env_file=None,
        db_connection_string="postgresql://me:secret@127.0.0.1:9/films",
        mlflow_tracking_uri="http://127.0.0.1:9",
        port=5000,
        state_dir=tmp_path,
    )
    monkeypatch.setattr(commands, "load_settings", lambda: made)
    return made


def test_training_ends_with_why_the_new_model_is_not_the_champion(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class PipelineThatTrains:
        def build(self) -> None: ...

        def train(self, *, always: bool) -> None:
            assert always
            log = settings.state_dir / "logs" / "train.log"
            log.parent.mkdir()
            log.write_text(f"the table\n{verdict}\nsome warning\n")

    verdict = "Version 2 of bechdel-test-predictor is the challenger: AUC +0.0010. Not promoted: it has to be better."
    monkeypatch.setattr(commands, "_start_stores", lambda *_: PipelineThatTrains())

    assert main(["train-model"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == verdict


def status_lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What `make status` prints, by the name of the part."""
    assert main(["status"]) == 0
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


@pytest.mark.usefixtures("settings")
@responses.activate  # with no answer registered, every connection is refused
def test_status_of_what_does_not_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    printed = status_lines(capsys)
    assert {*printed} == {"database", "server"}
    assert printed["database"].startswith("is away  PostgreSQL at 127.0.0.1:9/films cannot be reached (Connection")
    assert "secret" not in printed["database"]


@pytest.mark.usefixtures("settings")
@responses.activate
def test_status_names_the_version_that_answers(capsys: pytest.CaptureFixture[str]) -> None:
    model = {"ok": True, "version": "3", "loaded_at": "2026-05-04T03:02:01.5+00:00"}
    responses.get(READY, json={"status": "ready", "checks": {"model": model}})
    assert status_lines(capsys)["model"] == "answers  version 3, loaded at 2026-05-04 03:02 UTC"


@pytest.mark.usefixtures("settings")
@responses.activate
def test_status_says_why_there_is_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    model = {"ok": False, "detail": "No model yet. Run: make train-model"}
    responses.get(READY, status=503, json={"detail": "Not ready.", "checks": {"model": model}})
    assert status_lines(capsys)["model"] == "missing  No model yet. Run: make train-model"


@pytest.mark.usefixtures("settings")
@responses.activate
def test_status_does_not_fall_over_another_program_at_the_servers_address(capsys: pytest.CaptureFixture[str]) -> None:
    responses.get(READY, json=["AirPlay"])
    assert "model" not in status_lines(capsys)
