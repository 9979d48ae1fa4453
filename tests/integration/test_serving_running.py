"""The whole server in its own processes: TMDB, the registry and the database fail under it, and it answers."""

import gzip
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import requests

from benchmarks.serving.endurance import exercise, judge, wishes
from common.scoring import Calibration, Scorer
from serving.database import Database
from serving.prediction import SINGLE_SECONDS
from tests.fake_tmdb import KINDS, SLOW, TOKEN, FakeTmdb, expected
from tests.feature_films import ROOT, Project
from tests.recorded_tmdb import recorded_tmdb
from tests.served_films import fitted_on, offline_rows
from tests.served_platform import (
    FakeRegistry,
    RunningServer,
    Wire,
    ask_until_all_hear,
    running_server,
    wait_for,
    wait_until_ready,
)

pytestmark = pytest.mark.timeout(300)

DEADLINE = SINGLE_SECONDS + 1.0  # and one for a busy machine
BREAKER_SECONDS = 16.0  # after so long a circuit breaker that other tests have opened lets a caller in
CLIENTS = 64
CLIENT_PROCESSES = 2
KNOWN = 900000001  # a film of the sample
PAIRS = tuple(
    pair for pair in itertools.combinations(KINDS, 2)
    if not set(pair) & set(SLOW) or set(pair) & {"503", "drop_append", "404"} or set(pair) == set(SLOW)
)  # fmt: skip
EVALUATION = {"time": {"rating_3": {"auc": 0.81, "intervals": {"auc": [0.79, 0.83]}}}}
PROBLEMS = {404: "/problems/movie-not-found", 503: "/problems/tmdb-unavailable"}

Inject = Callable[..., None]


@dataclass(frozen=True)
class Stage:
    """The server and what it stands on.

    Attributes:
        offline: feature rows by film.
        unasked: a film that no test asks for twice: the server remembers nothing of it.
    """

    server: RunningServer
    database_url: str
    registry: FakeRegistry
    tmdb: FakeTmdb
    to_tmdb: Wire
    to_database: Wire
    to_registry: Wire
    scorer: Scorer
    offline: dict[int, dict[str, Any]]
    unasked: int


