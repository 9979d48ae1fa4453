"""The online store and the compute engine: Feast's behaviours, the guard, the ttl, kills, readers during a run."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Int64List, Value
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp

from feast_stores.compute_engine import PostgresComputeEngine

MOVIE = Entity(name="movie", join_keys=["movie_id"], value_type=ValueType.INT64)
PERSON = Entity(name="person", join_keys=["person_name"], value_type=ValueType.STRING)
NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = datetime(1870, 1, 1, tzinfo=UTC)
BIG = 2**62 + 1  # a float would round it

TYPES = {
    "big": (Int64, "bigint"), "small": (Int32, "int"), "double": (Float64, "float8"), "single": (Float32, "float4"),
    "flag": (Bool, "boolean"), "words": (String, "text"), "moment": (UnixTimestamp, "timestamptz"),
    "raw": (Bytes, "bytea"),
}  # fmt: skip


@dataclass
class Lab:
    """One repository on one database."""

    url: str
    connection: psycopg.Connection[Any]
    stores: list[FeatureStore] = field(default_factory=list)

    def config(self, project: str = "lab", engine: str = "ours") -> dict[str, Any]:
        engines = {"ours": "feast_stores.compute_engine.PostgresComputeEngine", "feast": "local"}
        offline, online = "PointInTimePostgresOfflineStore", "WidePostgresOnlineStore"
        return {
            "project": project,
            "registry": {"registry_type": "feast_stores.registry.PostgresRegistry", "path": self.url},
            "offline_store": {"type": f"feast_stores.offline_store.{offline}", "connection": self.url},
            "online_store": {
                "type": f"feast_stores.online_store.{online}", "connection": self.url, "db_schema": "online",
            },
            "batch_engine": {"type": engines[engine]},
        }  # fmt: skip

    def store(self, project: str = "lab", engine: str = "ours") -> FeatureStore:
        self.stores.append(FeatureStore(config=RepoConfig(**self.config(project, engine))))
        return self.stores[-1]

    def close(self) -> None:
        for store in self.stores:
            store.registry.write_engine.dispose()
            store._get_provider().online_store.disconnect()

    def fill(self, *rows: tuple[Any, ...]) -> None:
        """Replace the source's rows: movie_id, event time, created time, score."""
        self.connection.execute("truncate scores")
        with self.connection.cursor() as cursor:
            cursor.executemany("insert into scores values (%s, %s, %s, %s)", rows)


@pytest.fixture
def lab(database_url: str) -> Iterator[Lab]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create table scores (movie_id bigint, event_time timestamptz, created_time timestamptz, score bigint)"
        )
        made = Lab(database_url, connection)
        yield made
        made.close()


def score_view(ttl: timedelta = timedelta(0), *fields: Field) -> FeatureView:
    return FeatureView(
        name="movie_score",
        entities=[MOVIE],
        ttl=ttl,
        schema=[Field(name="score", dtype=Int64), *fields],
        source=PostgreSQLSource(
            name="scores", table="scores", timestamp_field="event_time", created_timestamp_column="created_time"
        ),
    )


def read(store: FeatureStore, *movie_ids: int | None) -> list[int | None]:
    rows = [{"movie_id": movie_id} for movie_id in movie_ids]
    scores: list[int | None] = store.get_online_features(["movie_score:score"], rows).to_dict()["score"]
    return scores


def key(movie_id: int) -> EntityKey:
    return EntityKey(join_keys=["movie_id"], entity_values=[Value(int64_val=movie_id)])


def write(store: FeatureStore, view: FeatureView, *rows: tuple[int, int, datetime, datetime | None]) -> None:
    data = [(key(movie), {"score": Value(int64_val=score)}, event, created) for movie, score, event, created in rows]
    store._get_provider().online_write_batch(store.config, view, data, progress=None)


