"""`--help` of every program that `python -m` runs answers, and does nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common import cli
from common.errors import PlatformError

ROOT = Path(__file__).resolve().parent.parent.parent
STARTS = re.compile(r'^if __name__ == "__main__":', re.MULTILINE)
NO_DATABASE = "postgresql://nobody@127.0.0.1:9/none"


def list_programs() -> list[str]:
    """Packages with a `__main__`, and modules that do something when they are run."""
    files = [path.relative_to(ROOT) for folder in ROOT.glob("[a-z]*/") for path in folder.rglob("*.py")]
    programs = [file for file in files if file.parts[0] != "tests" and _is_program(file)]
    return sorted(".".join(file.with_suffix("").parts).removesuffix(".__main__") for file in programs)


def _is_program(file: Path) -> bool:
    return file.name == "__main__.py" or STARTS.search((ROOT / file).read_text()) is not None


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, str]]:
    """How each ended and what it printed; all in one process, whose imports are what takes the time."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DB_CONNECTION_STRING": NO_DATABASE,
        "STATE_DIR": str(tmp_path_factory.mktemp("state")),
    }
    command = [sys.executable, "-m", "tests.help_of_programs", *list_programs()]
    asked = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert asked.returncode == 0, asked.stderr
    found: dict[str, tuple[object, str]] = json.loads(asked.stdout)
    return found


@pytest.mark.parametrize("program", list_programs())
def test_help_is_given_without_tools_database_or_network(
    program: str, answers: dict[str, tuple[object, str]]
) -> None:
    ended, printed = answers[program]
    assert ended == 0, f"{ended}\n{printed}"
    assert printed.startswith("usage: ")


def test_both_kinds_of_programs_are_found() -> None:
    assert {"orchestration", "orchestration.feast_ui", "common.migrations"} <= {*list_programs()}


def test_a_tool_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    cli.require_tools("json")
    with pytest.raises(PlatformError, match=r"no_such_tool\. .*make install-dev"):
        cli.require_tools("json", "no_such_tool")