@pytest.fixture(scope="module")
def stage(served_films: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("server")
    registry, tmdb = FakeRegistry(folder / "models"), FakeTmdb()
    database = Database(served_films.database_url, connections=1)
    films = [row["movie_id"] for row in database.fetch("select movie_id from marts.dim_movies order by movie_id")]
    rows = offline_rows(database, films)
    database.close()
    offline = {film: row for film, row in rows.items() if film >= KNOWN}
    unasked, _ = offline.popitem()
    scorer = fitted_on(offline)
    registry.add("1", scorer, EVALUATION)
    registry.add("2", replace(scorer, calibrations=(Calibration(2.0, 0.5),) * 3), EVALUATION)
    registry.add("3", scorer, EVALUATION, broken=True)
    renamed = [
        replace(info, name="nobody_has_this") if name == scorer.value_names[0] else info
        for name, info in scorer.features.items()
    ]
    registry.add("4", replace(scorer, features={info.name: info for info in renamed}), EVALUATION)
    registry.champion = "1"
    address = urlsplit(served_films.database_url)
    wires = Wire(tmdb.port), Wire(address.port or 5432), Wire(registry.port)
    to_tmdb, to_database, to_registry = wires
    with running_server(
        folder,
        DB_CONNECTION_STRING=served_films.database_url.replace(f":{address.port}/", f":{to_database.port}/"),
        MLFLOW_TRACKING_URI=f"http://127.0.0.1:{to_registry.port}",
        TMDB_API_TOKEN=TOKEN,
        TMDB_API_BASE_URL=f"http://127.0.0.1:{to_tmdb.port}/3",
        LOG_LEVEL="DEBUG",
    ) as server:
        yield Stage(
            server,
            served_films.database_url,
            registry,
            tmdb,
            to_tmdb,
            to_database,
            to_registry,
            scorer,
            offline,
            unasked,
        )
    for part in (*wires, registry, tmdb):
        part.close()


def ask_under_faults(server: RunningServer, inject: Inject, film: int, kinds: tuple[str, ...]) -> str:
    """Ask for a film whose next questions to TMDB meet faults; what is wrong with the answer, empty for nothing."""
    inject(film, *kinds)
    response, seconds = ask_tmdb_through(server, film)
    status, lacks_credits = expected(*kinds)
    body = response.json()
    found: list[Any] = [response.status_code, body.get("type")]
    wanted: list[Any] = [status, PROBLEMS.get(status)]
    if status == response.status_code == 200:
        found += [body["data"]["live"], len(body["data"]["degraded"])]
        wanted += [True, int(lacks_credits)]
    if status == 503:  # another film closes the circuit breaker again
        server.ask({"tmdb_id": film + 500_000})
    if found != wanted or seconds > DEADLINE:
        return f"{' then '.join(kinds)}: {found} instead of {wanted} after {seconds:.1f} s: {response.text[:300]}"
    return ""


def ask_tmdb_through(server: RunningServer, film: int) -> tuple[requests.Response, float]:
    """The answer and its seconds; a circuit breaker that other cases have opened is waited for, as it asks to be."""
    for _ in range(6):
        started = time.monotonic()
        response = server.ask({"tmdb_id": film})
        seconds = time.monotonic() - started
        if "several times in a row" not in response.text:
            break
        time.sleep(float(response.headers["Retry-After"]))
    return response, seconds


def ask_all(server: RunningServer, inject: Inject, films: Iterator[int], cases: list[tuple[str, ...]]) -> list[str]:
    with ThreadPoolExecutor(3) as pool:  # five failures in a row open the circuit breaker of a worker
        runs = [pool.submit(ask_under_faults, server, inject, next(films), case) for case in cases]
        return [complaint for run in runs if (complaint := run.result())]


def test_scores_of_200_films_over_http_are_those_of_the_offline_rows(stage: Stage) -> None:
    films = list(stage.offline)
    wanted = stage.scorer.probabilities(stage.scorer.encode([stage.offline[film] for film in films]))
    answers = [
        answer
        for part in (films[:100], films[100:])
        for answer in stage.server.ask({"movies": [{"tmdb_id": film} for film in part]}).json()["predictions"]
    ]

    assert len(films) == 200
    found = [list(answer["prediction"]["rating_probabilities"].values()) for answer in answers]
    assert found == wanted.tolist()


def test_card_and_metrics_tell_the_registered_version(stage: Stage) -> None:
    card = stage.server.get("/api/v1/model").json()
    lines = dict(line.rsplit(" ", 1) for line in stage.server.get("/metrics").text.splitlines() if line[0] != "#")
    loaded_at = datetime.fromtimestamp(float(lines["bechdel_champion_loaded_timestamp_seconds"]), UTC)

    assert card["metrics"] == [{"split": "time", "name": "auc", "value": 0.81, "interval": [0.79, 0.83]}]
    assert card["trained_at"] == "2023-11-14T22:13:20Z"  # as the registry says
    assert float(lines["bechdel_champion_version"]) == float(card["version"]) == 1
    # each worker has loaded it by itself, and the metrics are of one of them
    assert abs(loaded_at - datetime.fromisoformat(card["loaded_at"])) < timedelta(seconds=60)
    assert loaded_at < datetime.now(UTC)


def test_every_fault_alone_and_in_pairs_ends_in_the_right_answer(stage: Stage) -> None:
    workers = stage.server.workers()
    # all pairs meet the client in tests/unit/common/test_tmdb_faults.py; here each kind before and after others
    pairs = [pair for step in (1, 5) for pair in zip(KINDS, (*KINDS[step:], *KINDS[:step]), strict=True)]
    cases = [*((kind,) for kind in KINDS), *pairs]

    assert ask_all(stage.server, stage.tmdb.inject, itertools.count(1_000_001), cases) == []
    assert stage.server.workers() == workers


@pytest.mark.parametrize("kind", ["503", "reset", "invalid_json", "429"])
def test_lasting_fault_leaves_stored_films_and_an_honest_error_for_others(stage: Stage, kind: str) -> None:
    film = 1_900_000 + int(sum(kind.encode()))
    stage.tmdb.inject(film, kind, lasting=True)
    stage.tmdb.inject(3, kind, lasting=True)

    unknown, known = stage.server.ask({"tmdb_id": film}), stage.server.ask({"tmdb_id": 3})

    assert (unknown.status_code, unknown.json()["type"]) == (503, PROBLEMS[503])
    assert unknown.headers["Content-Type"] == "application/problem+json"
    assert unknown.headers["Retry-After"]
    assert known.status_code == 200, known.text
    assert not known.json()["data"]["live"]
    assert "TMDB" in known.json()["data"]["degraded"][0]
    # at most the breaker of a worker is open: once it lets a caller in, another film is answered live
    other, _ = ask_tmdb_through(stage.server, film + 500_000)
    assert other.status_code == 200, other.text
    assert other.json()["data"]["live"]


def test_tmdb_that_hangs_for_ever_is_given_up_at_the_deadline(stage: Stage) -> None:
    def timed(film: int, kind: str) -> tuple[int, float]:
        stage.tmdb.inject(film, kind, lasting=True)
        response, seconds = ask_tmdb_through(stage.server, film)
        return response.status_code, seconds

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(timed, (1_800_001, 1_800_002), SLOW))

    assert [status for status, _ in answers] == [503, 503]
    assert min(seconds for _, seconds in answers) >= SINGLE_SECONDS  # until then a retry may still work
    assert max(seconds for _, seconds in answers) < DEADLINE


