"""What `make ... ENGINE=docker` calls: the platform in containers by `docker compose`. Needs no installation.

python3 deploy/compose.py up            everything: services, films, features, a model
python3 deploy/compose.py init-infra    the services alone
python3 deploy/compose.py train-model   load, build, publish, train
python3 deploy/compose.py image         build the image and measure it
python3 deploy/compose.py down          stop; the data stay (docker compose down --volumes deletes them)
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 180.0
IMAGE = "bechdel-platform"
LARGEST_IMAGE = 1_500_000_000  # bytes, unpacked

PASSWORDS = (sys.executable, str(ROOT / "deploy" / "passwords.py"))
INFRA = (("up", "--detach", "--build"),)
PIPELINE = (
    ("--profile", "pipeline", "run", "--rm", "--no-deps", "ingest"),
    ("--profile", "pipeline", "run", "--rm", "--no-deps", "dbt"),
    ("--profile", "pipeline", "run", "--rm", "--no-deps", "features"),
    ("--profile", "pipeline", "run", "--rm", "--no-deps", "train"),
)
COMMANDS = {
    "up": (*INFRA, *PIPELINE),
    "init-infra": INFRA,
    "train-model": (*INFRA, *PIPELINE),
    "image": (("build", "web"),),
    "down": (("--profile", "*", "down"),),
    "status": (("--profile", "*", "ps", "--all"),),
    "logs": (("--profile", "*", "logs", "--tail", "15"),),
}


class EngineError(Exception):
    """Docker cannot do it; the text says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s COMMAND"
    )
    parser.add_argument("command", choices=sorted(COMMANDS))
    command = parser.parse_args(arguments).command
    try:
        check_engine()
        if command in {"up", "init-infra", "train-model", "image"}:
            run(PASSWORDS)
        for step in COMMANDS[command]:
            run(["docker", "compose", *step])
        if command in {"up", "init-infra"}:
            wait_for_page("/readyz" if command == "up" else "/healthz")
        if command == "image":
            check_size(find_image(capture("docker", "compose", "config", "--images", "web").splitlines()))
    except EngineError as problem:
        print(f"Error: {problem}", file=sys.stderr)
        return 1
    return 0


def check_engine() -> None:
    """Refuse with one sentence where there is no Docker that answers."""
    if shutil.which("docker") is None:
        raise EngineError("ENGINE=docker needs Docker with its compose plugin. Without Docker: make up")
    for command, cure in (
        (("docker", "compose", "version"), "Docker's compose plugin is missing: install docker-compose-plugin."),
        (("docker", "info"), "The Docker engine does not answer: start it, or join the group docker."),
    ):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            raise EngineError(cure)


def run(command: Sequence[str]) -> None:
    """Run a step with its output on the screen."""
    print("$ " + " ".join(command), flush=True)
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise EngineError(f"`{' '.join(command)}` failed; its output is above.")


def capture(*command: str) -> str:
    """What a step prints."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def find_image(images: Sequence[str]) -> str:
    """Ours among the images of a service and of those that it depends on, which come in any order."""
    ours = [image for image in images if IMAGE in image]
    if not ours:
        raise EngineError(f"docker-compose.yml names no image {IMAGE}.")
    return ours[0]


def check_size(image: str) -> None:
    """Refuse an image that has grown too large."""
    size = int(capture("docker", "image", "inspect", image, "--format", "{{.Size}}") or 0)
    print(f"{image}: {size / 1e9:.2f} GB unpacked")
    if not 0 < size < LARGEST_IMAGE:
        raise EngineError(f"{image} must be there and smaller than {LARGEST_IMAGE / 1e9:.1f} GB. What is new in it?")


def wait_for_page(path: str) -> None:
    """Wait until the server answers where compose published it."""
    where = capture("docker", "compose", "port", "web", "5000")
    url = f"http://{where.replace('0.0.0.0', '127.0.0.1')}"  # noqa: S104 - what is read, not bound
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if answers(url + path):
            print(f"\nPage     {url}\nAPI      {url}/openapi.json\n\nStop with `make down ENGINE=docker`.")
            return
        time.sleep(1)
    raise EngineError(f"The server at {url} does not answer: docker compose logs web")


def answers(url: str) -> bool:
    """Whether a GET gives 200 with JSON."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own http address
            json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
