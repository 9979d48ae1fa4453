"""The folder is a package of its own, which needs Feast and drivers and nothing else of this repository."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling import build

ALONE = """
import importlib.abc, json, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"common", "ingestion", "training", "serving", "feature_repo", "orchestration"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[1])
from feast import RepoConfig
config = RepoConfig(**json.loads(sys.argv[2]))
parts = (config.registry, config.offline_store, config.online_store, config.batch_engine)
import feast_stores
print(feast_stores.__file__)
print(*(type(part).__name__ for part in parts))
print("duckdb" in sys.modules)
"""


def test_package_alone_runs_the_configuration_of_its_readme(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "feast_stores")
    wheel = tmp_path / build.build_wheel(str(tmp_path))
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    example = re.search(r"```yaml\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    assert example
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path / "installed", json.dumps(yaml.safe_load(example[1]))],
        cwd=tmp_path,
        env={**environment, "DB_CONNECTION_STRING": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    place, names, has_loaded_duckdb = done.stdout.splitlines()
    assert has_loaded_duckdb == "False"  # a server of online features does without it
    assert place == str(tmp_path / "installed" / "feast_stores" / "__init__.py")
    assert names.split() == [
        "PostgresRegistryConfig",
        "PointInTimePostgresOfflineStoreConfig",
        "WidePostgresOnlineStoreConfig",
        "PostgresComputeEngineConfig",
    ]
