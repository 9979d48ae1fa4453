"""Refresh the platform every day: delete what is too old, load, build, publish, train, each as its own database role.

`docker compose --profile scheduler up -d` runs this; Kubernetes has a CronJob instead
(deploy/kubernetes/base/pipeline.yaml).
"""

import argparse
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit, urlunsplit

from common import cli
from common.errors import SettingsError
from common.logs import configure_logging
from common.secret_files import read_secret

logger = logging.getLogger("refresh")

DBT = ("dbt", "build", "--project-dir", "dbt_project", "--profiles-dir", "dbt_project")


@dataclass(frozen=True)
class RefreshStep:
    """One command, and the part whose database role runs it; without an optional one the others go on."""

    part: str
    command: tuple[str, ...]
    is_optional: bool = False


STEPS = (
    # first: what has to go by TMDB's terms goes also on a day when a later step fails, and dbt builds without it
    RefreshStep("serving", (sys.executable, "-m", "serving", "expire"), is_optional=True),
    RefreshStep("ingest", (sys.executable, "-m", "ingestion", "load")),
    RefreshStep("dbt", DBT),
    RefreshStep("feast", (sys.executable, "feature_repo/publish.py")),
    RefreshStep("training", (sys.executable, "-m", "training", "--report", "/state/evaluation.json", "train")),
)


def main(arguments: list[str] | None = None) -> int:
    """Refresh at a time of day, every day, or once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--at", default="03:30", help="time of day, UTC (default: %(default)s)")
    parser.add_argument("--once", action="store_true", help="now, and only once; the exit code tells how it went")
    options = parser.parse_args(arguments)
    configure_logging(os.environ.get("LOG_LEVEL", "INFO"))
    if options.once:
        return 0 if refresh(os.environ) else 1
    while True:
        seconds = seconds_until(options.at, datetime.now(UTC))
        logger.info("next refresh at=%s in_seconds=%d", options.at, seconds)
        time.sleep(seconds)
        refresh(os.environ)  # a failed day leaves yesterday's model serving; the next day tries again


def seconds_until(at: str, now: datetime) -> float:
    """Seconds from `now` to the next time the clock shows `at` (HH:MM, UTC)."""
    hour, minute = (int(part) for part in at.split(":"))
    planned = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if planned <= now:
        planned += timedelta(days=1)
    return (planned - now).total_seconds()


def refresh(environment: Mapping[str, str]) -> bool:
    """Run the steps in order until one that is needed fails; returns whether all worked."""
    all_worked = True
    for step in STEPS:
        started = time.monotonic()
        done = subprocess.run(step.command, env=environment_of(step, environment), check=False)
        seconds = time.monotonic() - started
        if done.returncode != 0:
            logger.error("step=%s failed code=%d seconds=%.1f", step.part, done.returncode, seconds)
            all_worked = False
            if not step.is_optional:
                break
        else:
            logger.info("step=%s done seconds=%.1f", step.part, seconds)
    return all_worked


def environment_of(step: RefreshStep, environment: Mapping[str, str]) -> dict[str, str]:
    """A step's environment: the connection of its own role, and nobody's password beside it."""
    variable = f"{step.part.upper()}_DB_PASSWORD"
    password = read_secret(variable, environment)
    if password is None:
        raise SettingsError(f"{variable} is not set, nor {variable}_FILE. Run python3 deploy/passwords.py.")
    server = urlsplit(environment["DB_CONNECTION_STRING"])
    login = f"bechdel_{step.part}:{quote(password, safe='')}@{server.netloc}"
    others = r"\w+_DB_PASSWORD(_FILE)?" if step.part == "training" else r"(\w+_DB|MLFLOW_TRACKING)_PASSWORD(_FILE)?"
    kept = {name: value for name, value in environment.items() if not re.fullmatch(others, name)}
    return {**kept, "DB_CONNECTION_STRING": urlunsplit(server._replace(netloc=login))}


if __name__ == "__main__":
    cli.run(main)
