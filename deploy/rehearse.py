"""Do what `docker build` would do, without Docker: run deploy/Dockerfile's steps in order in an empty folder.

    python -m deploy.rehearse FOLDER

COPY copies, ENV sets, RUN runs in a clean environment, all with the image's absolute paths
moved below FOLDER. What needs a container's root (apt-get, useradd) is said and left out.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.environment import TRUST_THIS_MACHINE

ROOT = Path(__file__).resolve().parent.parent
IMAGE_PATHS = re.compile(r"(?<![\w./])(/opt/venv|/app|/state|/artifacts|/backups|/build|/tmp)(?=[/\s:\"'?]|$)")
HOW_TO_REACH_PACKAGES = re.compile(r"HOME$|UV_|SSL_|XDG_|(HTTPS?|ALL|NO)_PROXY$", re.IGNORECASE)
LEFT_OUT = {
    "pip install": "this machine's uv is used",
    "apt-get": "needs a container's root",
}
# assumed, as it cannot be pulled here: python:3.13-slim-trixie unpacked (about 120 MB), libgomp1 and a user
BASE_MEGABYTES = 130
BYTE_CODE = 1.35  # bytes that compiling adds for each byte of Python; 1.32 measured over the locked packages, 3.11
# with the cache, by hard links and without byte code: the same files in seconds instead of minutes
HERE_INSTEAD = ((" --no-cache", ""), (" --compile-bytecode", ""), (" -o 10001 -g 10001", ""))


@dataclass
class Image:
    """A rehearsed image.

    Attributes:
        folder: its file system.
        environment: what its ENV lines say.
        workdir: where its commands run.
        command: its CMD.
        left_out: the RUN steps that were not run.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: Path = Path("/")
    command: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def here(self, text: str) -> str:
        """A text with the image's absolute paths moved below the folder."""
        return IMAGE_PATHS.sub(lambda match: f"{self.folder}{match[1]}", text)

    def environment_here(self, more: dict[str, str]) -> dict[str, str]:
        """A clean environment: the image's own and `more`, moved below the folder."""
        return {name: self.here(value) for name, value in {**self.environment, **more}.items()}

    def files(self) -> dict[str, int]:
        """Every file where a run must not write, with its time of change."""
        writable = ("/tmp", "/state", "/artifacts", "/app/dbt_project/target")  # noqa: S108 - the image's own
        return {
            str(path): path.stat().st_mtime_ns
            for top in ("app", "opt/venv")
            for path in (self.folder / top).rglob("*")
            if path.is_file() and not str(path).startswith(tuple(f"{self.folder}{name}" for name in writable))
        }


def main(arguments: list[str] | None = None) -> int:
    """Rehearse and say what was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="an empty or absent folder")
    image = build(parser.parse_args(arguments).folder)
    for step in image.left_out:
        print(f"left out: {step}")
    print(f"{image.folder}: {megabytes(image.folder)} MB; runs {shlex.join(image.command)}")
    estimate = image_megabytes(map(Path, image.files()))
    print(f"as an image about {estimate} MB, {BASE_MEGABYTES} of them assumed for its base")
    return 0


def build(folder: Path, dockerfile: Path = ROOT / "deploy" / "Dockerfile") -> Image:
    """Run the Dockerfile's steps with `folder` as the root of the file system."""
    folder.mkdir(parents=True, exist_ok=True)
    image = Image(folder.resolve())
    (image.folder / "tmp").mkdir()
    for name, rest in instructions(dockerfile.read_text()):
        _do(image, name, rest)
    return image


def instructions(text: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions: name and the rest, continued lines joined, comments dropped."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def megabytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) // 1_000_000


def image_megabytes(files: Iterable[Path]) -> int:
    """About what an image of these files takes, unpacked, with its base and the byte code left out here."""
    sizes = [(path.suffix, path.lstat().st_size) for path in files if path.suffix != ".pyc"]
    byte_code = BYTE_CODE * sum(size for suffix, size in sizes if suffix == ".py")
    return BASE_MEGABYTES + int(sum(size for _, size in sizes) + byte_code) // 1_000_000


def _do(image: Image, name: str, rest: str) -> None:
    if name == "ENV":
        image.environment |= dict(part.split("=", 1) for part in shlex.split(rest))
    elif name == "WORKDIR":
        image.workdir = Path(image.here(rest))
        image.workdir.mkdir(parents=True, exist_ok=True)
    elif name == "COPY" and "--from=" not in rest:  # the stages share one file system here
        *sources, target = rest.split()
        for source in sources:
            _copy(ROOT / source, image.workdir / target)
    elif name == "RUN":
        _run(image, rest)
    elif name == "CMD":
        image.command = [part.strip(' "') for part in rest.strip("[]").split(",")]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".env", "kaggle.json", "target", "logs")
        shutil.copytree(source, target, ignore=ignored)
        return
    target = target / source.name if target.is_dir() else target
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _run(image: Image, command: str) -> None:
    for sign, reason in LEFT_OUT.items():
        if sign in command and "uv pip" not in command:
            image.left_out.append(f"{command[:60].strip()}... ({reason})")
            return
    for theirs, ours in HERE_INSTEAD:
        command = command.replace(theirs, ours)
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    environment = {
        **image.environment_here({}),
        **TRUST_THIS_MACHINE,
        **{name: value for name, value in os.environ.items() if HOW_TO_REACH_PACKAGES.match(name)},
        "PATH": f"{image.folder}/opt/venv/bin:{Path(uv).parent}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "UV_LINK_MODE": "hardlink",
        "UV_PYTHON": sys.executable,
    }
    subprocess.run(["/bin/sh", "-ec", image.here(command)], cwd=image.workdir, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
