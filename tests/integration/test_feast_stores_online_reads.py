"""Online reads are answered from columns, and equal Feast's own way through protobuf, and Feast's own store."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.online_stores.online_store import OnlineStore
from feast.on_demand_feature_view import on_demand_feature_view
from feast.online_response import OnlineResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Int64List, Value
from feast.types import Array, Float64, Int32, Int64, String, UnixTimestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feast_stores.online_response import QuickOnlineResponse
from feast_stores.online_store import WidePostgresOnlineStore

pytestmark = pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning")

NOW = datetime.now(UTC).replace(microsecond=123_000)
EARLY = datetime(1899, 1, 1, tzinfo=UTC)
MOVIE = Entity(name="movie", join_keys=["movie_id"], value_type=ValueType.INT64)
PERSON = Entity(name="person", join_keys=["person_name"], value_type=ValueType.STRING)
MOVIES, PEOPLE = (1, 2, 3, 2**62), ("Ann", "Bea", "")  # of which some have rows
Written = tuple[tuple[Value, ...], dict[str, Value], datetime]


def view(name: str, entities: list[Entity], ttl: timedelta, **schema: Any) -> FeatureView:
    source = PostgreSQLSource(name=name, table=name, timestamp_field="event_time")
    fields = [Field(name=feature, dtype=dtype) for feature, dtype in schema.items()]
    return FeatureView(name=name, entities=entities, ttl=ttl, schema=fields, source=source)


SCORE = view("score", [MOVIE], timedelta(0), points=Int64, weight=Float64, title=String, seen=UnixTimestamp)
TREND = view("trend", [MOVIE], timedelta(0), trend_share=Float64)
FRESH = view("fresh", [MOVIE], timedelta(days=1), fresh_votes=Int64, fresh_pages=Array(Int64))
ROLE = view("role", [MOVIE, PERSON], timedelta(0), billing=Int32, pages=Array(Int64))
VIEWS = (SCORE, TREND, FRESH, ROLE)
KEPT = [f"{one.name}:{field.name}" for one in VIEWS for field in one.features if one is not FRESH]
ALL = [f"{one.name}:{field.name}" for one in VIEWS for field in one.features]
SERVICES = {
    "some": FeatureService(name="some", features=[SCORE[["title", "points"]], TREND, ROLE[["billing"]]]),
    "twice": FeatureService(
        name="twice",
        features=[
            SCORE[["points"]],
            TREND.with_name("other").with_join_key_map({"movie_id": "other_id"}),
        ],
    ),
}


@on_demand_feature_view(sources=[SCORE], schema=[Field(name="halved", dtype=Int64)], mode="python")
def halved_points(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"halved": [None if points is None else points // 2 for points in inputs["points"]]}


def movie(number: int) -> tuple[Value, ...]:
    return (Value(int64_val=number),)


def member(number: int, name: str) -> tuple[Value, ...]:
    return (Value(int64_val=number), Value(string_val=name))


PAGES = Value(int64_list_val=Int64List(val=[4, 2**62]))
ROWS: dict[str, list[Written]] = {
    "score": [
        (
            movie(1),
            {
                "points": Value(int64_val=2**62 + 1), "weight": Value(double_val=0.1),
                "title": Value(string_val="É'"), "seen": Value(unix_timestamp_val=-1),
            },
            NOW,
        ),
        (movie(2), {name: Value() for name in ("points", "weight", "title", "seen")}, EARLY),
    ],
    "trend": [(movie(2), {"trend_share": Value(double_val=0.5)}, NOW)],
    "fresh": [
        (movie(1), {"fresh_votes": Value(int64_val=1), "fresh_pages": PAGES}, NOW - timedelta(days=2)),
        (movie(3), {"fresh_votes": Value(int64_val=3), "fresh_pages": Value()}, NOW),
    ],
    "role": [
        (member(1, "Ann"), {"billing": Value(int32_val=-1), "pages": PAGES}, NOW),
        (member(2, ""), {"billing": Value(int32_val=3), "pages": Value()}, NOW),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """The same rows in our store and in Feast's own."""

    ours: FeatureStore
    feasts: FeatureStore

    def quick(self, **request: Any) -> OnlineResponse:
        response = self.ours.get_online_features(**request)
        assert type(response) is QuickOnlineResponse
        return response

    def slow(self, **request: Any) -> OnlineResponse:
        """Our rows through Feast's own `get_online_features`, one protobuf message per cell."""
        store = self.ours._get_provider().online_store
        response = OnlineStore.get_online_features(
            store, config=self.ours.config, registry=self.ours.registry, project=self.ours.project, **request
        )
        assert type(response) is OnlineResponse
        return response


