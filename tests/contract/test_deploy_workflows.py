"""CI and pre-commit: valid, pinned, calling what people call, and keeping secrets out."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import compose
from orchestration.environment import SUPPORTED
from tests.deploy_files import ROOT, run, tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps() -> list[dict[str, Any]]:
    jobs = [job for file in WORKFLOWS for job in yaml.safe_load(file.read_text())["jobs"].values()]
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_workflows_follow_their_schema(schema: str) -> None:
    run("check-jsonschema", "--builtin-schema", schema, *map(str, WORKFLOWS))


def test_workflows_are_free_of_known_weaknesses() -> None:
    run("zizmor", "--offline", *map(str, WORKFLOWS))


def test_actions_are_pinned_to_a_commit() -> None:
    for step in steps():
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


def test_workflows_call_what_people_call() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = [step["run"] for step in steps() if "run" in step and not step["run"].startswith("sudo apt-get ")]
    assert {"make test", "make audit", "make sbom", "make up", "make image", "make up ENGINE=docker"} <= set(called)
    for command in called:
        program, target, *_ = shlex.split(command)
        assert (program, target in targets) == ("make", True), command


@pytest.mark.parametrize("target", ["up", "status", "logs", "down", "init-infra", "train-model"])
def test_the_same_targets_run_in_containers(target: str) -> None:
    here = run("make", "--dry-run", "PYTHON=python3", target).splitlines()
    there = run("make", "--dry-run", "PYTHON=python3", target, "ENGINE=docker").splitlines()
    assert here[-1] == f".venv/bin/python -m orchestration {target}"
    assert there == [f"python3 deploy/compose.py {target}"]
    assert target in compose.COMMANDS


def test_ci_covers_every_supported_python() -> None:
    (workflow,) = (yaml.safe_load(file.read_text()) for file in WORKFLOWS if file.name == "ci.yml")
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == [f"{major}.{minor}" for major, minor in SUPPORTED]


def secret_hook() -> list[str]:
    """The arguments of the secret scan, as pre-commit calls it."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (hook,) = (hook for repo in config["repos"] for hook in repo["hooks"] if hook["id"] == "secrets")
    return shlex.split(hook["entry"])[1:]


def test_no_secret_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    files = [name for name in listed.stdout.splitlines() if not name.endswith(".lock") and (ROOT / name).exists()]
    run("detect-secrets-hook", *secret_hook(), *files)


def test_the_secret_scan_finds_a_planted_one(tmp_path: Path) -> None:
    planted = tmp_path / "settings.py"
    planted.write_text("KEY = 'AKIA" + "QWERTYUIOPASDFGH'\n")
    done = subprocess.run(
        [tool("detect-secrets-hook"), *secret_hook(), str(planted)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "AWS Access Key" in done.stdout


def test_pre_commit_calls_tools_of_the_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    for repo in config["repos"]:
        for hook in repo["hooks"]:
            program = Path(hook["entry"].split()[0])
            assert program.parts[:2] == (".venv", "bin"), hook["id"]
            tool(program.name)
