"""What the documents for operators name is there: files, commands, metrics, roles, targets."""

import importlib.util
import re

import pytest

from orchestration.roles import PARTS, role_name
from serving.metrics import Metrics
from tests.deploy_files import ROOT

DOCUMENTS = ("docs/operations.md", "docs/system_architecture.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name)):
        assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_exist(name: str) -> None:
    for module in re.findall(r"python3? -m ([\w.]+)", read(name)):
        assert importlib.util.find_spec(module), module
    for script in re.findall(r"python3? ([\w/]+\.py)", read(name)):
        assert (ROOT / script).exists(), script
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    for target in re.findall(r"`make ([a-z-]+)", read(name)):
        assert target in targets, target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_files_exist(name: str) -> None:
    for path in re.findall(r"`((?:docs|deploy|tests|common|orchestration|dbt_project)/[\w/.*-]+)`", read(name)):
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_metrics_of_the_alerts_are_those_of_the_server() -> None:
    defined = {metric.name for metric in Metrics().registry.collect()}
    for name in re.findall(r"bechdel_\w+", read("docs/operations.md")):
        if name not in {role_name(part) for part in PARTS}:
            assert name.removesuffix("_total") in defined, name


def test_every_role_is_in_the_table_of_the_architecture() -> None:
    table = read("docs/system_architecture.md")
    assert [part for part in PARTS if f"| `{role_name(part)}` |" not in table] == []
