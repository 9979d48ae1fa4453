"""Make the database passwords that docker-compose.yml asks for: `python3 deploy/passwords.py`.

They go to the end of `.env`, readable by you alone; those that are there already stay. Needs no installation.
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
)
HEADING = "# --- database passwords of the containers, made by deploy/passwords.py ---"


def main(arguments: list[str] | None = None) -> int:
    """Add what is missing and say what was added, without a value."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, default=ROOT / ".env", help="where they go (default: %(default)s)")
    file = parser.parse_args(arguments).file
    added = add_missing(file)
    print(f"{file}: {len(added)} passwords made, {len(NAMES) - len(added)} were there.")
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


if __name__ == "__main__":
    sys.exit(main())
