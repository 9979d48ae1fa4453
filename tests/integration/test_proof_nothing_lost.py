"""A build that fails or is killed leaves what Feast, training and serving read; the next one completes."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from feast import FeatureStore

from tests.feature_films import (
    FULL_PAYLOAD,
    ROOT,
    Project,
    add_payload,
    add_rated_film,
    fill_raw_tables,
    open_store,
)

pytestmark = [
    # Feast's and its dependencies' own; none of them is about what we call
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

CONTENT = """
    select md5(string_agg(film::text, ' ' order by movie_id)) as content
    from features.ftr_movie_cast as film
    inner join features.ftr_movie_text using (movie_id)
    inner join features.ftr_movie_history using (movie_id)
    inner join marts.dim_movies using (movie_id)
"""
# Where programs are killed differs from run to run; a failure names the seed, which sets it for a repetition.
KILL_SEED = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
KILLS = 3
# An apply of a new column writes 34 rows; what it wrote before a kill, the next one does not write again.
REGISTRY_WRITES = 8
APPLIES = (Project.start_apply_by_hand, Project.start_publish, Project.start_apply_by_hand)
STOP_AT_WRITE = """
    create sequence registry_writes;
    create function stop_at_write() returns trigger language plpgsql as $$
    begin
        if nextval('public.registry_writes') = {} then
            perform pg_advisory_lock(1);
        end if;
        return new;
    end $$;
    do $$
    declare
        name text;
    begin
        for name in select tablename from pg_tables where schemaname = 'feast' loop
            execute format(
                'create trigger stop before insert or update on feast.%I for each row execute function %I()',
                name, 'stop_at_write'
            );
        end loop;
    end $$;
"""
ALWAYS_FAILS = "select movie_id from {{ ref('ftr_movie_genre') }}"


@pytest.fixture(scope="module")
def project(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Hand-made films, built and published, with a dbt project of their own that may be spoiled."""
    fill_raw_tables(module_database_url)
    folder = copy_of_the_project(tmp_path_factory.mktemp("project"))
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"), folder)
    built.run()
    built.publish()
    return built


@pytest.fixture(scope="module")
def store(project: Project) -> Iterator[FeatureStore]:
    with open_store(project.database_url) as opened:
        yield opened


def copy_of_the_project(folder: Path) -> Path:
    return shutil.copytree(
        ROOT / "dbt_project", folder / "dbt_project", ignore=shutil.ignore_patterns("target", "logs")
    )


def content(project: Project) -> str:
    """Hash of what is published; it fails where a table is missing."""
    (row,) = project.rows(CONTENT)
    return str(row["content"])


def live_cast_size(project: Project, movie_id: int) -> int:
    (row,) = project.rows("select cast_members_count from live.live_movie_features where movie_id = %s", [movie_id])
    return int(row["cast_members_count"])


def served_cast_size(store: FeatureStore, movie_id: int) -> int | None:
    answer = store.get_online_features(
        features=["movie_cast:cast_members_count"], entity_rows=[{"movie_id": movie_id}]
    )
    (size,) = answer.to_dict()["cast_members_count"]
    return size


def add_film(project: Project, movie_id: int) -> None:
    with psycopg.connect(project.database_url) as connection:
        add_rated_film(connection, movie_id, title=f"Film {movie_id}")
        add_payload(connection, movie_id, FULL_PAYLOAD)


def test_build_with_a_failing_test_publishes_nothing(project: Project) -> None:
    before = content(project)
    add_film(project, 11)
    spoiler = project.folder / "tests" / "always_fails.sql"
    spoiler.parent.mkdir(exist_ok=True)
    spoiler.write_text(ALWAYS_FAILS)
    done = project.dbt("build", "--exclude-resource-type", "unit_test", "--exclude", "test_type:generic")
    spoiler.unlink()
    assert done.returncode == 1
    assert "Nothing was published, the last good tables stay" in done.stdout
    assert content(project) == before
    assert live_cast_size(project, 11) == 4  # the live view goes on
    project.run()
    assert content(project) != before


