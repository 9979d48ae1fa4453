"""A database of any earlier release comes to the newest version with everything that is in it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql

import common.migrations
from common.errors import DatabaseError
from common.migrations import migrate
from tests.conftest import DatabaseMaker

Contents = dict[str, list[dict[str, object]]]  # the rows of each table


def alembic(url: str = "") -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(common.migrations.__file__).parent))
    config.attributes["url"] = url
    return config


SCRIPTS = ScriptDirectory.from_config(alembic())
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]
HEAD = REVISIONS[-1]


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    """A database without our tables."""
    maker = DatabaseMaker(postgres_server)
    url = maker()
    with psycopg.connect(url, autocommit=True) as connection:
        for schema in ("raw", "ops", "serving"):
            connection.execute(f"drop schema if exists {schema} cascade")
    yield url
    maker.drop_all()


def tables(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "select table_schema, table_name from information_schema.tables "
        "where table_schema in ('raw', 'ops', 'serving') and table_name <> 'schema_version' order by 1, 2"
    ).fetchall()  # type: ignore[return-value]


def fill(url: str) -> None:
    """A row in every table there is, with a value in every column."""
    with psycopg.connect(url) as connection:
        for schema, table in tables(connection):
            columns = connection.execute(
                "select column_name, data_type from information_schema.columns "
                "where (table_schema, table_name) = (%s, %s) and is_identity = 'NO' and is_generated = 'NEVER'",
                (schema, table),
            ).fetchall()
            connection.execute(
                sql.SQL("insert into {} ({}) values ({})").format(
                    sql.Identifier(schema, table),
                    sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns),
                    sql.SQL(", ").join(sql.Literal(example(name, kind)) for name, kind in columns),
                )
            )


def example(column: str, kind: str) -> object:
    """A value that a column takes, its checks included."""
    by_name = {"source": "sample", "vector": "{}", "verdict": "pass", "rating_probabilities": [0.1, 0.2, 0.3, 0.4]}
    by_name |= {"rows_read": 4, "dubious": 1, "degraded": ["TMDB"], "stage_seconds": "{}"}
    by_name |= {"payload": '{"title": "Zażółć"}'}
    by_name |= {"connection_id": 11}  # beside the ten that the migration makes
    by_kind = {"jsonb": "[1]", "text": "Zażółć", "boolean": True, "date": "1999-01-01"}
    by_kind |= {"timestamp with time zone": "1999-01-01 00:00:00+00", "double precision": 0.5}
    return by_name.get(column, by_kind.get(kind, 1))


def contents(url: str) -> Contents:
    with psycopg.connect(url) as connection:
        return {
            f"{schema}.{table}": [
                row
                for (row,) in connection.execute(
                    sql.SQL("select to_jsonb(t) from {} as t order by 1").format(sql.Identifier(schema, table))
                )
            ]
            for schema, table in tables(connection)
        }


def version(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("select version_num from ops.schema_version").fetchone()
    return str(row[0]) if row else ""


def test_the_revisions_are_one_chain_that_begins_with_the_first_release() -> None:
    assert REVISIONS[0] == "0001"
    assert SCRIPTS.get_heads() == [HEAD]


@pytest.mark.parametrize("release", REVISIONS)
def test_a_database_of_each_release_keeps_its_rows_and_can_be_upgraded_twice(
    empty_database: str, release: str
) -> None:
    command.upgrade(alembic(empty_database), release)
    assert version(empty_database) == release
    fill(empty_database)
    before = contents(empty_database)
    assert before
    assert all(before.values())

    for _ in range(2):
        migrate(empty_database)
        after = contents(empty_database)
        assert version(empty_database) == HEAD
        for table, rows in before.items():
            names = rows[0].keys()  # later releases may have added columns
            assert [{name: row[name] for name in names} for row in after[table]] == rows


def test_answers_that_were_compressed_lie_as_they_are_after_the_upgrade(empty_database: str) -> None:
    command.upgrade(alembic(empty_database), "0002")
    compression = "select pg_column_compression(payload), payload ->> 'overview' from raw.tmdb_movies"
    overview = "She and he. " * 500
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "insert into raw.tmdb_movies "
            "values (1, jsonb_build_object('overview', %s::text), 'file', false, 'x', now(), now())",
            [overview],
        )
        assert connection.execute(compression).fetchall() == [("pglz", overview)]

    migrate(empty_database)

    with psycopg.connect(empty_database) as connection:
        assert connection.execute(compression).fetchall() == [(None, overview)]


def test_an_upgraded_database_has_the_form_of_a_new_one(empty_database: str, database_url: str) -> None:
    for release in REVISIONS:
        command.upgrade(alembic(empty_database), release)
    assert form(empty_database) == form(database_url)


def form(url: str) -> list[tuple[object, ...]]:
    """Columns, indexes and constraints of our schemas."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select table_schema, table_name, column_name, data_type, is_nullable, column_default "
            "from information_schema.columns where table_schema in ('raw', 'ops', 'serving') "
            "union all select schemaname, tablename, indexname, indexdef, '', '' from pg_indexes "
            "where schemaname in ('raw', 'ops', 'serving') "
            "union all select n.nspname, t.relname, c.conname, pg_get_constraintdef(c.oid), '', '' "
            "from pg_constraint c join pg_class t on t.oid = c.conrelid "
            "join pg_namespace n on n.oid = t.relnamespace "
            "where n.nspname in ('raw', 'ops', 'serving') order by 1, 2, 3, 4"
        ).fetchall()


def test_a_version_of_the_future_is_refused_in_words(empty_database: str) -> None:
    migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("update ops.schema_version set version_num = '9999'")
    with pytest.raises(DatabaseError, match=r"9999.*newer one.*restore the backup"):
        migrate(empty_database)
