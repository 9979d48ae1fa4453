"""Every setting is documented where people look for it, and nothing else reads the environment."""

import re
from itertools import zip_longest
from pathlib import Path

import pytest

from common.settings import Settings

NAMES = sorted(name.upper() for name in Settings.model_fields)
PACKAGES = ("common", "ingestion", "training", "serving", "feature_repo")


@pytest.mark.parametrize("document", [".env.example", "README.md"])
def test_every_setting_is_documented(root: Path, document: str) -> None:
    text = (root / document).read_text()
    assert [name for name in NAMES if not re.search(rf"\b{name}\b", text)] == []


def test_the_example_names_only_settings_that_exist(root: Path) -> None:
    named = re.findall(r"^#? ?([A-Z][A-Z_]+)=", (root / ".env.example").read_text(), re.MULTILINE)
    assert sorted(named) == NAMES


def test_the_example_shows_the_defaults(root: Path) -> None:
    shown = dict(re.findall(r"^# ([A-Z_]+)=(.+)$", (root / ".env.example").read_text(), re.MULTILINE))
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | str):
            assert shown[name.upper()] == str(field.default)


def test_the_readme_shows_the_defaults_of_every_setting_and_no_other(root: Path) -> None:
    section = (root / "README.md").read_text().split("\n## Settings\n")[1].split("\n## ")[0]
    shown: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`[^|]+`) \| ([^|]*)\|", section, re.MULTILINE):
        values = [part.strip("` ") for part in defaults.split(",")]
        shown |= zip_longest(re.findall(r"`(\w+)`", names), values, fillvalue="")
    assert sorted(shown) == NAMES
    in_words = {"TMDB_API_BASE_URL": "the real API"}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | str):
            assert shown[name.upper()] == in_words.get(name.upper(), str(field.default)), name


# Each of these has to: libraries that read nothing but the environment, and processes of ours that inherit it.
MAY_TOUCH_THE_ENVIRONMENT = {
    "common/environment.py",
    "ingestion/kaggle.py",
    "serving/__main__.py",
    "training/cleanup.py",
}


def test_only_the_settings_module_reads_the_environment(root: Path) -> None:
    readers = {
        str(path.relative_to(root))
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers == MAY_TOUCH_THE_ENVIRONMENT