@contextmanager
def redirected(stage: Stage, port: int) -> Iterator[None]:
    """Another TMDB for the server."""

    def lead_to(target: int) -> None:
        stage.to_tmdb.cut()
        stage.to_tmdb.target = target
        stage.to_tmdb.mend()

    lead_to(port)
    try:
        yield
    finally:
        lead_to(stage.tmdb.port)


@contextmanager
def catalogued(database: Database, films: Sequence[int]) -> Iterator[None]:
    """Films that a backfill looks for on TMDB."""
    database.fetch(
        """
        insert into marts.dim_movies
        select made.*
        from marts.dim_movies as film
        cross join unnest(%s::bigint[]) as wanted (movie_id)
        cross join lateral jsonb_populate_record(
            film, jsonb_build_object('movie_id', wanted.movie_id, 'is_synthetic', false)
        ) as made
        where film.movie_id = %s
        """,
        [list(films), KNOWN],
    )
    try:
        yield
    finally:
        database.fetch("delete from marts.dim_movies where movie_id = any(%s)", [list(films)])
        database.close()


def test_server_and_backfill_keep_one_limit_and_people_do_not_wait_for_jobs(stage: Stage) -> None:
    time.sleep(BREAKER_SECONDS)
    tmdb = FakeTmdb()  # one that no other test has left hanging
    tmdb.seconds = 0.4
    settings = {"DB_CONNECTION_STRING": stage.database_url, "TMDB_API_BASE_URL": tmdb.url, "TMDB_API_TOKEN": TOKEN}
    command = [sys.executable, "-m", "serving", "backfill"]
    times: list[float] = []
    films, asked = range(2_000_001, 2_000_161), itertools.count(2_100_001)
    with catalogued(Database(stage.database_url, connections=1), films), redirected(stage, tmdb.port):
        job = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings})
        try:
            wait_until(lambda: len(tmdb.starts) >= 10)
            while job.poll() is None:
                response, seconds = ask_tmdb_through(stage.server, next(asked))
                assert response.json()["data"]["live"], response.text
                times.append(seconds)
            assert job.returncode == 0
        finally:
            job.kill()
            job.wait()
            tmdb.close()

    assert len(times) >= 8
    assert max(times) < 2.0  # one has waited for a moment's pace, none for the films before it in the backfill
    assert tmdb.peak <= 10
    assert tmdb.most_a_second <= 20
    assert len(tmdb.starts) >= len(films) + len(times)


def test_real_answers_with_every_fault_and_pair_of_the_stub(stage: Stage, shared_data: Path) -> None:
    payloads = shared_data / "tmdb_payloads.jsonl.gz"

    def inject(film: int, *kinds: str) -> None:
        for kind in kinds:
            fault: dict[str, Any] = {"kind": kind, "path": f"/movie/{film}[/?]", "count": 1, "ms": 30_000, "mb": 6}
            fault |= {"ms": 200} if kind == "latency" else {"bps": 20} if kind == "slow_drip" else {}
            requests.post(f"http://127.0.0.1:{port}/__fault", params=fault, timeout=10).raise_for_status()

    with recorded_tmdb(shared_data, "--payloads", str(payloads)) as port, redirected(stage, port):
        cases = [*((kind,) for kind in KINDS), *PAIRS]
        assert ask_all(stage.server, inject, iter(read_films(payloads)), cases) == []