@pytest.fixture(scope="module")
def lab(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    parts = psycopg.conninfo.conninfo_to_dict(module_database_url)
    feasts = {
        "type": "postgres", "host": parts["host"], "port": int(parts["port"]), "database": parts["dbname"],
        "user": parts["user"], "password": "none", "sslmode": "disable", "conn_type": "pool",
    }  # fmt: skip
    ours = {"type": "feast_stores.online_store.WidePostgresOnlineStore", "connection": module_database_url}
    offline = "feast_stores.offline_store.PointInTimePostgresOfflineStore"
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute("create schema feasts")
        for one in VIEWS:
            connection.execute(f"create table {one.name} (movie_id bigint, event_time timestamptz)")
    stores = []
    for name, online_store in (("ours", ours), ("feasts", feasts)):
        config = RepoConfig(
            project=name,
            registry=str(folder / f"{name}.db"),
            offline_store={"type": offline, "connection": module_database_url},
            online_store={**online_store, "db_schema": name},
            entity_key_serialization_version=3,
        )
        store = FeatureStore(config=config)
        store.apply([MOVIE, PERSON, *VIEWS, halved_points, *SERVICES.values()])
        for one in VIEWS:
            keys = [entity.join_key for entity in (MOVIE, PERSON)][: len(one.entities)]
            rows = [
                (EntityKey(join_keys=keys, entity_values=values), features, event_time, None)
                for values, features, event_time in ROWS[one.name]
            ]
            store._get_provider().online_write_batch(store.config, store.get_feature_view(one.name), rows, None)
        stores.append(store)
    yield Lab(*stores)
    for store in stores:
        online = store._get_provider().online_store
        online.disconnect() if isinstance(online, WidePostgresOnlineStore) else online._conn_pool.close()


def same(one: OnlineResponse, other: OnlineResponse) -> None:
    """In every form. The protobuf is compared last: it is built when it is read."""
    for with_times in (False, True):
        mine, theirs = one.to_dict(with_times), other.to_dict(with_times)
        assert list(mine.items()) == list(theirs.items())
        assert [list(map(type, values)) for values in mine.values()] == [
            list(map(type, values)) for values in theirs.values()
        ]
        assert one.to_df(with_times).equals(other.to_df(with_times))
        assert one.to_arrow(with_times).equals(other.to_arrow(with_times))
    assert one.proto == other.proto


@st.composite
def requests(draw: st.DrawFn, references: list[str], *, with_none: bool) -> dict[str, Any]:
    """References or a service, short or full names, rows or columns; keys that are there, missing or repeated."""
    service = draw(st.none() | st.sampled_from(sorted(SERVICES)))
    count = draw(st.integers(1, 5))
    columns: dict[str, list[Any]] = {}
    for name, known in (("movie_id", MOVIES), ("person_name", PEOPLE), ("other_id", MOVIES)):
        value = st.sampled_from([*known, None]) if with_none else st.sampled_from(known)
        columns[name] = draw(st.lists(value, min_size=count, max_size=count))
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return {
        "features": SERVICES[service]
        if service
        else draw(st.lists(st.sampled_from(references), min_size=1, unique=True)),
        "entity_rows": draw(st.sampled_from([rows, columns])),
        "full_feature_names": draw(st.booleans()),
    }


CASES = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@CASES
@given(request=requests(ALL, with_none=True))
def test_generated_reads_equal_feasts_own_way_over_the_same_rows(lab: Lab, request: dict[str, Any]) -> None:
    same(lab.quick(**request), lab.slow(**request))


@CASES
@given(request=requests(KEPT, with_none=False))  # Feast's store serves expired values and refuses empty keys
def test_generated_reads_equal_feasts_own_store(lab: Lab, request: dict[str, Any]) -> None:
    same(lab.quick(**request), lab.feasts.get_online_features(**request))


def test_versions_and_values_on_demand_are_left_to_feast(lab: Lab) -> None:
    rows = [{"movie_id": 2}, {"movie_id": 1}]
    response = lab.ours.get_online_features(["score:points"], rows, include_feature_view_version_metadata=True)
    assert [known.name for known in response.proto.metadata.feature_view_metadata] == ["score"]
    assert response.to_dict()["points"] == [None, 2**62 + 1]
    halved = lab.ours.get_online_features(["halved_points:halved", "trend:trend_share"], rows).to_dict()
    assert halved == {"movie_id": [2, 1], "trend_share": [0.5, None], "halved": [None, 2**61]}


def test_rows_that_do_not_fit_each_other_are_refused_in_feasts_words(lab: Lab) -> None:
    with pytest.raises(ValueError, match="All entity_rows must have the same keys"):
        lab.ours.get_online_features(["score:points"], [{"movie_id": 1}, {"film": 1}])


def test_a_missing_key_column_is_named(lab: Lab) -> None:
    with pytest.raises(KeyError, match="The entity rows lack person_name, which role is looked up by"):
        lab.ours.get_online_features(["role:billing"], [{"movie_id": 1}])


def test_a_new_definition_is_read_at_once(lab: Lab) -> None:
    """What is remembered of a request must not outlive the view."""
    request = {"features": ["trend:trend_share"], "entity_rows": [{"movie_id": 2}]}
    assert lab.quick(**request).to_dict()["trend_share"] == [0.5]
    lab.ours.apply([view("trend", [MOVIE], timedelta(seconds=1), trend_share=String)])
    try:
        assert lab.quick(**request).to_dict()["trend_share"] == [None]
    finally:
        lab.ours.apply([TREND])
        row = (EntityKey(join_keys=["movie_id"], entity_values=list(movie(2))), *ROWS["trend"][0][1:], None)
        lab.ours._get_provider().online_write_batch(lab.ours.config, TREND, [row], None)


def test_asynchronous_calls_give_the_same(lab: Lab) -> None:
    request = {"features": KEPT, "entity_rows": [{"movie_id": 1, "person_name": "Ann"}]}

    async def ask() -> list[OnlineResponse]:
        return list(await asyncio.gather(*(lab.ours.get_online_features_async(**request) for _ in range(5))))

    for response in asyncio.run(ask()):
        same(response, lab.slow(**request))
