"""Feast's own cases for online stores, written anew: each holds for our store and for Feast's Postgres store alike.

From feast-dev/feast, `sdk/python/tests`: `integration/online_store/` (u = test_universal_online.py, also in
`universal/online_store/`) and what `unit/` adds. (1) marks a case that holds for our store only.

| upstream | here |
| --- | --- |
| u: test_write_to_online_store | test_what_is_written_is_read |
| u: test_write_to_online_store_event_check, of Redis (1) | test_event_times_decide_between_writes |
| u: test_entity_ttl_online_store, of Redis; here by the view's ttl (1) | test_values_expire_with_their_view |
| u: test_online_retrieval, test_online_retrieval_success | test_views_of_all_kinds_are_read_in_one_request |
| " | test_values_on_demand_need_no_reference_to_what_they_are_made_of |
| " | test_missing_request_data_are_refused |
| ", test_feature_service_read | test_services_name_their_features |
| " | test_one_view_is_read_under_two_names |
| " | test_a_feature_asked_for_twice_is_refused |
| ", and rows of a view without keys (1) | test_a_row_for_all_can_be_written |
| u: test_online_store_cleanup | test_a_deleted_view_takes_its_own_rows_only |
| u: test_connection_pool_online_stores | test_both_kinds_of_connections_serve |
| u: test_online_retrieval_with_shared_batch_source | test_a_feature_of_another_view_on_the_same_source_is_refused |
| u: test_online_retrieval_with_event_timestamps | test_a_frame_with_event_times_tells_each_rows_own |
| u: test_async_online_retrieval_with_event_timestamps (1) | test_a_frame_with_event_times_is_read_asynchronously |
| test_universal_e2e: test_e2e_consistency | test_two_runs_online_agree_with_offline |
| test_universal_online_types: the one test | test_materialized_values_of_all_types_come_back |
| " | test_written_values_of_rare_types_come_back |
| test_online_retrieval: test_online_to_df | test_a_frame_has_the_order_of_the_request |
| test_online_retrieval: test_online | test_columns_and_rows_ask_the_same |
| " | test_an_unknown_view_is_named |
| ", test_postgres_batched_read: test_missing_entities_... | test_event_times_and_statuses_come_with_the_values |
| utils/online_read_write_test: basic_rw_test | test_some_features_of_a_view_are_read |
| test_push_features_to_online_store: test_push_features_and_read | test_pushed_rows_are_read |
| test_push_features_to_online_store: ..._async, of DynamoDB (1) | test_pushed_rows_are_read_asynchronously |
| test_postgres_batched_read: ..._one_execute_... | test_views_of_one_key_are_read_by_one_statement |
| test_postgres_batched_read: all ..._match[es]_generic... | test_a_read_of_several_views_equals_one_read_per_view |
| test_postgres_versioning: all but its end | test_versions_of_a_view_keep_rows_of_their_own |
| test_postgres_versioning: test_teardown_versioned_table | test_teardown_leaves_no_table |
| unit/online_store/test_empty_entity_rows, newer than 0.67 (1) | test_an_empty_batch_gives_an_empty_answer |

Left out, with the reason:

| upstream | why |
| --- | --- |
| test_retrieve_online_documents and all on vectors, images, text | our store has no vector search, and says so |
| test_online_list_retrieval, the end of test_online, test_push_online | they test the registry, no store |
| ..._with_go_server, test_go_server_life_cycle | they test the server in Go, over any store |
| test_python_feature_server, test_remote_online_store, rate limits | they test the server, over any store |
| unit/online_store/test_online_writes | frames are checked, and transformed on writing, before a store |
| test_large_request_falls_back_and_still_matches_generic | our store has one way for every size |
| files named after another database, hybrid and Chronon stores | those stores |
"""

import asyncio
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, PushSource, RepoConfig, RequestSource
from feast import types as feast_types
from feast.errors import FeatureNameCollisionError, FeatureViewNotFoundException
from feast.errors import RequestDataNotFoundInEntityRowsException as RequestDataMissingError
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.utils.postgres.postgres_config import ConnectionType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, Set, String, UnixTimestamp
from feast.value_type import ValueType