def read_films(payloads: Path) -> list[int]:
    """Ids that the stub knows, far from those of the other tests."""
    with gzip.open(payloads, "rt", encoding="utf-8") as lines:
        found = [re.match(r'\{"id": ?(\d+)', line) or re.search(r'"id": ?(\d+)', line) for line in lines]
    return [int(match[1]) for match in found if match]


def test_64_clients_meet_a_new_champion_within_ten_seconds_and_no_answer_fails_or_mixes(stage: Stage) -> None:
    films = [film for (film,) in sample_films(stage)]
    processes, share = get_context("spawn"), CLIENTS // CLIENT_PROCESSES
    start = processes.Barrier(CLIENT_PROCESSES + 1)
    with ProcessPoolExecutor(CLIENT_PROCESSES, processes, initializer=wait_for, initargs=[start]) as pool:
        runs = [
            pool.submit(ask_until_all_hear, stage.server.url, films, "2", share, seconds=20.0)
            for _ in range(CLIENT_PROCESSES)
        ]
        wait_for(start)
        time.sleep(2)
        stage.registry.champion, swapped_at = "2", time.monotonic()
        heard = [run.result() for run in runs]

    answers = [answer for run in heard for answer in run]
    assert {answer.version for answer in answers} == {"1", "2"}
    assert min(answer.at for answer in answers if answer.version == "2") - swapped_at < 10
    for run in heard:  # before the deadline all have gone over
        assert {answer.version for answer in run[-2 * share :]} == {"2"}
    probabilities: dict[tuple[int, str], set[float]] = {}
    for answer in answers:
        probabilities.setdefault((answer.film, answer.version), set()).add(answer.probability)
    assert all(len(values) == 1 for values in probabilities.values())  # a film and a model have one answer
    both = [film for film in films if {(film, "1"), (film, "2")} <= probabilities.keys()]
    assert any(probabilities[film, "1"] != probabilities[film, "2"] for film in both)


def sample_films(stage: Stage) -> list[tuple[int]]:
    found = stage.server.get("/api/v1/movies/search?q=the&limit=20").json()["movies"]
    return [(film["tmdb_id"],) for film in found if film["tmdb_id"] in stage.offline]


def version_that_answers(stage: Stage) -> str:
    return str(stage.server.ask({"tmdb_id": KNOWN}).json()["model"]["version"])


@pytest.mark.parametrize(
    ("champion", "reason"), [("3", "cannot be read"), ("4", "lacks features of the model: nobody")]
)
def test_broken_champion_is_refused_and_the_old_one_answers(stage: Stage, champion: str, reason: str) -> None:
    before = stage.registry.champion
    assert before is not None
    wait_until(lambda: {version_that_answers(stage) for _ in range(8)} == {before})  # in both workers
    stage.registry.champion = champion
    wait_until(
        lambda: re.search(f"version {champion} .*{reason}", checks(stage)["model"].get("detail", "")) is not None
    )

    answer = stage.server.ask({"tmdb_id": KNOWN})

    assert answer.json()["model"]["version"] == before
    assert stage.server.get("/readyz").status_code == 200
    stage.registry.champion = before
    wait_until(lambda: "detail" not in checks(stage)["model"])


@pytest.mark.parametrize("failure", ["cut", "silence", "wrong"])
def test_registry_away_slow_or_wrong_is_told_and_the_loaded_model_answers(stage: Stage, failure: str) -> None:
    stage.registry.is_wrong = failure == "wrong"
    if failure != "wrong":
        getattr(stage.to_registry, failure)()
    try:
        wait_until(lambda: is_ok(stage, "mlflow") == {False})
        assert stage.server.get("/readyz").status_code == 200
        assert stage.server.ask({"tmdb_id": KNOWN}).status_code == 200
    finally:
        stage.registry.is_wrong = False
        stage.to_registry.mend()
    wait_until(lambda: is_ok(stage, "mlflow") == {True})


