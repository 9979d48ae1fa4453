"""What people type after `make` reaches our programs as they typed it."""

import subprocess

import pytest

from common.settings import ROOT


def arguments_of(target: str, *variables: str) -> str:
    """What the program behind a target gets: it is replaced by `echo`, and nothing is installed."""
    command = ["make", "--silent", target, "RUN=echo", "PYTHON=true", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("title", ["$9.99", "Ocean's Eleven", 'The "Teddy" Bears', "Batteries Not Included; #1 & co"])
def test_a_title_is_asked_for_as_it_was_typed(title: str) -> None:
    assert arguments_of("predict", f"TITLE={title}") == f"-m serving predict --title {title}"


def test_a_year_or_a_number_of_tmdb_chooses_among_films_of_one_title() -> None:
    assert arguments_of("predict", "TITLE=Frozen", "YEAR=2013") == "-m serving predict --title Frozen --year 2013"
    assert arguments_of("predict", "TITLE=Frozen", "TMDB_ID=109445") == "-m serving predict --tmdb-id 109445"
