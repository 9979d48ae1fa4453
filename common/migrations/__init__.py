"""Versioned changes to the tables of our own (schemas raw, ops, serving), applied by Alembic.

dbt, Feast and MLflow look after their own schemas. `python -m common.migrations` brings a database to the newest
version from any earlier one; a version, once released, is never edited.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from common.database import address, connect
from common.errors import DatabaseError


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest version; nothing happens when it is there already.

    Raises:
        DatabaseError: when the server cannot be reached, or its tables are of a newer release.
    """
    with connect(url) as connection:  # a clear error first; also serialises two migrations at once
        connection.execute("select pg_advisory_xact_lock(hashtext('bechdel.migrations'))")
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent))
        config.attributes["url"] = url
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise DatabaseError(
                f"Our tables at {address(url)} cannot be brought to this release ({error}). They are of a newer one: "
                "take that release again, or restore the backup from before its upgrade (docs/operations.md)."
            ) from error