def test_changed_columns_are_published_with_the_views_that_read_them(project: Project) -> None:
    """A track record with a new column: its table is made anew, and the live view on it is there afterwards."""
    with new_genre_column(project):
        build_genre(project)
        (row,) = project.rows("select genre_new_count from features.ftr_movie_genre where movie_id = 1")
        assert row["genre_new_count"] == 1
        assert project.rows("select genre_new_count from live.live_movie_features where movie_id = 1") == [row]
    build_genre(project)
    assert "genre_new_count" not in project.rows("select * from features.ftr_movie_genre where movie_id = 1")[0]


def test_part_of_the_project_is_published_alone_and_unchanged_rows_are_not_touched(project: Project) -> None:
    query = "select movie_id, xmin::text from features.ftr_movie_cast order by movie_id"
    before = project.rows(query)
    add_film(project, 12)
    build_cast(project)
    after = project.rows(query)
    assert [row for row in after if row["movie_id"] != 12] == before
    assert len(after) == len(before) + 1
    assert live_cast_size(project, 12) == 4


def test_build_killed_at_any_moment_leaves_the_last_good_tables_and_the_next_completes(project: Project) -> None:
    before = content(project)
    add_film(project, 21)
    after_kill = {}
    for line in random_places(1, 200):  # two lines for each of 35 tables and 82 tests, and what surrounds them
        where = kill_at_line(project.start_dbt("build", "--exclude-resource-type", "unit_test"), line)
        wait_for_the_server_to_notice(project)
        after_kill[where] = content(project)
        assert live_cast_size(project, 21) == 4, where
    project.run()
    for where, found in after_kill.items():
        assert found in (before, content(project)), where  # all or nothing
    assert project.rows("select from features.ftr_movie_cast where movie_id = 21"), after_kill


def test_build_killed_in_the_middle_publishes_all_or_nothing(project: Project) -> None:
    before = content(project)
    add_film(project, 22)
    for lock in (
        "build_features.ftr_movie_cast in access share mode",  # while it builds
        "features.ftr_movie_cast in share row exclusive mode",  # while it publishes
    ):
        with held(project, lock):
            kill_when_blocked(project, project.start_dbt("run"))
            assert content(project) == before, lock
        wait_for_the_server_to_notice(project)
        after_kill = content(project)
        assert live_cast_size(project, 22) == 4, lock
    project.run()
    assert after_kill in (before, content(project))
    assert project.rows("select from features.ftr_movie_cast where movie_id = 22")


def test_publishing_killed_at_any_moment_leaves_the_last_good_values_online_and_the_next_completes(
    project: Project, store: FeatureStore
) -> None:
    add_film(project, 31)
    build_cast(project)
    for line in random_places(2, 10):  # one line for what is applied, and one for each of twelve views
        where = kill_at_line(project.start_publish(), line)
        store.refresh_registry()
        assert served_cast_size(store, 1) == 4, where
        assert served_cast_size(store, 31) in (None, 4), where
    project.publish()
    assert served_cast_size(store, 31) == 4


def test_apply_killed_in_the_middle_of_a_new_column_leaves_the_service_readable(project: Project) -> None:
    with new_genre_column(project):
        build_genre(project)
        kill_at_lock(project, "online.bechdel_movie_genre in access share mode")  # it widens the table
        for write, start in zip(random_places(3, REGISTRY_WRITES), APPLIES, strict=True):
            with stopped_at(project, write):
                kill_when_blocked(project, start(project))
            wait_for_the_server_to_notice(project)
            assert served_genres(project, 1) == 2, f"KILL_SEED={KILL_SEED}, at write {write} of {start.__name__}"
        kill_at_lock(project, "feast.feature_services in exclusive mode")
        kill_at_lock(project, "online.published in share mode")
        project.publish()
        assert served_genres(project, 1) == 2
        assert project.rows("select genre_new_count from online.bechdel_movie_genre where movie_id = 1") == [
            {"genre_new_count": 1}
        ]


