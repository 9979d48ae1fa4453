"""dbt and Feast over hand-made films: what training gets, what is served and what is live are the same values."""

import math
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
import requests
from feast import FeatureStore
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from common.settings import Settings
from feature_repo.manifest import load_feature_models
from orchestration import commands
from orchestration.runtime import Runtime
from tests.conftest import free_port
from tests.feature_films import (
    FULL_PAYLOAD,
    LOADED_AT,
    ROOT,
    WOMAN_FIRST,
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
FILMS_WITH_AN_ANSWER = (1, 3, 4, 5, 6)


@pytest.fixture(scope="module")
def project(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Hand-made films, built and tested by dbt, published to Feast."""
    fill_raw_tables(module_database_url)
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"))
    built.build()
    built.publish()
    return built


@pytest.fixture(scope="module")
def store(project: Project) -> Iterator[FeatureStore]:
    with open_store(project.database_url) as opened:
        yield opened


def plain(value: Any) -> Any:
    """Feast gives integers with nulls as floats, and nulls as nan or NaT."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def feature_names(store: FeatureStore) -> list[str]:
    service = store.get_feature_service("movie_bechdel_history_v1")
    return [field.name for view in service.feature_view_projections for field in view.features]


def live_values(project: Project, movie_id: int) -> dict[str, Any]:
    (row,) = project.rows("select * from live.live_movie_features where movie_id = %s", [movie_id])
    return row


def offline_values(store: FeatureStore, project: Project, movie_id: int) -> dict[str, Any]:
    (key,) = project.rows(
        "select movie_id, event_timestamp from features.ftr_movie_cast where movie_id = %s", [movie_id]
    )
    service = store.get_feature_service("movie_bechdel_history_v1")
    frame = store.get_historical_features(entity_df=pd.DataFrame([key]), features=service).to_df()
    return {name: plain(value) for name, value in frame.iloc[0].to_dict().items()}


def online_values(store: FeatureStore, movie_id: int) -> dict[str, Any]:
    service = store.get_feature_service("movie_bechdel_history_v1")
    answer = store.get_online_features(features=service, entity_rows=[{"movie_id": movie_id}]).to_dict()
    return {name: plain(values[0]) for name, values in answer.items()}


@pytest.mark.parametrize("movie_id", FILMS_WITH_AN_ANSWER)
def test_offline_online_and_live_values_are_equal(store: FeatureStore, project: Project, movie_id: int) -> None:
    names = feature_names(store)
    live = live_values(project, movie_id)
    expected = {name: live[name] for name in names}
    offline = offline_values(store, project, movie_id)
    online = online_values(store, movie_id)
    assert {name: offline[name] for name in names} == expected
    assert {name: online[name] for name in names} == expected


def test_rated_film_without_an_answer_is_served_and_trained_alike(store: FeatureStore, project: Project) -> None:
    names = feature_names(store)
    offline, online = offline_values(store, project, 2), online_values(store, 2)
    assert {name: offline[name] for name in names} == {name: online[name] for name in names}
    assert online["cast_top3_female_share"] == 0.5
    assert online["crew_members_count"] is None


def test_values_are_those_that_a_person_counts(project: Project) -> None:
    values = live_values(project, 1)
    expected = {
        "cast_members_count": 4, "cast_known_gender_count": 3, "cast_top1_is_female": True,
        "cast_second_female_rank": 4, "cast_named_female_count": 1, "cast_role_only_female_count": 1,
        "crew_directors_count": 2, "crew_female_directors_share": 0.5, "crew_female_writers_count": 1,
        "production_runtime_minutes": 101, "production_budget_log": math.log(2_000_000),
        "production_main_country": "Sweden", "production_studios_count": 2, "production_release_season": "summer",
        "text_title": "The Queen & the Sea", "text_title_female_words_count": 1,
        "text_overview_female_words_count": 4, "text_overview_male_words_count": 1,
        "genre_is_adventure": True, "genre_is_war": False,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected


def test_live_film_that_got_a_later_release_day_is_not_in_its_own_history(project: Project) -> None:
    before = live_values(project, 1)
    with psycopg.connect(project.database_url, row_factory=dict_row) as connection:
        connection.execute(
            "update raw.tmdb_movies set payload = jsonb_set(payload, '{release_date}', '\"2030-01-01\"') "
            "where tmdb_id = 1"
        )
        (after,) = connection.execute("select * from live.live_movie_features where movie_id = 1").fetchall()
        connection.rollback()
    assert (before["production_release_year"], after["production_release_year"]) == (1999, 2030)
    history = {name: value for name, value in before.items() if name.startswith("history_")}
    assert history.items() <= after.items()


@pytest.mark.parametrize(
    ("orders", "is_known"),
    [
        ((0, 1, 3, 4), True),
        (("0", "1", "3", "4"), True),
        ((2, 3, 5, 6), True),
        ((1, None, None, None), True),
        ((None, None, None, None), True),
        ((7, 7, 7, 7), True),
        ((1, 0, 3, 4), False),
        ((None, 5, None, None), False),
    ],
)
def test_lead_actor_is_billed_first_wherever_the_list_has_them(
    project: Project, orders: tuple[object, ...], is_known: bool
) -> None:
    """Of this cast the first has played leads before, the others have not."""
    ordered = [{**member, "order": order} for member, order in zip(WOMAN_FIRST, orders, strict=True)]
    cast: list[Any] = [{name: value for name, value in member.items() if value is not None} for member in ordered]
    backwards = ["nobody", *cast[::-1]]
    for members in [cast] if len(set(orders)) == 1 else [cast, backwards]:
        with psycopg.connect(project.database_url, row_factory=dict_row) as connection:
            connection.execute(
                "insert into features.ftr_person_track_record select earlier.* "
                "from features.ftr_person_track_record as record, "
                """jsonb_populate_record(record, '{"event_timestamp": "1990-01-01"}') as earlier """
                "where record.person_id = 11"
            )
            connection.execute(
                "update raw.tmdb_movies set payload = jsonb_set(payload, '{credits,cast}', %s) where tmdb_id = 1",
                [Jsonb(members)],
            )
            (row,) = connection.execute("select * from live.live_movie_features where movie_id = 1").fetchall()
            connection.rollback()
        assert (row["history_lead_actor_films_count"] > 0) == is_known


def test_answer_without_credits_keeps_the_cast_that_the_file_knows(project: Project) -> None:
    values = live_values(project, 3)
    assert (values["cast_members_count"], values["crew_directors_count"]) == (4, 2)
    assert values["production_budget_log"] == math.log(5e6)
    assert values["production_release_year"] == 2001  # and the answer's release day wins


def test_cast_of_unknown_genders_has_a_size_but_no_share(project: Project) -> None:
    values = live_values(project, 5)
    assert (values["cast_members_count"], values["cast_unknown_gender_share"]) == (2, 1.0)
    assert (values["cast_female_share"], values["cast_top1_is_female"], values["text_overview"]) == (None, None, None)


def test_first_name_speaks_for_a_cast_of_unknown_genders_and_never_for_a_person(project: Project) -> None:
    values = live_values(project, 5)
    assert values["cast_expected_female_share"] > 0.8  # one Ada, as four women; nobody knows the other
    assert (values["cast_known_gender_count"], values["cast_female_count"]) == (0, None)
    assert (values["text_overview_female_names_count"], values["cast_female_share_of_all"]) == (None, 0.0)
    assert live_values(project, 6)["text_overview_female_names_count"] == 1


def test_published_figure_stands_in_for_a_list_that_nobody_has(project: Project) -> None:
    listed, published = live_values(project, 1), live_values(project, 6)
    assert (listed["cast_female_share_of_all"], listed["crew_female_share_of_all"]) == (0.5, pytest.approx(2 / 3))
    assert (published["cast_female_share_of_all"], published["crew_female_share_of_all"]) == (0.4, 0.125)
    assert (published["cast_female_share"], published["cast_members_count"]) == (None, None)


def test_release_day_join_cannot_see_the_reference_features(store: FeatureStore, project: Project) -> None:
    (key,) = project.rows(
        "select movie_id, event_timestamp from features.lbl_movie_bechdel_rating where movie_id = 1"
    )
    service = store.get_feature_service("movie_reference_v1")
    early = store.get_historical_features(entity_df=pd.DataFrame([key]), features=service).to_df()
    now = store.get_historical_features(
        entity_df=pd.DataFrame([{**key, "event_timestamp": pd.Timestamp.now(tz="UTC")}]), features=service
    ).to_df()
    assert plain(early["reference_title"][0]) is None
    assert now["reference_title"][0] == "Old title"


def test_labels_hold_every_rated_film_and_no_other(project: Project) -> None:
    labels = project.rows(
        "select movie_id, bechdel_rating, is_dubious from features.lbl_movie_bechdel_rating order by 1"
    )
    assert [tuple(row.values()) for row in labels] == [(movie_id, 3, False) for movie_id in (1, 2, 3, 6)]


def test_catalogue_holds_every_film_that_has_a_title(project: Project) -> None:
    films = project.rows("select movie_id, imdb_id, title_search, year, has_rating from marts.dim_movies order by 1")
    assert [tuple(film.values()) for film in films] == [
        (1, "tt0000101", "the queen and the sea", 1999, True),
        (2, "tt0000102", "rated only", 1998, True),
        (3, "tt0000103", "without credits", 2001, True),
        (5, "tt0000101", "the queen and the sea", 1999, False),
        (6, "tt0000106", "without lists", 1998, True),
    ]


def test_one_live_film_is_found_by_the_primary_keys_in_every_live_view(project: Project) -> None:
    views = project.rows("select table_name from information_schema.views where table_schema = 'live' order by 1")
    assert [row["table_name"] for row in views] == ["int_movies_live", "live_movie_features"]
    with psycopg.connect(project.database_url) as connection:
        # as the server asks: prepared, a plan for any film; five films fit in one page, which would be read whole
        connection.execute("set enable_seqscan = off; set plan_cache_mode = force_generic_plan")
        for view in (row["table_name"] for row in views):
            connection.execute(f"prepare film (bigint) as select * from live.{view} where movie_id = $1")  # noqa: S608
            plan = "\n".join(line for (line,) in connection.execute("explain execute film (1)").fetchall())
            connection.execute("deallocate film")
            for condition in ("using tmdb_movies_pkey", "Index Cond: (tmdb_id = $1)", "using movies_pkey"):
                assert condition in plan, view
            assert "Seq Scan" not in plan, view


def test_live_view_computes_only_the_families_that_are_selected(project: Project) -> None:
    def plan_of(columns: str) -> str:
        query = f"explain select {columns} from live.live_movie_features where movie_id = 1"  # noqa: S608  # constants
        return "\n".join(row["QUERY PLAN"] for row in project.rows(query))

    history, words = "ftr_person_track_record", "string_to_table"
    everything, cast = plan_of("*"), plan_of("cast_members_count, production_runtime_minutes, genre_is_war")
    assert history in everything
    assert words in everything
    assert history not in cast
    assert words not in cast


@pytest.fixture
def feast_console(project: Project) -> Iterator[str]:
    """`make feast-ui` on a port of its own; its address once it answers."""
    port = free_port()
    start = f"from orchestration import feast_ui as ui; ui.ADDRESS = (*ui.ADDRESS[:-1], '{port}'); ui.main()"
    environment = {**os.environ, "DB_CONNECTION_STRING": project.database_url}
    process = subprocess.Popen([sys.executable, "-c", start], cwd=ROOT, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while not answers(address):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield address
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False


def test_feasts_own_console_runs_and_shows_the_descriptions_of_the_contract(
    project: Project, feast_console: str
) -> None:
    assert "<div id=" in requests.get(feast_console, timeout=30).text
    for model in load_feature_models(project.manifest):
        address = f"{feast_console}/api/v1/feature_views/{model.view_name}?project=bechdel"
        view = requests.get(address, timeout=30).json()["spec"]
        assert view["description"] == model.description
        shown = {feature["name"]: feature["description"] for feature in view["features"]}
        assert shown == {feature.name: feature.description for feature in model.features}


def test_documentation_and_lineage_are_one_static_page(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "ROOT", tmp_path)  # the page of a running platform stays as it is
    settings = Settings(_env_file=None, db_connection_string=project.database_url, state_dir=tmp_path)
    assert commands.docs(Runtime(settings), Namespace()) == 0
    page = (tmp_path / "reports" / "dbt.html").read_text(encoding="utf-8")
    for model in load_feature_models(project.manifest):
        assert f"model.bechdel.{model.name}" in page
        assert f"exposure.bechdel.feast_{model.view_name}" in page
        assert all(feature.name in page for feature in model.features)


def test_old_films_are_told_by_source_freshness(project: Project) -> None:
    done = project.dbt("source", "freshness")
    assert done.returncode == 0, done.stdout  # it warns: an old file is no reason not to build
    assert "WARN freshness of raw.movies" in done.stdout
    assert "WARN freshness of raw.tmdb_movies" in done.stdout


def test_dbt_run_on_a_new_database_builds_what_dbt_build_does(database_url: str, tmp_path: Path) -> None:
    """It takes no snapshot, on which the history of ratings stands."""
    project = Project(database_url, tmp_path)
    fill_raw_tables(database_url)
    assert project.dbt("run").returncode == 0
    history = "select * from features.ftr_person_track_record order by person_id, event_timestamp"
    shape = "select column_name, data_type from information_schema.columns where table_name = 'snp_movies' order by 1"
    seen = project.rows(history), project.rows(shape)
    assert seen[0]
    assert project.rows("select from snapshots.snp_movies") == []
    project.run()
    assert (project.rows(history), project.rows(shape)) == seen
    assert project.rows("select dbt_valid_from from snapshots.snp_movies") == [{"dbt_valid_from": LOADED_AT}] * 4


def test_dbt_run_without_our_tables_says_what_to_do(make_database: Any, tmp_path: Path) -> None:
    project = Project(make_database(), tmp_path)
    with psycopg.connect(project.database_url) as connection:
        connection.execute("drop schema raw cascade")
    done = project.dbt("run", "--quiet")
    assert done.returncode != 0
    assert "Make it (python -m common.migrations) and load films" in " ".join(done.stdout.split())


def test_new_answer_is_live_at_once_and_published_by_the_next_build(database_url: str, tmp_path: Any) -> None:
    project = Project(database_url, tmp_path)
    with psycopg.connect(database_url) as connection:
        add_rated_film(connection, 1, title="First")
    project.run()
    assert "materialized view=movie_cast rows=1" in project.publish()
    assert "unchanged view=movie_cast rows=1" in project.publish()
    with psycopg.connect(database_url) as connection:
        add_payload(connection, 9, FULL_PAYLOAD)
    assert live_values(project, 9)["cast_members_count"] == 4
    with psycopg.connect(database_url) as reader:  # a lookup in the middle of a build finds the view
        reader.execute("prepare film as select cast_members_count from live.live_movie_features where movie_id = 9")
        reader.commit()
        project.run()
        assert reader.execute("execute film").fetchone() == (4,)
    assert "materialized view=movie_cast rows=2" in project.publish()
