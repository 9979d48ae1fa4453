"""The platform in containers: which steps of Docker are taken, tried with a program that only writes them down."""

import os
from pathlib import Path

import pytest

from deploy import compose

DOCKER = """#!/bin/sh
echo "$*" >> "$DOCKER_LOG"
case "$*" in
    *"config --images"*) echo "$DOCKER_IMAGES" ;;
    *"image inspect"*) echo "$DOCKER_SIZE" ;;
esac
[ "$*" != "$DOCKER_FAILS" ]
"""


class Docker:
    """A Docker that does nothing."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        (folder / "docker").write_text(DOCKER)
        (folder / "docker").chmod(0o755)
        self._log = folder / "log"
        self.set = patch.setenv
        self.set("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.set("DOCKER_LOG", str(self._log))
        self.set("DOCKER_IMAGES", "postgres:18.1-trixie\nbechdel-platform:0.1.0")  # dependencies, in any order
        patch.setattr(compose, "PASSWORDS", ("true",))

    @property
    def asked(self) -> list[str]:
        """What it was asked for, without the two questions whether it is there."""
        return self._log.read_text().splitlines()[2:]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    return Docker(tmp_path, monkeypatch)


@pytest.mark.parametrize(("size", "code"), [("1400000000", 0), ("1500000000", 1), ("", 1)])
def test_an_image_that_has_grown_too_large_is_refused(docker: Docker, size: str, code: int) -> None:
    docker.set("DOCKER_SIZE", size)
    assert compose.main(["image"]) == code
    assert docker.asked[0] == "compose build web"
    assert docker.asked[-1] == "image inspect bechdel-platform:0.1.0 --format {{.Size}}"


def test_compose_that_names_no_image_of_ours_ends_in_one_sentence(
    docker: Docker, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.set("DOCKER_IMAGES", "")
    assert compose.main(["image"]) == 1
    assert capsys.readouterr().err == "Error: docker-compose.yml names no image bechdel-platform.\n"


def test_a_step_that_fails_ends_the_command_in_one_sentence(
    docker: Docker, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.set("DOCKER_FAILS", "compose --profile pipeline run --rm --no-deps dbt")
    assert compose.main(["train-model"]) == 1
    assert [words.split()[-1] for words in docker.asked] == ["--build", "ingest", "dbt"]
    assert capsys.readouterr().err == (
        "Error: `docker compose --profile pipeline run --rm --no-deps dbt` failed; its output is above.\n"
    )


def test_without_docker_the_other_way_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compose.main(["up"]) == 1
    assert "Without Docker: make up" in capsys.readouterr().err