@pytest.mark.parametrize("engine", ["ours", "feast"])
def test_values_of_every_type_come_back_as_they_were(lab: Lab, engine: str) -> None:
    columns = ", ".join(f"{name} {sql_type}" for name, (_, sql_type) in TYPES.items())
    lab.connection.execute(f"create table typed (movie_id bigint, event_time timestamptz, {columns})")
    values = {
        "big": BIG if engine == "ours" else 2**52,  # Feast's own way makes floats of integers beside nulls
        "small": -(2**31), "double": 0.1, "single": 0.5, "flag": False, "words": "É'\"", "moment": NOW,
        "raw": b"\x00\xff",
    }  # fmt: skip
    places = ", ".join(["%s"] * (len(values) + 2))
    lab.connection.execute(f"insert into typed values ({places})", [1, NOW, *values.values()])  # noqa: S608
    lab.connection.execute("insert into typed (movie_id, event_time) values (2, now())")
    view = FeatureView(
        name="typed",
        entities=[MOVIE],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=feast_type) for name, (feast_type, _) in TYPES.items()],
        source=PostgreSQLSource(name="typed", table="typed", timestamp_field="event_time"),
    )
    store = lab.store(engine=engine)
    store.apply([MOVIE, view])
    store.materialize(LONG_AGO, datetime.now(UTC) + timedelta(hours=1))
    answer = store.get_online_features(
        [f"typed:{name}" for name in TYPES], [{"movie_id": 1}, {"movie_id": 2}]
    ).to_dict()
    for name, value in values.items():
        found = answer[name][0]
        assert (found.replace(tzinfo=UTC) if name == "moment" else found) == value, name
        assert type(found) is type(value), name
        assert answer[name][1] is None, name


def test_the_newest_row_of_the_span_is_served(lab: Lab) -> None:
    store = lab.store()
    store.apply([MOVIE, score_view()])
    early, late = NOW - timedelta(days=2), NOW - timedelta(days=1)
    lab.fill((1, early, NOW, 10), (1, late, early, 20), (1, late, NOW, 21), (1, NOW + timedelta(days=9), NOW, 99),
             (None, late, NOW, 5))  # fmt: skip
    store.materialize(LONG_AGO, NOW)
    assert read(store, 1, 7, 1) == [21, None, 21]


def test_an_older_backfill_never_overwrites_a_newer_value(lab: Lab) -> None:
    view = score_view()
    store = lab.store()
    store.apply([MOVIE, view])
    write(store, view, (1, 20, NOW, NOW))
    lab.fill((1, NOW - timedelta(days=3), NOW, 10))
    store.materialize(LONG_AGO, NOW)
    write(store, view, (1, 11, NOW - timedelta(days=1), NOW))
    assert read(store, 1) == [20]
    write(store, view, (1, 12, NOW, NOW - timedelta(days=1)))  # as old, but written earlier
    assert read(store, 1) == [20]
    write(store, view, (1, 30, NOW, NOW), (1, 31, NOW + timedelta(seconds=1), None), (1, 29, NOW, None))
    assert read(store, 1) == [31]


def test_expired_values_are_not_served_and_say_why(lab: Lab) -> None:
    view = score_view(timedelta(days=1))
    store = lab.store()
    store.apply([MOVIE, view])
    write(store, view, (1, 10, NOW - timedelta(hours=1), None), (2, 20, NOW - timedelta(days=2), None))
    assert read(store, 1, 2) == [10, None]
    response = store.get_online_features(["movie_score:score"], [{"movie_id": 1}, {"movie_id": 2}, {"movie_id": 3}])
    [vector] = response.proto.results[1:]
    assert list(vector.statuses) == [FieldStatus.PRESENT, FieldStatus.OUTSIDE_MAX_AGE, FieldStatus.NOT_FOUND]
    rows = store._get_provider().online_read(store.config, view, [key(1), key(2)], ["score"])
    assert rows == [(NOW - timedelta(hours=1), {"score": Value(int64_val=10)}), (None, None)]


def test_projects_do_not_meet(lab: Lab) -> None:
    stores = [lab.store("first"), lab.store("second")]
    for number, store in enumerate(stores):
        view = score_view()
        store.apply([MOVIE, view])
        write(store, view, (1, number, NOW, None))
    assert [read(store, 1) for store in stores] == [[0], [1]]
    stores[0].teardown()
    assert read(stores[1], 1) == [1]


