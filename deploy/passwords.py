"""Make the passwords that docker-compose.yml asks for, of database and MLflow: `python3 deploy/passwords.py`.

They go to the end of `.env`, readable by you alone; those that are there already stay. With `--files` each goes to a
file of its own in deploy/secrets, for `docker compose --env-file deploy/secrets.env`. Needs no installation.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "OWNER_DB_PASSWORD",
    "INGEST_DB_PASSWORD",
    "DBT_DB_PASSWORD",
    "FEAST_DB_PASSWORD",
    "TRAINING_DB_PASSWORD",
    "SERVING_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "MLFLOW_ADMIN_PASSWORD",
    "MLFLOW_TRAINING_PASSWORD",
    "MLFLOW_SERVING_PASSWORD",
)
HEADING = "# --- passwords of the containers, made by deploy/passwords.py ---"
SECRETS = ROOT / "deploy" / "secrets"


def main(arguments: list[str] | None = None) -> int:
    """Add what is missing and say what was added, without a value."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, default=ROOT / ".env", help="where they go (default: %(default)s)")
    parser.add_argument(
        "--files", type=Path, nargs="?", const=SECRETS, metavar="FOLDER", help=f"one file each (default: {SECRETS})"
    )
    options = parser.parse_args(arguments)
    where = options.files or options.file
    added = add_missing_files(where) if options.files else add_missing(where)
    print(f"{where}: {len(added)} passwords made, {len(NAMES) - len(added)} were there.")
    return 0


def add_missing(file: Path) -> list[str]:
    """Append a password for each name that the file does not set; returns those names."""
    text = file.read_text() if file.exists() else ""
    missing = [name for name in NAMES if not re.search(rf"^{name}=\S", text, re.MULTILINE)]
    file.touch(mode=0o600)
    file.chmod(0o600)
    if missing:
        # URL-safe characters only: each password stands inside a DB_CONNECTION_STRING
        lines = [HEADING, *(f"{name}={secrets.token_urlsafe(32)}" for name in missing)]
        separator = "" if not text or text.endswith("\n") else "\n"
        file.write_text(text + separator + "\n".join(lines) + "\n")
    return missing


def add_missing_files(folder: Path) -> list[str]:
    """Write a file for each password that has none; returns their names.

    Nobody else enters the folder. The files themselves can be read by all: a container sees only those that it is
    given, and runs as a user that this machine does not know.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    missing = [name for name in NAMES if not (folder / name.lower()).exists()]
    for name in missing:
        (folder / name.lower()).write_text(secrets.token_urlsafe(32))
        (folder / name.lower()).chmod(0o444)
    return missing


if __name__ == "__main__":
    sys.exit(main())
