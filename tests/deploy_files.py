"""What the tests of deploy/ share: the tools, and the files as the tools read them."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
SECRETS = (
    *(f"{part}_DB_PASSWORD" for part in ("OWNER", "INGEST", "DBT", "FEAST", "TRAINING", "SERVING", "MLFLOW")),
    *(f"MLFLOW_{part}_PASSWORD" for part in ("ADMIN", "TRAINING", "SERVING")),
)
NOT_SETTINGS = re.compile(r"\w+_DB_PASSWORD|POSTGRES_\w+|MLFLOW_(TRAINING|SERVING)_PASSWORD|DB_HOST|DB_PARAMETERS")
FIXED_IN_THE_IMAGE = {"HOST", "PORT", "STATE_DIR"}
NOT_FOR_CONTAINERS = {"EMBEDDED_DB_PORT", "MLFLOW_PORT"}  # the embedded server and our own MLflow process


def tool(name: str) -> str:
    """Path of a checker, from the development environment; skips where its wheel does not exist."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: its wheel exists for Linux and macOS only (make install-dev)")
    return found


def run(name: str, *arguments: str, **environment: str) -> str:
    """Standard output of a checker that must be content."""
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), **environment}  # noqa: S108
    done = subprocess.run(
        [tool(name), *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@functools.cache
def compose() -> dict[str, Any]:
    """docker-compose.yml as Docker Compose itself reads it, with made-up secrets and nothing else set."""
    secrets = {name: f"{name.lower()}-value" for name in SECRETS}
    text = run("docker-compose", "--env-file", "/dev/null", "--profile", "*", "config", "--format", "json", **secrets)
    config: dict[str, Any] = json.loads(text)
    return config


@functools.cache
def compose_with_files() -> dict[str, Any]:
    """The same with every password in a file, as deploy/secrets.env has it."""
    text = run("docker-compose", "--env-file", "deploy/secrets.env", "--profile", "*", "config", "--format", "json")
    config: dict[str, Any] = json.loads(text)
    return config


@functools.cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    """The objects of a kustomize overlay, as kubectl renders them."""
    return list(yaml.safe_load_all(run("kubectl", "kustomize", f"deploy/kubernetes/overlays/{overlay}")))
