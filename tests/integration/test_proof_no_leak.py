"""Nothing that happens later changes what the model is taught about an earlier film."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from feast import FeatureService, FeatureStore, FeatureView, Field
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64

from feature_repo.views import NEVER_EXPIRES
from tests.feature_films import LOADED_AT, Project, add_first_load, add_payload, add_rated_film, open_store
from training.dataset import hash_frame, load_dataset, load_labels

pytestmark = [
    # Feast's and its dependencies' own; none of them is about what we call
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

EARLIER_FILMS = range(1, 41)
RECAST_FILM = 41  # of a director of earlier films, but newer than all of them
LATER = LOADED_AT + timedelta(days=30)
LEAKY_VIEW = """
    create view features.leaky as
    select
        movies.tmdbid as movie_id,
        movies.release_date::timestamp at time zone 'UTC' as event_timestamp,
        movies.first_loaded_at as created_timestamp,
        (select avg((others.bt_score = 3)::integer)::double precision from raw.movies as others
         where others.crew -> 0 ->> 'id' = movies.crew -> 0 ->> 'id') as leaky_director_pass_share
    from raw.movies as movies
"""


def add_film(
    connection: psycopg.Connection, movie_id: int, *, released: date, rating: int, **columns: object
) -> None:
    """A film of one of five directors, four lead actors and three genres."""
    director = {"id": 100 + movie_id % 5, "gender": movie_id % 3, "job": "Director"}
    lead = {"id": 200 + movie_id % 4, "name": "Ada Ek", "gender": 1 + movie_id % 2, "order": 0, "character": "Ada"}
    kim = {"id": 300 + movie_id, "name": "Kim Al", "gender": 1 + (movie_id > 100), "order": 1}
    values = {
        "bt_score": rating, "release_date": released, "crew": [director, {**director, "job": "Writer"}],
        "cast": [lead, kim], "revenue": 1e6 + movie_id,
        "genres": ["Drama", ("War", "Comedy", "Crime")[movie_id % 3]], "production_companies": ["Harbour"],
        "vote_average": 5.0, "vote_count": 10.0, "popularity": 1.0,
    }  # fmt: skip
    add_rated_film(connection, movie_id, title=f"Film {movie_id}", **{**values, **columns})


@pytest.fixture(scope="module")
def project(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Forty films, two a month, loaded at once, built and published."""
    with psycopg.connect(module_database_url) as connection:
        for movie_id in EARLIER_FILMS:
            released = date(1990 + movie_id // 24, 1 + movie_id // 2 % 12, 1 + movie_id % 3)
            add_film(connection, movie_id, released=released, rating=movie_id * 7 % 4)
            add_payload(connection, movie_id, {"title": f"Film {movie_id}", "overview": "She and Kim and Ada"})
        add_film(connection, RECAST_FILM, released=date(1999, 9, 9), rating=3)
        add_first_load(connection)
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"))
    built.run()
    built.publish()
    return built


@pytest.fixture(scope="module")
def store(project: Project) -> Iterator[FeatureStore]:
    with open_store(project.database_url) as opened:
        yield opened


def matrix_hash(store: FeatureStore, project: Project, service: str) -> str:
    """Hash of what a model would be taught about the earlier films: every feature of every film."""
    labels = load_labels(project.database_url)
    dataset = load_dataset(store, labels[labels["movie_id"].isin(EARLIER_FILMS)], service)
    assert len(dataset.frame) == len(EARLIER_FILMS)
    return hash_frame(dataset.frame[["movie_id", *dataset.features]])


def the_world_goes_on(connection: psycopg.Connection) -> None:
    """All that may happen after the first load, in every way that could reach back."""
    told = {"first_loaded_at": LATER, "loaded_at": LATER}
    for movie_id in range(101, 111):
        add_film(connection, movie_id, released=date(2020, 1, movie_id - 100), rating=3, **told)  # released later
    days = connection.execute("select distinct on (release_date) tmdbid, release_date from raw.movies").fetchall()
    for movie_id, released in days[:10]:
        add_film(connection, 200 + movie_id, released=released, rating=3, **told)  # on a film's own day
    for movie_id in range(301, 311):
        add_film(connection, movie_id, released=date(1970, 1, movie_id - 300), rating=3, **told)  # old, told late
        add_payload(connection, movie_id, {"title": "Old", "release_date": f"1970-01-{movie_id - 300:02}"})
    connection.execute(
        "update raw.tmdb_movies set loaded_at = %s, fetched_at = %s where tmdb_id > 300", [LATER, LATER]
    )
    connection.execute(  # ratings, votes and money of the films themselves
        "update raw.movies set bt_score = 3 - bt_score, vote_average = 9.9, vote_count = vote_count + 1e6, "
        "revenue = 1e9, popularity = 99, loaded_at = %s where tmdbid < 100",
        [LATER],
    )
    connection.execute(
        """update raw.movies set "cast" = "cast" || '[{"id": 999, "gender": 1, "order": 2}]' where tmdbid = %s""",
        [RECAST_FILM],
    )


def cast_sizes(store: FeatureStore, project: Project, films: Sequence[int], *, filtered: bool) -> list[float | None]:
    """Of films at their release days, with or without the filter on the second clock."""
    labels = load_labels(project.database_url)
    keys = labels.loc[labels["movie_id"].isin(films), ["movie_id", "event_timestamp"]]
    joined = store.get_historical_features(
        entity_df=keys, features=["movie_cast:cast_members_count"], filter_by_created_timestamp=filtered
    )
    sizes: list[float | None] = joined.to_arrow()["cast_members_count"].to_pylist()
    return sizes


def test_filter_on_the_second_clock_keeps_the_history_that_was_loaded_at_once(
    store: FeatureStore, project: Project
) -> None:
    assert cast_sizes(store, project, EARLIER_FILMS, filtered=True) == [2] * len(EARLIER_FILMS)


def test_later_films_ratings_and_votes_change_no_release_day_row_and_a_leaky_view_is_caught(
    store: FeatureStore, project: Project
) -> None:
    register_leaky_view(store, project)
    services = ("movie_bechdel_v1", "movie_bechdel_history_v1", "leaky_v1")
    before = {service: matrix_hash(store, project, service) for service in services}
    (seen,) = project.rows(
        "select count(*) as n from features.ftr_movie_history where history_director_films_count > 3"
    )
    assert seen["n"] > 10  # there is a history that could have changed

    with psycopg.connect(project.database_url) as connection:
        the_world_goes_on(connection)
    project.run()

    after = {service: matrix_hash(store, project, service) for service in services}
    assert after["movie_bechdel_v1"] == before["movie_bechdel_v1"]
    assert after["movie_bechdel_history_v1"] == before["movie_bechdel_history_v1"]
    assert after["leaky_v1"] != before["leaky_v1"]  # so this check is able to fail

    (changed,) = project.rows("select max(event_timestamp) as at from features.ftr_person_track_record")
    assert changed["at"] == datetime(2026, 1, 31, tzinfo=UTC)  # the new ratings count, from when we learned of them


def test_filter_on_the_second_clock_hides_what_was_written_late(store: FeatureStore, project: Project) -> None:
    """Old films that we were told of late, after `the_world_goes_on`."""
    told_late = range(301, 311)
    assert cast_sizes(store, project, told_late, filtered=False) == [2] * len(told_late)
    assert cast_sizes(store, project, told_late, filtered=True) == [None] * len(told_late)


def test_corrected_cast_changes_the_films_own_row_and_its_second_clock_says_so(project: Project) -> None:
    """Only ratings are kept by version: what the two clocks promise is in docs/decisions/0010-two-clocks.md."""
    (row,) = project.rows(
        "select cast_female_count, created_timestamp from features.ftr_movie_cast where movie_id = %s", [RECAST_FILM]
    )
    assert row == {"cast_female_count": 2, "created_timestamp": LATER}
    (versions,) = project.rows(
        """select array_agg(jsonb_array_length("cast") order by dbt_valid_from) as casts from snapshots.snp_movies """
        "where tmdbid = %s",
        [RECAST_FILM],
    )
    assert versions["casts"] == [2, 3]  # and what it was is kept


def test_joins_at_release_days_see_nothing_that_is_known_after_release(store: FeatureStore, project: Project) -> None:
    labels = load_labels(project.database_url)
    late = [
        name for name in load_dataset(store, labels, "movie_bechdel_anytime_v1").features if "after_release" in name
    ]
    dataset = load_dataset(store, labels, "movie_bechdel_anytime_v1")
    now = load_dataset(store, labels, "movie_bechdel_anytime_v1", as_of=datetime.now(UTC))
    assert dataset.frame[late].isna().all(axis=None)
    assert now.frame[late].notna().any().all()


def test_track_records_count_only_films_of_earlier_days(project: Project) -> None:
    """Against a slow, obvious count in plain SQL."""
    wrong = project.rows(
        """
        with films as (
            select
                movies.tmdbid as movie_id,
                movies.release_date,
                movies.crew -> 0 ->> 'id' as director
            from raw.movies as movies
            where movies.tmdbid < 100
        )
        select films.movie_id, history.history_director_films_count, earlier.films
        from films
        inner join features.ftr_movie_history as history on films.movie_id = history.movie_id
        cross join lateral (
            select count(*) as films
            from films as others
            where others.director = films.director and others.release_date < films.release_date
        ) as earlier
        where history.history_director_films_count is distinct from earlier.films
        """
    )
    assert wrong == []


def register_leaky_view(store: FeatureStore, project: Project) -> None:
    """A view that counts all films of a director, whenever they were released: what history must not be."""
    with psycopg.connect(project.database_url) as connection:
        connection.execute(LEAKY_VIEW)
    source = PostgreSQLSource(
        name="leaky",
        table="features.leaky",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    view = FeatureView(
        name="leaky",
        entities=[store.get_entity("movie")],
        schema=[Field(name="leaky_director_pass_share", dtype=Float64)],
        source=source,
        ttl=NEVER_EXPIRES,
    )
    store.apply([view, FeatureService(name="leaky_v1", features=[view])])
