"""`python -m common.migrations`: bring our tables in the database in use to the newest version."""

import argparse
from collections.abc import Sequence

from common import cli
from common.database import address
from common.migrations import migrate
from common.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(prog="python -m common.migrations", description=(__doc__ or "").split(":")[1]).parse_args(
        arguments
    )
    url = load_settings().database_url
    migrate(url)
    print(f"Our tables at {address(url)} are at the newest version.")


if __name__ == "__main__":
    cli.run(main)
