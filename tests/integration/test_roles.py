"""Least privilege: every part does its work as its own database role, and nothing beyond it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from common import embedded_postgres
from common.embedded_postgres import EmbeddedPostgres
from common.errors import DatabaseError
from common.migrations import migrate
from orchestration.roles import PARTS, apply_roles, role_name
from tests.conftest import ROOT, free_port

PASSWORDS = {part: f"made-up {part} $ecret'" for part in PARTS}


@pytest.fixture(scope="module")
def owner_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks for passwords; our embedded one trusts its single user, who may not make roles."""
    with pytest.MonkeyPatch.context() as patch:
        statements = embedded_postgres.FIRST_STATEMENTS + "alter role bechdel createrole;\n"
        access = "host all bechdel 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        patch.setattr(embedded_postgres, "FIRST_STATEMENTS", statements)
        patch.setattr(embedded_postgres, "HOST_BASED_ACCESS", access)
        server = EmbeddedPostgres(tmp_path_factory.mktemp("roles"), free_port())
        server.start()
    migrate(server.url)
    with psycopg.connect(server.url) as connection:  # as one role that did everything had left it
        connection.execute(
            "create schema marts; create schema feast; create table marts.old (n int);"
            "create view marts.older as select * from marts.old;"
            "create table feast.old (n int);"
        )
    apply_roles(server.url, PASSWORDS)
    apply_roles(server.url, {})  # again: nothing changes, passwords included
    yield server.url
    server.stop()


def connect_as(owner_url: str, part: str) -> psycopg.Connection:
    return psycopg.connect(owner_url, user=role_name(part), password=PASSWORDS[part])


@pytest.fixture(scope="module")
def built(owner_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pipeline's first steps, each run by its role; the URL of the owner."""
    state = tmp_path_factory.mktemp("state")
    manifest = state / "target" / "manifest.json"
    dbt = ["--project-dir", "dbt_project", "--profiles-dir", "dbt_project", "--target-path", str(manifest.parent)]
    steps: list[tuple[str, list[str]]] = [
        ("ingest", ["-m", "ingestion", "load", "--source", "sample"]),
        ("dbt", ["-m", "dbt.cli.main", "build", "--quiet", "--log-path", str(state), *dbt]),
        ("feast", ["feature_repo/publish.py", "--manifest", str(manifest)]),
    ]
    for part, arguments in steps:
        run_as(owner_url, part, arguments, state)
    return owner_url


def run_as(owner_url: str, part: str, arguments: list[str], state: Path) -> None:
    address = owner_url.split("@", 1)[1]
    password = PASSWORDS[part].replace(" ", "%20").replace("$", "%24").replace("'", "%27")
    environment = {
        **os.environ,
        "DB_CONNECTION_STRING": f"postgresql://{role_name(part)}:{password}@{address}",
        "STATE_DIR": str(state),
        "SAMPLE_FILMS": "300",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_each_part_logs_in_with_its_own_password_only(owner_url: str) -> None:
    for part in PARTS:
        connect_as(owner_url, part).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(owner_url, user=role_name("dbt"), password=PASSWORDS["serving"])


def test_a_password_needs_nothing_but_its_hash_on_the_wire(owner_url: str) -> None:
    apply_roles(owner_url, {"mlflow": PASSWORDS["mlflow"]})
    connect_as(owner_url, "mlflow").close()


ALLOWED = [
    ("ingest", "delete from raw.movies where tmdbid = 0"),
    ("dbt", "select count(*) from raw.movies"),
    ("dbt", "create table marts.another (n int)"),
    ("training", "create temporary table films as select movie_id from features.lbl_movie_bechdel_rating"),
    ("training", "select count(*) from feast.feature_views"),
    ("serving", "update raw.tmdb_movies set source = source where tmdb_id = 0"),
    ("serving", "select count(*) from live.live_movie_cast where movie_id = 900000001"),
    ("serving", "select count(*) from marts.dim_movies, features.lbl_movie_bechdel_rating"),
    ("serving", "select count(*) from online.published"),
    ("mlflow", "create table experiments (n int)"),
]


@pytest.mark.parametrize(("part", "statement"), ALLOWED)
def test_a_part_may_do_its_own_work(built: str, part: str, statement: str) -> None:
    with connect_as(built, part) as connection:
        connection.execute(statement.encode())
        connection.rollback()


FORBIDDEN = [
    ("ingest", "select 1 from features.lbl_movie_bechdel_rating"),
    ("ingest", "drop table raw.movies"),
    ("ingest", "truncate raw.movies"),
    ("dbt", "delete from raw.movies"),
    ("dbt", "insert into online.published values ('x', 'y', 1)"),
    ("feast", "update features.lbl_movie_bechdel_rating set bechdel_rating = 3"),
    ("feast", "select 1 from raw.tmdb_movies"),
    ("training", "delete from raw.movies"),
    ("training", "update raw.movies set bt_score = 3"),
    ("training", "select 1 from raw.tmdb_movies"),
    ("training", "update features.lbl_movie_bechdel_rating set bechdel_rating = 3"),
    ("training", "delete from feast.feature_views"),
    ("training", "select 1 from online.published"),
    ("serving", "update features.ftr_movie_cast set movie_id = 0"),
    ("serving", "update features.lbl_movie_bechdel_rating set bechdel_rating = 3"),
    ("serving", "drop table features.lbl_movie_bechdel_rating"),
    ("serving", "delete from raw.tmdb_movies"),
    ("serving", "update raw.movies set bt_score = 3"),
    ("serving", "delete from online.published"),
    ("serving", "delete from feast.feature_views"),
    ("serving", "create table marts.mine (n int)"),
    ("serving", "create table public.mine (n int)"),
    ("serving", "create temporary table mine (n int)"),
    ("serving", "create schema mine"),
    ("mlflow", "select 1 from raw.movies"),
    ("mlflow", "select 1 from features.ftr_movie_cast"),
    ("mlflow", "create table public.mine (n int)"),
    *[(part, "select 1 from ops.step_runs") for part in PARTS],
    *[(part, "create role mine superuser") for part in PARTS],
    *[(part, "copy (select 1) to program 'true'") for part in PARTS],
    *[(part, "set role bechdel") for part in PARTS],
]


@pytest.mark.parametrize(("part", "statement"), FORBIDDEN)
def test_a_part_may_do_nothing_else(built: str, part: str, statement: str) -> None:
    with connect_as(built, part) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_what_one_role_had_made_is_handed_over(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        owners = connection.execute(
            "select distinct schemaname, tableowner from pg_tables where schemaname in ('marts', 'feast') "
            "union select schemaname, viewowner from pg_views where schemaname = 'marts' order by 1"
        ).fetchall()
    assert owners == [("feast", "bechdel_feast"), ("marts", "bechdel_dbt")]


def test_a_grant_that_is_no_longer_written_goes(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "grant usage on schema ops to bechdel_serving; grant all on all tables in schema ops to bechdel_serving"
        )
    apply_roles(owner_url, {})
    with connect_as(owner_url, "serving") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select 1 from ops.step_runs")


def test_who_may_not_make_roles_is_told_what_is_needed(database_url: str) -> None:
    with pytest.raises(DatabaseError, match="CREATEROLE"):
        apply_roles(database_url, {})