@contextmanager
def without_online_store(stage: Stage) -> Iterator[None]:
    """Feast's tables are gone."""
    with psycopg.connect(stage.database_url, autocommit=True) as connection:
        connection.execute("alter schema online rename to online_gone")
        try:
            yield
        finally:
            connection.execute("alter schema online_gone rename to online")


@contextmanager
def with_locked_online_store(stage: Stage) -> Iterator[None]:
    """Feast's tables let nobody read."""
    with psycopg.connect(stage.database_url) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'online' "
            "and tablename <> 'published'"
        ).fetchall()
        connection.execute(f"lock table {', '.join(name for (name,) in tables)} in access exclusive mode")
        yield


@pytest.mark.parametrize("failing", [without_online_store, with_locked_online_store])
def test_feature_store_wrong_or_slow_is_told_and_films_are_answered_from_what_has_landed(
    stage: Stage, failing: Callable[[Stage], AbstractContextManager[None]]
) -> None:
    films = {"movies": [{"tmdb_id": film} for film in list(stage.offline)[:3]]}
    before = [answer["prediction"] for answer in stage.server.ask(films).json()["predictions"]]
    with failing(stage):
        wait_until(lambda: not checks(stage)["feature_store"]["ok"])
        ready = stage.server.get("/readyz")
        started = time.monotonic()
        answer = stage.server.ask({"tmdb_id": stage.unasked}).json()
        seconds = time.monotonic() - started

    assert (ready.status_code, ready.json()["checks"]["database"]["ok"]) == (200, True)
    assert "Features were computed anew" in answer["data"]["degraded"][0]
    assert seconds < DEADLINE
    wait_until(lambda: is_ok(stage, "feature_store") == {True})
    assert [answer["prediction"] for answer in stage.server.ask(films).json()["predictions"]] == before


@pytest.mark.parametrize(("failure", "unseen"), [("cut", 2), ("silence", 6)])
def test_database_away_or_silent_is_told_in_time_and_forgotten_when_it_is_back(
    stage: Stage, failure: str, unseen: int
) -> None:
    for _ in range(8):  # each worker remembers the film
        assert stage.server.ask({"tmdb_id": KNOWN}).status_code == 200
    getattr(stage.to_database, failure)()
    try:
        started = time.monotonic()
        known = stage.server.ask({"tmdb_id": KNOWN})
        unknown = stage.server.ask({"tmdb_id": unseen})
        ready = stage.server.get("/readyz")
        seconds = time.monotonic() - started
    finally:
        stage.to_database.mend()

    assert known.status_code == 200, known.text
    assert (unknown.status_code, unknown.json()["type"]) == (503, "/problems/database-unavailable")
    assert (ready.status_code, ready.json()["checks"]["database"]["ok"]) == (503, False)
    assert seconds < 3 * DEADLINE
    wait_until_ready(stage.server)
    assert stage.server.ask({"tmdb_id": unseen}).status_code == 200


def test_memory_stays_flat_and_every_answer_is_right_over_thousands_of_requests(stage: Stage) -> None:
    films = [film for (film,) in sample_films(stage)]
    process = psutil.Process(stage.server.process.pid)

    readings, failures = exercise(stage.server.port, process, wishes(films, search=False), 5_000, say=print)

    judge(readings, failures)


def test_refused_credential_is_named_and_stored_films_are_answered(stage: Stage) -> None:
    # the last one to ask TMDB: a refused credential is remembered for a minute
    stage.tmdb.inject(1_700_001, "401")

    refused, stored = stage.server.ask({"tmdb_id": 1_700_001}), stage.server.ask({"tmdb_id": KNOWN})

    assert (refused.status_code, refused.json()["type"]) == (502, "/problems/tmdb-credential-refused")
    assert TOKEN not in refused.text
    assert stored.status_code == 200


def test_token_is_in_no_log_line_and_each_request_has_one(stage: Stage) -> None:
    log = stage.server.log.read_text()

    assert TOKEN not in log
    assert "Traceback" not in log
    assert log.count(" serving.app request id=") > 100


def checks(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.server.get("/readyz").json()["checks"]
    return found


def is_ok(stage: Stage, part: str) -> set[bool]:
    """What the workers say about a part: each new connection may meet another one."""
    return {checks(stage)[part]["ok"] for _ in range(8)}


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