from feast_stores.online_store import WidePostgresOnlineStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.* is an experimental feature:RuntimeWarning"),
]

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
FOREVER = timedelta(0)
MOVIE = Entity(name="movie", join_keys=["movie_id"], value_type=ValueType.INT64)
PERSON = Entity(name="person", join_keys=["person_name"], value_type=ValueType.STRING)
SOURCE = PostgreSQLSource(
    name="films", table="films", timestamp_field="event_time", created_timestamp_column="created"
)
SERIAL = itertools.count()


def view(name: str, *entities: Entity, ttl: timedelta = FOREVER, source: Any = SOURCE, **schema: Any) -> FeatureView:
    keys = {entity.join_key: Int64 if entity is MOVIE else String for entity in entities}
    fields = [Field(name=column, dtype=dtype) for column, dtype in {**keys, **schema}.items()]
    return FeatureView(name=name, entities=list(entities), ttl=ttl, schema=fields, source=source)


SCORE = view("score", MOVIE, points=Int64, title=String)
VOTES = view("votes", MOVIE, count=Int64)  # the same source as `score`
CAREER = view("career", PERSON, films=Int64)
ROLE = view("role", MOVIE, PERSON, billing=Int64)
WORLD = view("world", releases=Int64)  # one row for all
REQUEST = RequestSource(name="request", schema=[Field(name="bonus", dtype=Int64)])


@on_demand_feature_view(
    sources=[SCORE, REQUEST],
    schema=[Field(name="doubled", dtype=Int64), Field(name="with_bonus", dtype=Int64)],
    mode="python",
)
def derived(inputs: dict[str, Any]) -> dict[str, Any]:
    points = inputs["points"]
    return {
        "doubled": [None if point is None else 2 * point for point in points],
        "with_bonus": [
            None if point is None else point + bonus for point, bonus in zip(points, inputs["bonus"], strict=True)
        ],
    }


