"""A database that cannot be reached is named together with what PostgreSQL said, in one line."""

import psycopg
import pytest

from common.database import connect, what_it_said
from common.errors import DatabaseError


def test_a_refused_connection_says_so_without_the_password() -> None:
    with pytest.raises(DatabaseError) as caught:
        connect("postgresql://me:secret@127.0.0.1:9/films")
    assert str(caught.value).startswith("PostgreSQL at 127.0.0.1:9/films cannot be reached (Connection refused). ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            'connection failed: connection to server at "::1", port 9 failed: Connection refused\n'
            "\tIs the server running on that host and accepting TCP/IP connections?",
            "Connection refused",
        ),
        (
            'connection failed: connection to server at "::1", port 9 failed: FATAL:  password authentication failed '
            'for user "me"',
            'FATAL: password authentication failed for user "me"',
        ),
        (
            "Multiple connection attempts failed. All failures were:\n- host: 'localhost', port: 9, hostaddr: '::1': "
            'connection failed: connection to server at "::1", port 9 failed: Connection refused\n\tIs the server?',
            "Connection refused",
        ),
        (
            "Multiple connection attempts failed. All failures were:\n- host: 'localhost', port: 9, hostaddr: '::1': "
            'connection failed: connection to server at "::1", port 9 failed: Connection refused\n\tIs the server?\n'
            "- host: 'localhost', port: 9, hostaddr: '127.0.0.1': connection failed: connection to server at "
            '"127.0.0.1", port 9 failed: FATAL:  password authentication failed for user "me"',
            'FATAL: password authentication failed for user "me"',
        ),
        ("failed to resolve host 'db': [Errno -2] Unknown", "failed to resolve host 'db': [Errno -2] Unknown"),
        ("connection timeout expired", "connection timeout expired"),
        ("", "no reason"),
    ],
)
def test_what_postgresql_said_is_kept(text: str, reason: str) -> None:
    assert what_it_said(psycopg.OperationalError(text)) == reason