def test_views_of_different_keys_and_lists_are_read_together(lab: Lab) -> None:
    role = FeatureView(
        name="role",
        entities=[MOVIE, PERSON],
        ttl=timedelta(0),
        schema=[Field(name="billing", dtype=Int32), Field(name="pages", dtype=Array(Int64))],
        source=PostgreSQLSource(name="roles", table="scores", timestamp_field="event_time"),
    )
    view = score_view()
    store = lab.store()
    store.apply([MOVIE, PERSON, view, role])
    write(store, view, (1, 10, NOW, None))
    both = EntityKey(
        join_keys=["movie_id", "person_name"], entity_values=[Value(int64_val=1), Value(string_val="Ann")]
    )
    values = {"billing": Value(int32_val=3), "pages": Value(int64_list_val=Int64List(val=[4, BIG]))}
    store._get_provider().online_write_batch(store.config, role, [(both, values, NOW, None)], progress=None)
    rows = [{"movie_id": 1, "person_name": "Ann"}, {"movie_id": 1, "person_name": "Bea"}]
    answer = store.get_online_features(
        ["movie_score:score", "role:billing", "role:pages"], rows, full_feature_names=True
    ).to_dict()
    assert answer["movie_score__score"] == [10, 10]
    assert answer["role__billing"] == [3, None]
    assert answer["role__pages"] == [[4, BIG], None]


def test_a_new_definition_keeps_the_values_of_unchanged_features(lab: Lab) -> None:
    store = lab.store()
    view = score_view()
    store.apply([MOVIE, view])
    write(store, view, (1, 10, NOW, None))
    wider = score_view(timedelta(0), Field(name="title", dtype=String))
    store.apply([MOVIE, wider])
    assert store.get_online_features(["movie_score:score", "movie_score:title"], [{"movie_id": 1}]).to_dict() == {
        "movie_id": [1], "score": [10], "title": [None],
    }  # fmt: skip
    store.apply([], objects_to_delete=[wider], partial=False)
    assert lab.connection.execute("select to_regclass('online.lab_movie_score')").fetchone() == (None,)


def test_a_second_run_changes_no_row(lab: Lab) -> None:
    store = lab.store()
    store.apply([MOVIE, score_view()])
    lab.fill(*((movie, NOW - timedelta(days=1), NOW, movie) for movie in range(100)))
    store.materialize(LONG_AGO, NOW)
    before = lab.connection.execute("select xmin, * from online.lab_movie_score order by movie_id").fetchall()
    store.materialize(LONG_AGO, NOW)
    assert lab.connection.execute("select xmin, * from online.lab_movie_score order by movie_id").fetchall() == before


def test_incremental_runs_add_what_is_new(lab: Lab) -> None:
    store = lab.store()
    store.apply([MOVIE, score_view()])
    lab.fill((1, NOW - timedelta(days=2), NOW, 10), (2, NOW - timedelta(days=2), NOW, 20))
    store.materialize(LONG_AGO, NOW - timedelta(days=1))
    lab.fill((1, NOW - timedelta(hours=2), NOW, 11))
    store.materialize_incremental(NOW)
    assert read(store, 1, 2) == [11, 20]


def test_a_killed_run_leaves_the_last_state_and_the_next_completes(lab: Lab) -> None:
    store = lab.store()
    store.apply([MOVIE, score_view()])
    lab.fill(*((movie, NOW - timedelta(days=2), NOW, 1) for movie in range(50)))
    store.materialize(LONG_AGO, NOW - timedelta(days=1))
    lab.fill(*((movie, NOW - timedelta(hours=1), NOW, 2) for movie in range(50)))
    with psycopg.connect(lab.url) as blocker:
        blocker.execute("select * from online.lab_movie_score where movie_id = 49 for update")
        failed: list[BaseException] = []
        runner = threading.Thread(target=_materialize, args=(store, failed))
        runner.start()
        _wait_for_lock(lab)
        assert read(lab.store(), 0, 49) == [1, 1]  # half of the rows are written, no reader sees them
        lab.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and wait_event_type = 'Lock'"
        )
        runner.join(30)
    assert len(failed) == 1
    assert read(lab.store(), 0, 49) == [1, 1]
    store.materialize(LONG_AGO, NOW)
    assert read(lab.store(), 0, 49) == [2, 2]


def _materialize(store: FeatureStore, failed: list[BaseException]) -> None:
    try:
        store.materialize(LONG_AGO, NOW)
    except psycopg.Error as error:
        failed.append(error)


def _wait_for_lock(lab: Lab) -> None:
    lab.connection.execute(
        """
        do $$ begin
            for attempt in 1..300 loop
                perform pg_stat_clear_snapshot();
                exit when exists (
                    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
                );
                perform pg_sleep(0.1);
            end loop;
        end $$
        """
    )


