"""Making the environment: each usual problem becomes one sentence with its cure."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration import environment


@pytest.mark.parametrize(
    ("output", "cure"),
    [
        ("error: failed to write: No space left on device (os error 28)", "disk is full"),
        ("error: command 'gcc' failed: No such file or directory", "install a C compiler"),
        ("error: Failed to fetch: `https://index.example/simple/`", "cannot be downloaded"),
        ("The virtual environment was not created: ensurepip is not available", "apt install python3-venv"),
    ],
)
def test_a_known_failure_says_what_to_do(output: str, cure: str) -> None:
    assert cure in environment.explain(output, ["uv"])


def test_an_unknown_failure_names_the_command() -> None:
    assert "`uv pip`" in environment.explain("boom", ["uv", "pip"])


def test_a_wrong_python_looks_for_a_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "python3.12" else None)
    assert environment.find_interpreter() == "/usr/bin/python3.12"


def test_no_right_python_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(environment.EnvironmentProblemError, match=r"Python 3\.11, 3\.12, 3\.13 is needed"):
        environment.find_interpreter()


def test_a_full_disk_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(environment.EnvironmentProblemError, match=r"1\.0 GB free"):
        environment.check_disk(tmp_path / ".venv")


@pytest.mark.parametrize(("has_pip", "steps"), [(True, ["pip"]), (False, ["ensurepip", "pip"])])
def test_environment_that_uv_made_gets_pip_when_uv_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_pip: bool, steps: list[str]
) -> None:
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    (packages / "pip" if has_pip else packages).mkdir(parents=True)
    commands: list[list[object]] = []
    monkeypatch.setattr(environment, "run", commands.append)

    assert environment.install_uv(tmp_path) == tmp_path / "bin" / "uv"
    assert [command[2] for command in commands] == steps


def test_the_script_parses_on_an_old_python(root: Path) -> None:
    source = (root / "orchestration" / "environment.py").read_text()
    assert source.index("from __future__ import annotations") < source.index("import argparse")
    compiled = subprocess.run(
        [sys.executable, "-c", "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 8))"],
        input=source,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0
