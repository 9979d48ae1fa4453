"""The doctor on a real database: what is missing is found, step by step."""

from pathlib import Path

import psycopg
import pytest

from common.settings import Settings
from orchestration import doctor_checks as checks
from orchestration.doctor_findings import Problem
from orchestration.runtime import Runtime


@pytest.fixture
def runtime(database_url: str) -> Runtime:
    return Runtime(Settings(_env_file=None, db_connection_string=database_url))


def execute(runtime: Runtime, statement: str) -> None:
    with psycopg.connect(runtime.settings.database_url) as connection:
        connection.execute(statement.encode())


def test_a_migrated_and_empty_database_lacks_films_and_features(runtime: Runtime) -> None:
    assert checks.check_migrations(runtime).startswith("version ")
    assert "UTF8" in checks.check_database_server(runtime)
    for check in (checks.check_films, checks.check_features):
        with pytest.raises(Problem, match=r"no film|not built"):
            check(runtime)


def test_an_older_version_of_our_tables_is_found(runtime: Runtime) -> None:
    execute(runtime, "update ops.schema_version set version_num = '0000'")
    with pytest.raises(Problem, match="version 0000") as caught:
        checks.check_migrations(runtime)
    assert "common.migrations" in caught.value.cure


def test_a_database_without_our_tables_is_found(runtime: Runtime) -> None:
    execute(runtime, "drop schema ops cascade")
    with pytest.raises(Problem, match="version nothing"):
        checks.check_migrations(runtime)


def test_another_time_zone_is_found(runtime: Runtime) -> None:
    assert checks.check_time_zone(runtime) == "UTC"
    name = runtime.settings.database_url.rsplit("/", 1)[1]
    execute(runtime, f"alter database {name} set timezone to 'Asia/Tokyo'")
    with pytest.raises(Problem, match="Asia/Tokyo"):
        checks.check_time_zone(runtime)


def test_views_that_are_not_published_are_found(runtime: Runtime) -> None:
    execute(
        runtime,
        "create schema features; create table features.ftr_movie_cast (n int); create schema online;"
        "create table online.published (feature_view text, row_count bigint)",
    )
    with pytest.raises(Problem, match="0 of 1"):
        checks.check_online_store(runtime)
    execute(runtime, "insert into online.published values ('movie_cast', 3)")
    assert checks.check_online_store(runtime) == "1 views published"


def test_connections_are_counted(runtime: Runtime) -> None:
    assert " of " in checks.check_connections(runtime)


def test_a_missing_manifest_is_found(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="dbt has not been run"):
        checks.check_manifest(runtime, tmp_path / "manifest.json")


def test_an_image_beside_a_database_that_was_built_elsewhere_needs_no_manifest(
    runtime: Runtime, tmp_path: Path
) -> None:
    execute(
        runtime, "create schema marts; create table marts.dim_movies (n int); insert into marts.dim_movies values (1)"
    )
    assert checks.check_manifest(runtime, tmp_path / "manifest.json") == "not here: dbt runs elsewhere"
