"""Stages meet at tables and names: who may import whom is written in pyproject.toml and holds."""

import subprocess
import sys
from pathlib import Path


def test_import_contracts_hold(root: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
