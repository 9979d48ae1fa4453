"""What bandit finds in our code is mended, or explained where it stands (ruff has the same rules by number)."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy_files import ROOT, tool

FOLDERS = (
    *("common", "ingestion", "training", "serving", "feast_stores", "feature_repo"),
    *("orchestration", "deploy", "benchmarks"),
)
EXPLAINED = r"noqa:(?: [A-Z]+\d+,)* {number}\b(?:, [A-Z]+\d+)* +- \w+|nosec {number} - \w+"


def findings(*paths: Path) -> list[dict[str, Any]]:
    """Of medium severity and more; what is less grave (asserts, subprocess by list) ruff judges alone."""
    options = ("--quiet", "--severity-level", "medium", "--format", "json", "--recursive")
    command = [tool("bandit"), *options, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return found


def is_explained(finding: dict[str, Any]) -> bool:
    """Whether its lines, or the first line of its file, name the rule (B608 is ruff's S608) and a reason."""
    lines = Path(ROOT / finding["filename"]).read_text().splitlines()
    first, last = min(finding["line_range"]), max(finding["line_range"])
    number = finding["test_id"][1:]
    pattern = EXPLAINED.replace("{number}", f"[BS]{number}")
    return any(re.search(pattern, line) for line in (lines[0], *lines[first - 1 : last]))


def test_every_finding_of_bandit_is_explained_where_it_stands() -> None:
    unexplained = [
        f"{finding['filename']}:{finding['line_number']} {finding['test_id']} {finding['issue_text']}"
        for finding in findings(*(ROOT / folder for folder in FOLDERS))
        if not is_explained(finding)
    ]
    assert unexplained == []


def test_a_planted_weakness_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("import yaml\n\n\ndef read(text):\n    return yaml.load(text, yaml.Loader), eval(text)\n")
    found = findings(planted)
    assert {finding["test_id"] for finding in found} == {"B506", "B307"}
    assert not any(is_explained(finding) for finding in found)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_security_rule_is_switched_off_without_a_reason(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if re.search(r"(noqa|nosec):?.*\b[BS]\d{3}\b", line):
                assert re.search(r"(noqa|nosec):?[ A-Z0-9,]* +- \w+", line), f"{path}:{number} needs a reason"
