"""`make up` trains again when the champion learned from films of another kind than are loaded."""

from pathlib import Path

import psycopg
import pytest
import responses

from common.settings import Settings
from orchestration import pipeline
from orchestration.console import Progress
from orchestration.runtime import Runtime

MLFLOW = "http://127.0.0.1:9"


@pytest.fixture
def trained(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pipeline.Pipeline:
    """A pipeline whose real film is loaded and whose training, a stand-in, has run once."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into raw.movies (tmdbid, imdbid, title, year, bt_score, source, is_synthetic, source_row, "
            "row_hash, first_loaded_at, loaded_at) values (1, 1, 'Up', 2009, 0, 'file', false, 1, 'x', now(), now())"
        )
    settings = Settings(
        _env_file=None, db_connection_string=database_url, mlflow_tracking_uri=MLFLOW, state_dir=tmp_path
    )
    monkeypatch.setattr(pipeline, "PYTHON", "true")
    made = pipeline.Pipeline(Runtime(settings), Progress(total=3))
    made.train(always=True)
    return made


def champion_learned_from(**tags: str) -> None:
    version = {"version": "1", "tags": [{"key": key, "value": value} for key, value in tags.items()]}
    responses.get(f"{MLFLOW}/{pipeline.CHAMPION}", json={"model_version": version})


@responses.activate
def test_a_champion_of_made_up_films_is_replaced_while_real_ones_are_loaded(
    trained: pipeline.Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    champion_learned_from(is_synthetic="true")
    trained.train(always=False)
    assert "trained because version 1 learned from made-up films, and real ones are loaded" in capsys.readouterr().out


@responses.activate
@pytest.mark.parametrize("tags", [{"is_synthetic": "false"}, {}, {"is_synthetic": "who knows"}])
def test_another_champion_stays(
    trained: pipeline.Pipeline, capsys: pytest.CaptureFixture[str], tags: dict[str, str]
) -> None:
    champion_learned_from(**tags)
    trained.train(always=False)
    assert "unchanged, a champion is registered" in capsys.readouterr().out


@responses.activate  # with no answer registered, every connection is refused
def test_without_mlflow_nothing_is_decided(trained: pipeline.Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    trained.train(always=False)
    assert "unchanged" in capsys.readouterr().out
