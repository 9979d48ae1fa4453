"""`python -m common.migrations`: bring our tables in the database in use to the newest version."""

from common import cli
from common.database import address
from common.migrations import migrate
from common.settings import load_settings


def main() -> None:
    url = load_settings().database_url
    migrate(url)
    print(f"Our tables at {address(url)} are at the newest version.")


if __name__ == "__main__":
    cli.run(main)