def kill_at_lock(project: Project, lock: str) -> None:
    """Kill `publish.py` when it comes to the lock; the service can be read as before."""
    with held(project, lock):
        kill_when_blocked(project, project.start_publish())
    wait_for_the_server_to_notice(project)
    assert served_genres(project, 1) == 2, lock


@contextmanager
def stopped_at(project: Project, write: int) -> Iterator[None]:
    """Whoever writes so many rows into Feast's registry waits there."""
    with psycopg.connect(project.database_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(1)")
        connection.execute(STOP_AT_WRITE.format(write))  # type: ignore[arg-type]
        try:
            yield
        finally:
            connection.execute("select pg_advisory_unlock(1)")  # who waits there goes on, and gives its locks back
            connection.execute("drop function stop_at_write cascade; drop sequence registry_writes")


@contextmanager
def new_genre_column(project: Project) -> Iterator[None]:
    """The project with one more feature of a film."""
    macro = project.folder / "macros" / "movie_genre_features.sql"
    contract = project.folder / "models" / "features" / "ftr_movie_genre.yml"
    kept = {path: path.read_text() for path in (macro, contract)}
    macro.write_text(kept[macro].replace("genre_count\n", "genre_count,\n        1::bigint as genre_new_count\n"))
    meta = "{meta: {family: genre, sentence: New}}"
    column = f"      - {{name: genre_new_count, data_type: bigint, description: New., config: {meta}}}\n"
    contract.write_text(kept[contract] + column)
    try:
        yield
    finally:
        for path, text in kept.items():
            path.write_text(text)


def build_genre(project: Project) -> None:
    build_part(project, "ftr_movie_genre", "live_movie_features")


def build_cast(project: Project) -> None:
    build_part(project, "stg_kaggle__movies", "stg_tmdb__movies", "int_movies_unioned", "ftr_movie_cast")


def build_part(project: Project, *models: str) -> None:
    done = project.dbt("run", "--select", *models)
    assert done.returncode == 0, done.stdout


def served_genres(project: Project, movie_id: int) -> int:
    """What a server that starts now gets for a film from the model's service."""
    with open_store(project.database_url) as store:
        service = store.get_feature_service("movie_bechdel_v1")
        answer = store.get_online_features(features=service, entity_rows=[{"movie_id": movie_id}])
        return int(answer.to_dict()["genre_count"][0])


@contextmanager
def held(project: Project, lock: str) -> Iterator[None]:
    """A table that is locked, so that whoever comes there waits."""
    with psycopg.connect(project.database_url) as connection:
        connection.execute(f"lock table {lock}".encode())
        yield


def others(project: Project, condition: str) -> list[dict[str, Any]]:
    """Who else is connected and is in this state."""
    query = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and "
    return project.rows(query + condition)


def kill_when_blocked(project: Project, process: subprocess.Popen[bytes]) -> None:
    """End it without a warning when it waits at the lock."""
    deadline = time.monotonic() + 120
    while not others(project, "wait_event_type = 'Lock'"):
        assert process.poll() is None, "it ended before it came to the lock"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def wait_for_the_server_to_notice(project: Project) -> None:
    """A statement that was sent is finished although nobody waits for it."""
    deadline = time.monotonic() + 30
    while others(project, "state = 'active'"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def random_places(which: int, last: int) -> list[int]:
    """At which lines of its output, or at which of its writes, a program is killed."""
    return sorted(random.Random(KILL_SEED + which).sample(range(1, last + 1), KILLS))


def kill_at_line(process: subprocess.Popen[bytes], line: int) -> str:
    """End it without a warning when it has printed so many lines; says where that was."""
    where = f"KILL_SEED={KILL_SEED}, after line {line}"
    assert process.stdout is not None
    with process.stdout as output:
        for number, text in enumerate(output, start=1):
            if number == line:
                assert process.poll() is None, f"{where}: it had ended by itself"
                process.kill()
                where = f"{where}: {text.decode().strip()}"
                break
        else:
            pytest.fail(f"{where}: it printed less and ended by itself")
    assert process.wait() == -signal.SIGKILL, where
    return where
