"""`python -m orchestration.roles`: our tables at the newest version, then one database role for each part.

Run it as the owner of the database, after each upgrade. A role whose password the environment names
(`INGEST_DB_PASSWORD`, `DBT_DB_PASSWORD`, ..., each also as a file: `INGEST_DB_PASSWORD_FILE`) gets it; one without a
password cannot log in over the network.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from common import cli
from common.database import address, connect
from common.errors import DatabaseError
from common.migrations import migrate
from common.secret_files import read_secret
from common.settings import load_settings

PARTS = ("ingest", "dbt", "feast", "training", "serving", "mlflow")
STATEMENTS = Path(__file__).with_name("roles.sql")


def role_name(part: str) -> str:
    """The role that a part logs in as."""
    return f"bechdel_{part}"


def password_variable(part: str) -> str:
    """The environment variable that holds the password of a part's role."""
    return f"{part.upper()}_DB_PASSWORD"


def apply_roles(url: str, passwords: Mapping[str, str]) -> None:
    """Make the roles and their grants what `roles.sql` says, in one transaction.

    Args:
        url: the database, as its owner, who must be allowed to create roles.
        passwords: by part; the others keep what they have.

    Raises:
        DatabaseError: the owner may not create roles or hand over schemas.
    """
    with connect(url) as connection:
        try:
            connection.execute("select pg_advisory_xact_lock(hashtext('bechdel.roles'))")
            connection.execute(STATEMENTS.read_text().encode())
            for part, password in passwords.items():
                _set_password(connection, role_name(part), password)
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"The user of DB_CONNECTION_STRING may not make roles in {address(url)} "
                f"({error.diag.message_primary}). Use the owner of the database, with the right CREATEROLE."
            ) from error


def _set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    """Send the password as its SCRAM hash, so that it stands in no log of the server."""
    hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(hashed)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Migrate, then make the roles."""
    argparse.ArgumentParser(
        prog="python -m orchestration.roles",
        description=(__doc__ or "").split(":", 1)[1].strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    url = load_settings().database_url
    migrate(url)
    passwords = {part: found for part in PARTS if (found := read_secret(password_variable(part), os.environ))}
    apply_roles(url, passwords)
    print(f"Tables and roles at {address(url)} are at the newest version; {len(passwords)} passwords set.")


if __name__ == "__main__":
    cli.run(main)
