"""The server's parts on a real PostgreSQL, built by dbt and published to Feast: what is served is what was built."""

import copy
import gc
import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from pydantic import SecretStr
from sqlalchemy import Engine

from common.errors import DatabaseError, FeatureStoreError
from common.tmdb import TmdbClient
from common.tmdb.titles import search_key
from serving.champion import Champion, ModelVersion
from serving.database import Database
from serving.explanations import plain_value
from serving.features_live import LiveFeatures
from serving.features_online import OnlineFeatures
from serving.feedback import Feedback
from serving.film_details import read_details
from serving.films import Catalogue, film_from_payload
from serving.landing import Landing
from serving.metrics import Metrics
from serving.prediction import Predictor
from serving.prediction_log import LoggedPrediction, PredictionLog
from serving.schemas import ByTmdbId, PredictionAnswer
from tests.feature_films import FULL_PAYLOAD, ROOT, Project
from tests.served_films import TEXTS, fitted_on, offline_rows
from tests.serving_parts import FakeChampions

pytestmark = [
    # Feast's and its dependencies' own; none of them is about what we call
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
FEATURES = (
    "cast_female_count",
    "cast_female_share",
    "crew_members_count",
    "text_overview",
    "production_release_year",
)
LOGS = ROOT / "docs" / "model_logs.md"
AWKWARD_TITLES = (
    "Amélie!", "WALL·E", "Schindler's List", "$9.99", "!!!", "Ночной дозор", "千と千尋の神隠し", "¿Qué?", "M*A*S*H",
    "—", "Tick, Tick... Boom!", "Æon Flux", "Ocean\u2019s Eleven", "a_b", "[REC]³", "Mr. & Mrs. Smith", "كفرناحوم",
)  # fmt: skip


@pytest.fixture(scope="module")
def project(served_films: Project) -> Project:
    return served_films


@pytest.fixture
def database(project: Project) -> Iterator[Database]:
    opened = Database(project.database_url, connections=2)
    yield opened
    opened.close()


@pytest.fixture
def online(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnlineFeatures]:
    monkeypatch.setenv("DB_CONNECTION_STRING", project.database_url)
    yield OnlineFeatures(ROOT / "feature_repo")
    # Feast leaves its connections to the end of the process, which warns of them
    for left in gc.get_objects():
        if isinstance(left, ConnectionPool):
            left.close()
        elif isinstance(left, Engine):
            left.dispose()


def test_online_and_live_features_of_a_film_are_the_same(database: Database, online: OnlineFeatures) -> None:
    live = LiveFeatures(database).read([1, 5], FEATURES)
    stored = online.read([1, 5], "movie_bechdel_v1")

    assert live.keys() == stored.keys() == {1, 5}
    for tmdb_id, row in live.items():
        assert {name: stored[tmdb_id][name] for name in FEATURES} == pytest.approx(dict(row))


def test_film_that_was_never_published_is_absent(database: Database, online: OnlineFeatures) -> None:
    assert online.read([999], "movie_bechdel_v1") == {}
    assert LiveFeatures(database).read([999], FEATURES) == {}


def test_unknown_service_says_what_to_run(online: OnlineFeatures) -> None:
    with pytest.raises(FeatureStoreError, match="make up"):
        online.read([1], "movie_bechdel_v99")


def test_feature_that_no_live_view_has_is_named(database: Database) -> None:
    with pytest.raises(FeatureStoreError, match="no_such_feature"):
        LiveFeatures(database).read([1], (*FEATURES, "no_such_feature"))


def test_catalogue_finds_films_by_id_title_and_imdb_id(database: Database) -> None:
    catalogue = Catalogue(database)

    film, answer = catalogue.find([1])[1]
    by_title = catalogue.match("RATED, only", None).film
    by_original_title = catalogue.match("drottningen", 2000)

    assert film is not None
    assert (film.title, film.year, film.rating) == ("The Queen & the Sea", 1999, 3)
    assert answer is not None
    assert answer.tmdb_id == 1
    assert catalogue.find([404]) == {404: (None, None)}
    assert by_title is not None
    assert by_title.tmdb_id == 2
    assert by_original_title.kind == "several"  # films 1 and 5 share it, and a year off by one is tolerated
    assert catalogue.find_imdb_id("tt0000101") in (1, 5)
    assert [found.tmdb_id for found in catalogue.search("RATED", 5)] == [2]


def test_typed_wildcards_are_letters(database: Database) -> None:
    assert Catalogue(database).search("%", 5) == []


def test_landed_answer_without_credits_keeps_the_earlier_ones(database: Database) -> None:
    landing = Landing(database)
    landing.land({"id": 77, **FULL_PAYLOAD})
    landing.land({"id": 77, "title": "New\0 title"})

    _, landed = Catalogue(database).find([77])[77]
    live = LiveFeatures(database).read([77], FEATURES)[77]

    assert landed is not None
    assert landed.has_credits
    assert landed.facts["title"] == "New title"
    assert landed.is_fresh
    assert datetime.now(UTC) >= landed.fetched_at
    assert live["cast_female_count"] == 2


def odd_payloads() -> Iterator[tuple[str, dict[str, Any]]]:
    """The full answer with one field missing or of another kind, in the film, in its first actor and crew member."""
    odd = (None, "", 0, -1, 2**40, 1.5, True, "much", [], {}, [None], [{}], [[]], {"name": "x"})
    for people in (None, "cast", "crew"):
        names = FULL_PAYLOAD if people is None else FULL_PAYLOAD["credits"][people][0]  # type: ignore[index]
        for name in names:
            for value in (..., *odd):
                payload = copy.deepcopy(FULL_PAYLOAD)
                holder: Any = payload if people is None else payload["credits"][people][0]  # type: ignore[index]
                holder[name] = value
                if value is ...:
                    del holder[name]
                yield f"{people or 'film'}.{name} = {value!r}", payload


def test_every_field_of_an_answer_may_be_missing_or_of_another_kind(database: Database) -> None:
    """movary#188, pjones/themoviedb#2, nefarious#170, mnamer#32, tmdb-kotlin#119."""
    columns = database.fetch(
        "select distinct column_name from information_schema.columns "
        "where table_schema = 'live' and table_name like 'live\\_movie\\_%%' and column_name <> 'movie_id'",
        [],
    )
    names = tuple(sorted(row["column_name"] for row in columns))
    assert len(names) > 50
    landing, live, complaints = Landing(database), LiveFeatures(database), []
    for case, payload in odd_payloads():
        try:
            landed = landing.land({"id": 90, **payload})
            film = film_from_payload(landed.facts, None, is_synthetic=False)
            details = read_details(database, 90)
            found = live.read([90], names)[90]
        except Exception as error:  # noqa: BLE001 - all that fail are to be told
            complaints.append(f"{case}: {error}")
        else:
            assert film.title
            assert found.keys() == set(names)
            assert details.cast_size <= 4

    assert complaints == []


def test_what_if_is_answered_by_the_live_view_and_leaves_nothing_behind(database: Database) -> None:
    with database.rehearse() as rehearsal:
        rehearsal.fetch("update raw.tmdb_movies set payload = jsonb_set(payload, '{credits,cast,0,gender}', '2')")
        imagined = LiveFeatures(rehearsal).read([1], FEATURES)[1]  # type: ignore[arg-type]

    real = LiveFeatures(database).read([1], FEATURES)[1]
    assert imagined["cast_female_count"] == real["cast_female_count"] - 1
    assert imagined["text_overview"] == real["text_overview"]


def test_missing_tables_say_what_to_run(database_url: str) -> None:
    empty = Database(database_url, connections=1)
    with pytest.raises(FeatureStoreError, match="make up"):
        Catalogue(empty).find([1])
    empty.close()


def test_database_that_is_away_is_named() -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/none", connections=1)
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:9/none"):
        away.fetch("select 1")
    away.close()


def keys_in_sql(database_url: str, titles: list[str]) -> list[str]:
    """What the macro `search_key` makes of titles."""
    text = (ROOT / "dbt_project" / "macros" / "search_key.sql").read_text(encoding="utf-8")
    body = re.search(r"macro search_key\(column\) -%}(.*){%- endmacro", text, re.S)
    assert body is not None
    expression: Any = body[1].replace("{{ column }}", "title").replace("%", "%%")
    with psycopg.connect(database_url) as connection:
        query = f"select {expression} from unnest(%s::text[]) with ordinality as typed (title, place) order by place"  # noqa: S608
        return [row[0] for row in connection.execute(query, [titles])]


def test_catalogue_and_client_agree_on_what_a_title_is(database_url: str) -> None:
    assert keys_in_sql(database_url, list(AWKWARD_TITLES)) == [search_key(title) for title in AWKWARD_TITLES]


def test_they_agree_on_every_real_title(database_url: str, shared_data: Path) -> None:
    with gzip.open(shared_data / "tmdb_payloads.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = (re.search(r'"original_title": ?"((?:[^"\\]|\\.)*)"', line) for line in lines)
        titles = [match[1] for match in found if match and "\\" not in match[1] and "&" not in match[1]]

    assert len(titles) > 5000
    assert keys_in_sql(database_url, titles) == [search_key(title) for title in titles]


def logged(request_id: str) -> LoggedPrediction:
    return LoggedPrediction(
        request_id=request_id,
        predicted_at=datetime.now(UTC),
        movie_id=1,
        payload_hash=None,
        model_name="bechdel-test-predictor",
        model_version="3",
        feature_service="movie_bechdel_v1",
        vector=b'{"cast_female_share":0.5,"genre_count":null,"production_original_language":"en"}',
        rating_probabilities=(0.1, 0.2, 0.1, 0.6),
        verdict="pass",
        is_live=False,
        is_cached=False,
        degraded=("TMDB is away.",),
        stage_seconds={"model": 0.001},
    )


def test_predictions_are_read_as_they_were_logged(database: Database) -> None:
    log = PredictionLog(database, Metrics())
    log.put(logged("first"))
    log.put(logged("second"))

    assert log.write_queued() == 2
    [row] = database.fetch("select * from serving.prediction_log where request_id = 'first'")
    assert row["vector"] == {"cast_female_share": 0.5, "genre_count": None, "production_original_language": "en"}
    assert row["rating_probabilities"] == [0.1, 0.2, 0.1, 0.6]
    assert (row["probability"], row["degraded"]) == (0.6, ["TMDB is away."])


def test_feedback_stands_beside_the_known_rating(database: Database) -> None:
    before, _ = Catalogue(database).find([1])[1]

    Feedback(database).give(1, 0, "no", request_id="r", model_version="3")

    [row] = database.fetch("select rating, comment from serving.feedback where movie_id = 1")
    assert (row["rating"], row["comment"]) == (0, "no")
    after, _ = Catalogue(database).find([1])[1]
    assert after == before
    assert after is not None
    assert after.rating == 3


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", LOGS.read_text(encoding="utf-8"), re.S))
def test_documented_queries_run(database: Database, query: str) -> None:
    log = PredictionLog(database, Metrics())
    log.put(logged("the X-Request-ID of the answer"))
    log.write_queued()
    Feedback(database).give(1, 2, None, request_id="r", model_version="3")

    assert database.fetch(query)


def test_old_answers_and_predictions_expire_and_files_stay(database: Database) -> None:
    landing = Landing(database)
    landing.land({"id": 78, **FULL_PAYLOAD})
    landing.land({"id": 79, **FULL_PAYLOAD})
    database.fetch("update raw.tmdb_movies set fetched_at = now() - interval '181 days' where tmdb_id in (1, 78)")

    assert landing.expire(timedelta(days=180), limit=5) == 1
    left = Catalogue(database).find([1, 78, 79])
    assert {film for film, (_, answer) in left.items() if answer} == {1, 79}


@contextmanager
def as_if_tmdb_had_answered(database: Database) -> Iterator[None]:
    """The sample's films, which other tests find as they were."""
    before = database.fetch("select tmdb_id, source, fetched_at from raw.tmdb_movies where is_synthetic")
    database.fetch("update raw.tmdb_movies set source = 'api', fetched_at = now() where is_synthetic")
    try:
        yield
    finally:
        database.fetch(
            "update raw.tmdb_movies as landed set source = was.source, fetched_at = was.fetched_at "
            "from unnest(%s::bigint[], %s::text[], %s::timestamptz[]) as was (tmdb_id, source, fetched_at) "
            "where landed.tmdb_id = was.tmdb_id",
            [[row[name] for row in before] for name in ("tmdb_id", "source", "fetched_at")],
        )


@pytest.mark.parametrize("road", ["online", "live"])
def test_answers_equal_the_offline_rows_and_their_scores(
    database: Database, online: OnlineFeatures, road: str
) -> None:
    ids = [row["movie_id"] for row in database.fetch("select movie_id from marts.dim_movies where is_synthetic")]
    rows = offline_rows(database, ids)
    scorer = fitted_on(rows)
    champion = Champion(ModelVersion("bechdel-test-predictor", "9", "run"), scorer, datetime.now(UTC))
    tmdb = TmdbClient(SecretStr("unused"), "http://127.0.0.1:9/3") if road == "live" else None
    log, landing = PredictionLog(database, Metrics()), Landing(database)
    champions: Any = FakeChampions(champion)
    predictor = Predictor(
        champions=champions, catalogue=Catalogue(database), landing=landing, live=LiveFeatures(database),
        online=online, tmdb=tmdb, metrics=Metrics(), log=log,
    )  # fmt: skip

    with as_if_tmdb_had_answered(database) if road == "live" else nullcontext():
        answers = predictor.predict_all([ByTmdbId(tmdb_id=tmdb_id) for tmdb_id in ids])
    while log.write_queued():
        pass
    logged = database.fetch("select movie_id, vector from serving.prediction_log where model_version = '9'")
    database.fetch("truncate serving.prediction_log")

    wanted = scorer.probabilities(scorer.encode([rows[tmdb_id] for tmdb_id in ids]))[:, 3]
    assert len(ids) == len(logged) > 200
    for tmdb_id, answer, probability in zip(ids, answers, wanted, strict=True):
        assert isinstance(answer, PredictionAnswer), answer
        assert (answer.movie.tmdb_id, answer.data.live) == (tmdb_id, road == "live")
        assert answer.prediction.probability == probability
    for row in logged:
        offline = {name: plain_value(rows[row["movie_id"]][name]) for name in scorer.value_names}
        assert row["vector"] == offline
    assert set(scorer.feature_names) - set(scorer.value_names) == set(TEXTS)  # not logged: the scores are of them too
    for text in TEXTS:
        assert any(booster.feature_importance()[scorer.column_of(text)] for booster in scorer.boosters), text
    for count in ("text_title_words_count", "text_tagline_words_count", "text_overview_words_count"):
        assert any(row["vector"][count] for row in logged), count


@pytest.mark.parametrize(
    "attack",
    [
        "x'; delete from serving.feedback; --",
        "' or ''='",
        "%' union select usename, passwd from pg_shadow --",
        "$$; drop schema raw cascade; $$",
        "%s %(key)s {0}",
        "\\'; drop table raw.movies; --",
    ],
)
def test_what_people_type_is_never_taken_for_sql(database: Database, attack: str) -> None:
    catalogue = Catalogue(database)
    films = database.fetch("select count(*) as films from raw.movies")
    known = database.fetch("select movie_id from marts.dim_movies")

    assert {film.tmdb_id for film in catalogue.search(attack, 5)} <= {film["movie_id"] for film in known}
    assert catalogue.match(attack, None).kind in {"none", "similar"}
    number, _ = Feedback(database).give(5, 1, attack, request_id=attack, model_version=attack)
    [stored] = database.fetch("select * from serving.feedback where feedback_id = %s", [number])
    assert (stored["comment"], stored["request_id"], stored["model_version"]) == (attack, attack, attack)
    assert database.fetch("select count(*) as films from raw.movies") == films
