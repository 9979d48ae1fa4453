"""What our code imports is what pyproject.toml asks for: nothing comes along by luck."""

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.deploy_files import run

PACKAGES = ("common", "ingestion", "training", "serving", "feast_stores", "feature_repo", "orchestration")


def imported_modules(folder: Path) -> set[str]:
    """Top-level names that the code below `folder` imports."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("folder", "packages"), [(".", PACKAGES), ("feast_stores", ("feast_stores",))])
def test_every_import_is_a_declared_dependency(root: Path, folder: str, packages: tuple[str, ...]) -> None:
    project = tomllib.loads((root / folder / "pyproject.toml").read_text())["project"]
    declared = {canonical(re.split(r"[\[<>=;, ]", entry)[0]) for entry in project["dependencies"]}
    providers = packages_distributions()
    modules = set().union(*(imported_modules(root / package) for package in packages))
    undeclared = {
        module: sorted(canonical(name) for name in providers.get(module, []))
        for module in modules - set(packages) - set(sys.stdlib_module_names)
        if not declared & {canonical(name) for name in providers.get(module, [])}
    }
    assert undeclared == {}


def test_no_lock_or_settings_file_names_a_registry_host(root: Path) -> None:
    named = re.compile(r"(index-url|find-links|resolved\W+http|^\s*registry\s*=)", re.IGNORECASE | re.MULTILINE)
    files = [*root.glob("*.lock"), root / "pyproject.toml", root / "Makefile"]
    assert [path.name for path in files if named.search(path.read_text())] == []


def test_the_bill_of_materials_names_every_locked_package(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    run("cyclonedx-py", "requirements", "requirements.lock", "--output-file", str(file))  # as `make sbom`
    listed = {(part["name"], part["version"]) for part in json.loads(file.read_text())["components"]}
    assert listed == set(
        re.findall(r"^([\w.-]+)==([^ ;\\]+)", (root / "requirements.lock").read_text(), re.MULTILINE)
    )