FILMS = 60_000
MATERIALIZE = """
import json, sys
from datetime import UTC, datetime
from feast import FeatureStore, RepoConfig
store = FeatureStore(config=RepoConfig(**json.loads(sys.argv[1])))
store.materialize(datetime(1870, 1, 1, tzinfo=UTC), datetime.now(UTC))
"""


def test_no_kill_of_the_process_shows_half_a_run_or_stops_the_readers(lab: Lab) -> None:
    store, calm = lab.store(), lab.store("calm")
    for one in (store, calm):
        one.apply([MOVIE, score_view()])
    write_generation(lab, 0)
    store.materialize(LONG_AGO, NOW)
    write_generation(lab, 1)
    started = time.monotonic()
    store.materialize(LONG_AGO, NOW)
    undisturbed = time.monotonic() - started
    chosen = random.Random(3)
    seen: list[Any] = []
    survivors = []
    with watched(lab.store(), seen):
        for third in range(3):
            write_generation(lab, 2 + third)
            kill_a_run(lab, undisturbed * chosen.uniform(third / 3, (third + 1) / 3))
            survivors.append(read(store, 1) == [2 + third])
    assert not all(survivors), "no run was killed in time"
    assert [answer for answer in seen if not isinstance(answer, int)] == []  # errors and halves
    assert seen == sorted(seen)
    store.materialize(LONG_AGO, NOW)
    calm.materialize(LONG_AGO, NOW)
    often_killed, never_killed = (
        lab.connection.execute(f"select * from online.{project}_movie_score order by movie_id").fetchall()  # noqa: S608
        for project in ("lab", "calm")
    )
    assert {row[1] for row in never_killed} == {4}
    assert often_killed == never_killed


def write_generation(lab: Lab, generation: int) -> None:
    """Every film's score becomes the generation's number, an hour later than the last."""
    lab.connection.execute("truncate scores")
    lab.connection.execute(
        "insert into scores select movie, %s::timestamptz + %s * interval '1 hour', now(), %s "
        "from generate_series(1, %s) as movie",
        [NOW - timedelta(days=2), generation, generation, FILMS],
    )


def kill_a_run(lab: Lab, seconds: float) -> None:
    """Materialize in a process of its own, and end it without a warning when it has been writing for some time."""
    process = subprocess.Popen([sys.executable, "-c", MATERIALIZE, json.dumps(lab.config())])
    with process:
        while process.poll() is None and not writers(lab):
            time.sleep(0.005)
        time.sleep(seconds)
        process.kill()
    while writers(lab):  # PostgreSQL notices at its next word to the process
        time.sleep(0.05)


def writers(lab: Lab) -> list[Any]:
    return lab.connection.execute(
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
        "and state = 'active' and query ~ 'insert into .* as stored'"
    ).fetchall()


@contextmanager
def watched(store: FeatureStore, seen: list[Any]) -> Iterator[None]:
    """Read all the time: the score when all films have the same, else what was read or raised."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            try:
                store.refresh_registry()
                scores = set(read(store, *range(1, FILMS, FILMS // 50)))
                seen.append(scores.pop() if len(scores) == 1 else scores)
            except Exception as error:  # noqa: BLE001 - the test asserts that there was none
                seen.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def test_reads_survive_a_lost_connection(lab: Lab) -> None:
    view = score_view()
    store = lab.store()
    store.apply([MOVIE, view])
    write(store, view, (1, 10, NOW, None))
    assert read(store, 1) == [10]
    lab.connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    assert read(store, 1) == [10]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"connection": "postgresql://bechdel@elsewhere/other"}, "source and target are different databases"),
    ],
)
def test_engine_says_why_it_leaves_the_database(lab: Lab, change: dict[str, str], reason: str | None) -> None:
    store = lab.store()
    view = score_view()
    store.apply([MOVIE, view])
    config = store.config.model_copy()
    config._offline_store = store.config.offline_store.model_copy(update=change)
    engine = PostgresComputeEngine(
        repo_config=config, offline_store=None, online_store=store._get_provider().online_store
    )

    @dataclass
    class Task:
        feature_view: FeatureView

    assert engine._obstacle(Task(store.get_feature_view("movie_score"))) == reason