def frame(event_time: datetime = NOW, **columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({**columns, "event_time": pd.Timestamp(event_time), "created": pd.Timestamp(NOW)})


def answer(store: FeatureStore, features: Any, rows: Any, **options: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = store.get_online_features(features, rows, **options).to_dict()
    return found


def movies(*movie_ids: int) -> list[dict[str, Any]]:
    return [{"movie_id": movie_id} for movie_id in movie_ids]


def configuration(kind: str, url: str, registry: Path, **registry_options: Any) -> RepoConfig:
    """A project of its own, on our store or on Feast's."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    online = {
        "ours": {"type": "feast_stores.online_store.WidePostgresOnlineStore", "connection": url},
        "feasts": {
            "type": "postgres", "host": parts["host"], "port": int(str(parts["port"])), "database": parts["dbname"],
            "user": parts["user"], "password": "none", "sslmode": "disable", "conn_type": "pool",
        },
    }  # fmt: skip
    return RepoConfig(
        project=f"case_{next(SERIAL)}",
        registry={"path": str(registry / "registry.db"), **registry_options},
        offline_store={
            "type": "feast_stores.offline_store.PointInTimePostgresOfflineStore", "connection": url,
        },
        online_store={**online[kind], "db_schema": "public"},
        materialization={"pull_latest_features": True},  # without it Feast cannot materialize a view without keys
        entity_key_serialization_version=3,
    )  # fmt: skip


def close(store: FeatureStore) -> None:
    online = store._get_provider().online_store
    if isinstance(online, WidePostgresOnlineStore):
        online.disconnect()
        return
    for opened in (online._conn_pool, online._conn):
        if opened:
            opened.close()


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        opened.execute(
            "create table films (movie_id bigint, person_name text, points bigint, title text, count bigint, "
            "films bigint, billing bigint, releases bigint, event_time timestamptz, created timestamptz)"
        )
        yield opened


@pytest.fixture(params=["ours", "feasts"])
def store(
    request: pytest.FixtureRequest, connection: psycopg.Connection[Any], module_database_url: str, tmp_path: Path
) -> Iterator[FeatureStore]:
    connection.execute("truncate films")
    made = FeatureStore(config=configuration(request.param, module_database_url, tmp_path))
    yield made
    close(made)


ours = pytest.mark.parametrize("store", ["ours"], indirect=True)


def is_ours(store: FeatureStore) -> bool:
    return isinstance(store._get_provider().online_store, WidePostgresOnlineStore)


@pytest.fixture
def filled(store: FeatureStore, connection: psycopg.Connection[Any]) -> FeatureStore:
    """Every view with rows for two films and two people."""
    store.apply([MOVIE, PERSON, SCORE, VOTES, CAREER, ROLE, WORLD, derived])
    store.write_to_online_store("score", frame(movie_id=[1, 2], points=[10, 20], title=["Alien", "Heat"]))
    store.write_to_online_store("votes", frame(movie_id=[1, 2], count=[100, 200]))
    store.write_to_online_store("career", frame(person_name=["Ann", "Bea"], films=[5, 6]))
    store.write_to_online_store("role", frame(movie_id=[1, 2], person_name=["Ann", "Bea"], billing=[1, 2]))
    connection.execute("insert into films (releases, event_time, created) values (7, %s, %s)", [NOW, NOW])
    store.materialize(NOW - HOUR, NOW, feature_views=["world"])
    return store


# test_universal_online.py


def test_what_is_written_is_read(store: FeatureStore) -> None:
    """After test_write_to_online_store."""
    store.apply([MOVIE, SCORE])
    store.write_to_online_store("score", frame(movie_id=[123], points=[14], title=["Alien"]))
    found = store.get_online_features(["score:title", "score:points"], movies(123)).to_df()
    assert found.to_dict("records") == [{"movie_id": 123, "title": "Alien", "points": 14}]


def test_event_times_decide_between_writes(
    store: FeatureStore, connection: psycopg.Connection[Any], request: pytest.FixtureRequest
) -> None:
    """After test_write_to_online_store_event_check, which upstream only Redis passes: Feast's Postgres overwrites."""
    if not is_ours(store):
        request.applymarker(pytest.mark.xfail(strict=True, reason="the last write wins in Feast's Postgres store"))
    store.apply([MOVIE, SCORE])
    features, rows = ["score:title"], movies(1, 2, 3)
    store.write_to_online_store("score", frame(movie_id=[1], points=[0], title=["now"]))
    store.write_to_online_store("score", frame(NOW - HOUR, movie_id=[1, 2, 3], points=[0] * 3, title=["late"] * 3))
    assert answer(store, features, rows)["title"] == ["now", "late", "late"]
    store.write_to_online_store("score", frame(NOW + HOUR, movie_id=[1], points=[0], title=["newest"]))
    connection.execute(
        "insert into films (movie_id, title, event_time, created) select movie, 'source', %s, %s "
        "from generate_series(1, 3) as movie",
        [NOW, NOW],
    )
    store.materialize(NOW - 12 * HOUR, NOW)
    assert answer(store, features, rows)["title"] == ["newest", "source", "source"]


@ours
def test_values_expire_with_their_view(store: FeatureStore) -> None:
    """After test_entity_ttl_online_store, with the view's ttl; Feast's Postgres store serves expired values."""
    store.apply([MOVIE, view("score", MOVIE, ttl=HOUR, points=Int64)])
    store.write_to_online_store(
        "score", frame(datetime.now(UTC) - HOUR + timedelta(minutes=5), movie_id=[1], points=[1])
    )
    store.write_to_online_store("score", frame(NOW - HOUR - timedelta(seconds=1), movie_id=[2], points=[2]))
    assert answer(store, ["score:points"], movies(1, 2))["points"] == [1, None]


@pytest.mark.parametrize("full", [True, False])
def test_views_of_all_kinds_are_read_in_one_request(filled: FeatureStore, full: bool) -> None:
    """After test_online_retrieval: shared source, two keys, no key, values on demand, keys without a row."""
    expected = {
        "role:billing": [2, None, None], "score:points": [20, 10, None], "votes:count": [200, 100, None],
        "world:releases": [7, 7, 7], "career:films": [6, 6, None],
    }  # fmt: skip
    if not full:  # whatever the store, Feast 0.67 leaves python's values on demand out under full names
        expected |= {"derived:doubled": [40, 20, None], "derived:with_bonus": [23, 13, None]}
    rows = [
        {"movie_id": 2, "person_name": "Bea", "bonus": 3},
        {"movie_id": 1, "person_name": "Bea", "bonus": 3},
        {"movie_id": 0, "person_name": "", "bonus": 3},
    ]
    found = answer(filled, list(expected), rows, full_feature_names=full)
    names = {name.replace(":", "__") if full else name.split(":")[1]: values for name, values in expected.items()}
    assert {name: values for name, values in found.items() if name != "bonus"} == {
        "movie_id": [2, 1, 0], "person_name": ["Bea", "Bea", ""], **names,
    }  # fmt: skip


def test_values_on_demand_need_no_reference_to_what_they_are_made_of(filled: FeatureStore) -> None:
    """After test_online_retrieval."""
    rows = [{"movie_id": 1, "bonus": 5}]
    assert answer(filled, ["derived:with_bonus"], rows) == {"movie_id": [1], "with_bonus": [15]}


def test_missing_request_data_are_refused(filled: FeatureStore) -> None:
    """After test_online_retrieval."""
    with pytest.raises(RequestDataMissingError, match="bonus"):
        answer(filled, ["derived:doubled"], movies(1))


def test_services_name_their_features(filled: FeatureStore) -> None:
    """After test_online_retrieval and test_feature_service_read."""
    service = FeatureService(name="chosen", features=[SCORE[["title"]], derived[["doubled"]], CAREER])
    filled.apply([service])
    rows = [{"movie_id": 1, "person_name": "Bea", "bonus": 0}]
    expected = {"movie_id": [1], "person_name": ["Bea"], "title": ["Alien"], "films": [6], "doubled": [20]}
    for asked in (service, filled.get_feature_service("chosen")):
        assert answer(filled, asked, rows) == expected


def test_one_view_is_read_under_two_names(filled: FeatureStore) -> None:
    """After test_online_retrieval's entity mapping."""
    service = FeatureService(
        name="cast",
        features=[
            CAREER.with_name(role).with_join_key_map({"person_name": f"{role}_name"}) for role in ("lead", "second")
        ],
    )
    filled.apply([service])
    rows = {"lead_name": ["Bea", "Ann", "Eve"], "second_name": ["Ann", "Bea", "Bea"]}
    assert answer(filled, service, rows, full_feature_names=True) == {
        **rows, "lead__films": [6, 5, None], "second__films": [5, 6, 6],
    }  # fmt: skip
    with pytest.raises(FeatureNameCollisionError, match="full_feature_names=True"):
        answer(filled, service, rows)


@pytest.mark.parametrize("full", [True, False])
def test_a_feature_asked_for_twice_is_refused(filled: FeatureStore, full: bool) -> None:
    """After test_online_retrieval."""
    with pytest.raises(FeatureNameCollisionError, match="points"):
        answer(filled, ["score:points", "votes:count", "score:points"], movies(1), full_feature_names=full)


def test_a_deleted_view_takes_its_own_rows_only(store: FeatureStore) -> None:
    """After test_online_store_cleanup (feast#2150)."""
    store.apply([MOVIE, SCORE, VOTES])
    store.write_to_online_store("score", frame(movie_id=[1], points=[10], title=["Alien"]))
    store.write_to_online_store("votes", frame(movie_id=[1], count=[100]))
    store.apply([VOTES], objects_to_delete=[SCORE], partial=False)
    assert answer(store, ["votes:count"], movies(1))["count"] == [100]
    store.apply([], objects_to_delete=[VOTES], partial=False)
    store.apply([SCORE, VOTES])
    assert answer(store, ["votes:count", "score:points"], movies(1)) == {
        "movie_id": [1], "count": [None], "points": [None],
    }  # fmt: skip


def test_teardown_leaves_no_table(store: FeatureStore, connection: psycopg.Connection[Any]) -> None:
    """After the end of every upstream test, and test_teardown_versioned_table."""
    store.apply([MOVIE, SCORE])
    tables = "select from pg_class where relkind = 'r' and starts_with(relname, %s)"
    assert connection.execute(tables, [f"{store.project}_"]).fetchall() == [()]
    store.teardown()
    assert connection.execute(tables, [f"{store.project}_"]).fetchall() == []


@pytest.mark.parametrize("pooling", ["singleton", "pool"])
def test_both_kinds_of_connections_serve(store: FeatureStore, pooling: str) -> None:
    """After test_connection_pool_online_stores."""
    store.config.online_store.conn_type = ConnectionType(pooling)
    store.config.online_store.min_conn, store.config.online_store.max_conn = 1, 10
    store.apply([MOVIE, SCORE])
    store.write_to_online_store("score", frame(movie_id=[1], points=[4], title=["Alien"]))
    assert answer(store, ["score:points"], movies(1)) == {"movie_id": [1], "points": [4]}


def test_a_feature_of_another_view_on_the_same_source_is_refused(filled: FeatureStore) -> None:
    """After test_online_retrieval_with_shared_batch_source (feast#2576)."""
    with pytest.raises(KeyError, match="points"):
        answer(filled, ["votes:points"], movies(1, 2))


EVENT_TIMES = [datetime(2022, 3, 2, 23, 25, tzinfo=UTC), datetime(2022, 3, 2, 23, 26, 40, tzinfo=UTC)]


@pytest.fixture
def dated(store: FeatureStore) -> FeatureStore:
    """Two films whose rows are of two moments."""
    store.apply([MOVIE, SCORE])
    rows = frame(movie_id=[1, 2], points=[4, 5], title=["Alien", "Heat"]).assign(event_time=EVENT_TIMES)
    store.write_to_online_store("score", rows)
    return store


def has_its_own_times(response: OnlineResponse) -> bool:
    found = response.to_df(include_event_timestamps=True)[["points", "points__ts", "title__ts"]].to_dict("list")
    seconds = [int(moment.timestamp()) for moment in EVENT_TIMES]
    return bool(found == {"points": [4, 5], "points__ts": seconds, "title__ts": seconds})


def test_a_frame_with_event_times_tells_each_rows_own(dated: FeatureStore) -> None:
    """After test_online_retrieval_with_event_timestamps."""
    assert has_its_own_times(dated.get_online_features(["score:points", "score:title"], movies(1, 2)))


@ours
def test_a_frame_with_event_times_is_read_asynchronously(dated: FeatureStore) -> None:
    """After test_async_online_retrieval_with_event_timestamps.

    Not of Feast's store: on a busy machine the tasks of its asynchronous pool once outlived the loop that asked.
    """

    async def read() -> OnlineResponse:
        await dated.initialize()
        response = await dated.get_online_features_async(["score:points", "score:title"], movies(1, 2))
        await dated.close()
        return response

    assert has_its_own_times(asyncio.run(read()))


@ours
def test_an_empty_batch_gives_an_empty_answer(filled: FeatureStore) -> None:
    """After test_join_key_present_with_zero_values_returns_an_empty_response; 0.67's Postgres store raises."""
    assert answer(filled, ["score:points"], {"movie_id": []}) == {"movie_id": [], "points": []}


@ours
def test_a_row_for_all_can_be_written(store: FeatureStore) -> None:
    """Feast's Postgres store writes such a row where it does not look for it."""
    store.apply([MOVIE, WORLD])
    store.write_to_online_store("world", frame(releases=[7]))
    assert answer(store, ["world:releases"], movies(1, 2))["releases"] == [7, 7]


# test_universal_e2e.py


@pytest.mark.parametrize("inferred", [False, True])
def test_two_runs_online_agree_with_offline(
    store: FeatureStore, connection: psycopg.Connection[Any], inferred: bool
) -> None:
    """After test_e2e_consistency: a run up to a moment, then an incremental one; features named or inferred."""
    connection.execute(
        "drop table if exists ratings; "
        "create table ratings (movie_id bigint, event_time timestamptz, created timestamptz, value double precision)"
    )
    split = NOW - timedelta(minutes=30)
    rows = [
        (1, NOW - 4 * HOUR, 0.1), (1, NOW - 2 * HOUR, 0.3), (2, NOW - HOUR, None), (3, NOW - 3 * HOUR, 4.0),
        (1, NOW - timedelta(minutes=10), 0.5), (2, NOW - timedelta(minutes=5), 2.5),
    ]  # fmt: skip
    connection.cursor().executemany("insert into ratings values (%s, %s, now(), %s)", rows)
    source = PostgreSQLSource(
        name="ratings", table="ratings", timestamp_field="event_time", created_timestamp_column="created"
    )
    schema = {} if inferred else {"value": Float64}
    ratings = view("ratings", MOVIE, source=source, ttl=5 * HOUR, **schema)
    if inferred:
        ratings = FeatureView(name="ratings", entities=[MOVIE], ttl=5 * HOUR, source=source)
    store.apply([MOVIE, ratings])

    def both(moment: datetime) -> tuple[list[Any], list[Any]]:
        labels = pd.DataFrame({"movie_id": [1, 2, 3], "event_timestamp": [pd.Timestamp(moment)] * 3})
        offline = store.get_historical_features(labels, ["ratings:value"]).to_df().sort_values("movie_id")["value"]
        online = answer(store, ["ratings:value"], movies(1, 2, 3))["value"]
        return online, [None if pd.isna(value) else value for value in offline]

    store.materialize(NOW - 5 * HOUR, split, feature_views=["ratings"])
    assert both(split) == ([0.3, None, 4.0], [0.3, None, 4.0])
    store.materialize_incremental(NOW, feature_views=["ratings"])
    assert both(NOW) == ([0.5, 2.5, 4.0], [0.5, 2.5, 4.0])


# test_universal_online_types.py

MATERIALIZED = {
    "int": (Int32, "integer", [1, -(2**31)]),
    "long": (Int64, "bigint", [1, 2**52]),
    "float": (Float32, "real", [0.5, -1.25]),
    "double": (Float64, "float8", [0.1, 1e300]),
    "text": (String, "text", ["a", "É'"]),
    "flag": (Bool, "boolean", [True, False]),
    "moment": (UnixTimestamp, "timestamptz", [NOW, datetime(1895, 12, 28, tzinfo=UTC)]),
}


def test_materialized_values_of_all_types_come_back(store: FeatureStore, connection: psycopg.Connection[Any]) -> None:
    """After test_feature_get_online_features_types_match: single values, lists, empty lists."""
    columns = ", ".join(f"one_{name} {kind}, many_{name} {kind}[]" for name, (_, kind, _) in MATERIALIZED.items())
    connection.execute(
        f"drop table if exists typed; create table typed (movie_id bigint, event_time timestamptz, {columns})"
    )
    schema, rows = {}, [[1, NOW], [2, NOW]]
    for name, (dtype, _, values) in MATERIALIZED.items():
        schema |= {f"one_{name}": dtype, f"many_{name}": Array(dtype)}
        rows = [[*rows[0], values[0], values], [*rows[1], values[1], []]]
    places = ", ".join(["%s"] * len(rows[0]))
    connection.cursor().executemany(f"insert into typed values ({places})", rows)  # noqa: S608
    source = PostgreSQLSource(name="typed", table="typed", timestamp_field="event_time")
    store.apply([MOVIE, view("typed", MOVIE, source=source, **schema)])
    store.materialize(NOW - HOUR, NOW)
    found = answer(store, [f"typed:{name}" for name in schema], movies(1, 2, 3))
    for name, (_, _, values) in MATERIALIZED.items():
        assert found[f"one_{name}"] == [*values, None]
        assert found[f"many_{name}"] == [values, [], None]


WRITTEN = {
    "raw": (feast_types.Bytes, b"\x00\xff"),
    "raws": (Array(feast_types.Bytes), [b"\x00", b""]),
    "tags": (Set(String), {"a", "b"}),
    "numbers": (Set(Int64), {1, 2**62}),
    "mapped": (feast_types.Map, {"a": "1", "b": "2"}),
    "parsed": (feast_types.Json, {"a": {"b": 1}}),
    "moments": (Array(UnixTimestamp), [NOW, NOW - HOUR]),
}


def test_written_values_of_rare_types_come_back(store: FeatureStore) -> None:
    """After test_feature_get_online_features_types_match, for the types that a database has no column for."""
    store.apply([MOVIE, view("rare", MOVIE, **{name: dtype for name, (dtype, _) in WRITTEN.items()})])
    store.write_to_online_store(
        "rare", frame(movie_id=[1], **{name: [value] for name, (_, value) in WRITTEN.items()})
    )
    found = answer(store, [f"rare:{name}" for name in WRITTEN], movies(1, 2))
    for name, (_, value) in WRITTEN.items():
        assert found[name] == [value, None], name


# test_online_retrieval.py


def test_a_frame_has_the_order_of_the_request(filled: FeatureStore) -> None:
    """After test_online_to_df."""
    rows = [{"person_name": "Bea", "movie_id": 2}, {"person_name": "Ann", "movie_id": 1}]
    found = filled.get_online_features(["role:billing", "score:title", "career:films", "score:points"], rows).to_df()
    expected = {"person_name": ["Bea", "Ann"], "movie_id": [2, 1], "billing": [2, 1], "title": ["Heat", "Alien"],
                "films": [6, 5], "points": [20, 10]}  # fmt: skip
    pd.testing.assert_frame_equal(found[list(expected)], pd.DataFrame(expected))


def test_columns_and_rows_ask_the_same(filled: FeatureStore) -> None:
    """After test_online, with the key repeated, and both forms of a request."""
    columns = {"movie_id": [2, 1, 2], "person_name": ["Bea", "Ann", "Bea"]}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    features = ["score:title", "role:billing"]
    assert answer(filled, features, columns) == answer(filled, features, rows)
    assert answer(filled, features, columns)["billing"] == [2, 1, 2]


def test_an_unknown_view_is_named(filled: FeatureStore) -> None:
    """After test_online."""
    with pytest.raises(FeatureViewNotFoundException, match="unknown"):
        answer(filled, ["unknown:points"], movies(1))


def test_event_times_and_statuses_come_with_the_values(filled: FeatureStore) -> None:
    """After test_online and test_missing_entities_report_not_found_like_generic: a stored zero is no missing row."""
    filled.write_to_online_store("votes", frame(NOW + HOUR, movie_id=[1], count=[0]))
    response = filled.get_online_features(["votes:count"], movies(1, 9))
    vector = response.proto.results[1]
    assert list(vector.statuses) == [FieldStatus.PRESENT, FieldStatus.NOT_FOUND]
    assert [value.WhichOneof("val") for value in vector.values] == ["int64_val", None]
    times = response.to_dict(include_event_timestamps=True)["count__ts"]
    assert times == [int((NOW + HOUR).timestamp()), 0]


def test_some_features_of_a_view_are_read(filled: FeatureStore) -> None:
    """After basic_rw_test: the store is asked by itself, for some features and for all."""
    online, table = filled._get_provider().online_store, filled.get_feature_view("score")
    keys = [EntityKey(join_keys=["movie_id"], entity_values=[Value(int64_val=number)]) for number in (2, 9)]
    title, points = {"title": Value(string_val="Heat")}, {"points": Value(int64_val=20)}
    for requested, values in ((["title"], title), (["title", "points"], title | points)):
        assert online.online_read(filled.config, table, keys, requested) == [(NOW, values), (None, None)]
    assert online.online_read(filled.config, table, [], ["title"]) == []


# test_push_features_to_online_store.py

PUSHED = PushSource(name="pushed", batch_source=SOURCE)


def test_pushed_rows_are_read(store: FeatureStore) -> None:
    """After test_push_features_and_read: every view of the source is written."""
    views = [
        view(name, MOVIE, source=PUSHED, **{column: Int64}) for name, column in (("a", "points"), ("b", "count"))
    ]
    store.apply([MOVIE, PUSHED, *views])
    store.push("pushed", frame(movie_id=[1], points=[4], count=[5]))
    assert answer(store, ["a:points", "b:count"], movies(1)) == {"movie_id": [1], "points": [4], "count": [5]}


@ours
def test_pushed_rows_are_read_asynchronously(store: FeatureStore) -> None:
    """After test_push_features_and_read_async, which upstream runs on DynamoDB only."""
    store.apply([MOVIE, PUSHED, view("a", MOVIE, source=PUSHED, points=Int64)])

    async def push_and_read() -> Any:
        await store.push_async("pushed", frame(movie_id=[1], points=[4]))
        return await store.get_online_features_async(["a:points"], movies(1))

    assert asyncio.run(push_and_read()).to_dict() == {"movie_id": [1], "points": [4]}


# test_postgres_batched_read.py


def test_views_of_one_key_are_read_by_one_statement(filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After test_batched_issues_one_execute_generic_issues_three."""
    executed: list[Any] = []
    execute = psycopg.Cursor.execute

    def counted(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        executed.append(query)
        return execute(cursor, query, *args, **kwargs)

    filled.get_online_features(["score:points"], movies(1))  # the connection is opened
    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    assert answer(filled, ["score:points", "votes:count"], movies(1, 2))["count"] == [100, 200]
    assert len(executed) == 1


def test_a_read_of_several_views_equals_one_read_per_view(filled: FeatureStore) -> None:
    """After test_batched_matches_generic_path, test_views_on_different_entities_match_generic and their kin."""
    online = filled._get_provider().online_store
    filled.write_to_online_store("votes", frame(movie_id=[3], count=[300]))  # a film without a score
    request = {
        "features": ["score:points", "votes:count", "career:films"],
        "entity_rows": {"movie_id": [3, 1, 1], "person_name": ["Ann", "Ann", "Eve"]},
    }
    together = filled.get_online_features(**request)
    one_by_one = type("OneByOne", (type(online),), {"_read_features_per_fv": OnlineStore._read_features_per_fv})()
    if is_ours(filled):
        one_by_one._pools = online._pools
    apart = OnlineStore.get_online_features(
        one_by_one, config=filled.config, registry=filled.registry, project=filled.project, **request
    )
    assert together.proto == apart.proto
    assert together.to_dict()["points"] == [None, 10, 10]


# test_postgres_versioning.py


@pytest.mark.parametrize("store", ["ours", "feasts"])
def test_versions_of_a_view_keep_rows_of_their_own(
    store: str, connection: Any, module_database_url: str, tmp_path: Path
) -> None:
    """After test_version_isolation, test_projection_version_tag_routes_to_correct_table and the two on deletion."""
    feast = FeatureStore(
        config=configuration(store, module_database_url, tmp_path, enable_online_feature_view_versioning=True)
    )
    online = feast._get_provider().online_store
    key = EntityKey(join_keys=["movie_id"], entity_values=[Value(int64_val=1)])
    versions = [view("votes", MOVIE, count=Int64) for _ in range(3)]
    for number, version in enumerate(versions, start=1):
        version.current_version_number = number
        online.update(feast.config, [], [version], [], [], partial=False)
    for number, version in enumerate(versions[:2], start=1):
        online.online_write_batch(feast.config, version, [(key, {"count": Value(int64_val=number)}, NOW, NOW)], None)
    tagged = view("votes", MOVIE, count=Int64)
    tagged.projection.version_tag = 2
    read = [online.online_read(feast.config, version, [key], ["count"]) for version in (*versions, tagged)]
    one, two = ([(NOW, {"count": Value(int64_val=number)})] for number in (1, 2))
    assert read == [one, two, [(None, None)], two]
    online.update(feast.config, versions[:1], [], [], [], partial=False)
    online.teardown(feast.config, versions[1:], [])
    tables = "select from pg_class where relkind = 'r' and starts_with(relname, %s)"
    assert connection.execute(tables, [f"{feast.project}_"]).fetchall() == []
    close(feast)


def test_the_table_above_names_every_test() -> None:
    here = {name for name in globals() if name.startswith("test_")} - {"test_the_table_above_names_every_test"}
    assert __doc__ is not None
    assert sorted(re.findall(r"\| (test_\w+) \|$", __doc__, re.MULTILINE)) == sorted(here)
