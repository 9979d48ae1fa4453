"""What the commands of the Makefile say."""

from pathlib import Path

import pytest

from common.settings import Settings
from orchestration import commands
from orchestration.commands import main


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a platform that does not run."""
    made = Settings(
        _env_file=None,
        db_connection_string="postgresql://me:secret@127.0.0.1:9/films",
        mlflow_tracking_uri="http://127.0.0.1:9",
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
