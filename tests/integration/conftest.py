"""What several integration tests stand on and that takes long to make: films built by dbt and published to Feast."""

import os
import subprocess
import sys

import pytest

from tests.conftest import DatabaseMaker
from tests.feature_films import ROOT, Project, fill_raw_tables


@pytest.fixture(scope="session")
def served_films(make_database: DatabaseMaker, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """201 films of the sample and the hand-made ones, built by dbt and published to Feast."""
    url, folder = make_database(), tmp_path_factory.mktemp("films")
    settings = {"DB_CONNECTION_STRING": url, "STATE_DIR": str(folder), "SAMPLE_FILMS": "201"}
    command = [sys.executable, "-m", "ingestion", "load", "--source", "sample"]
    loaded = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    fill_raw_tables(url)
    built = Project(url, tmp_path_factory.mktemp("dbt"))
    built.run()
    built.publish()
    return built
