"""The road from films to answers as it stands now: counts, ages and faults of each station."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from psycopg import sql

from common.errors import PlatformError
from common.settings import ROOT
from serving.database import Database

RUN_RESULTS = ROOT / "dbt_project" / "target" / "run_results.json"
KEPT_SECONDS = 10.0  # counting all rows takes longer than a page should
HOW_TO_BUILD = "Run: make up"
FEATURES_FOLDER = "dbt_project/models/features/"
ONLINE_FOLDER = "feature_repo/, feast_stores/"
FEAST_UI = "http://127.0.0.1:8888"
FEAST_UI_SECONDS = 0.3
INTERNAL_NAMES = (".internal", ".local", ".svc")  # known inside a cluster only
GOOD_RESULTS = ("success", "pass", "no-op", "skipped")


@dataclass(frozen=True)
class Fact:
    """A line at a station; `age` is since when, in words."""

    name: str
    value: str
    age: str = ""


@dataclass(frozen=True)
class Station:
    """A stop on the road.

    Attributes:
        folder: the code that works here.
        state: `good`, `warning` or `away`; also said in words by `problem`.
    """

    name: str
    folder: str
    facts: Sequence[Fact] = field(default_factory=tuple)
    state: str = "good"
    problem: str = ""


@dataclass(frozen=True)
class View:
    """A feature view: rows behind it in PostgreSQL, rows that serving reads, and when these were published.

    Attributes:
        state: `good`, or `warning` when `problem` says what to do.
    """

    name: str
    rows: int
    online_rows: int | None
    published: str = ""
    state: str = "good"
    problem: str = ""


@dataclass(frozen=True)
class Console:
    """A page of one of the platform's tools.

    Attributes:
        address: where a browser finds it; empty when it does not.
        command: what brings it up, or an address inside the platform.
    """

    name: str
    text: str
    address: str = ""
    command: str = ""


class PlatformState:
    """Looks at the stores, at most once in KEPT_SECONDS."""

    def __init__(self, database: Database, run_results: Path = RUN_RESULTS) -> None:
        self._database = database
        self._run_results = run_results
        self._lock = threading.Lock()
        self._stations: tuple[Station, ...] = ()
        self._views: tuple[View, ...] = ()
        self._looked_at = float("-inf")

    def stations(self) -> tuple[Station, ...]:
        """From the raw tables to the online store."""
        self._look()
        return self._stations

    def views(self) -> tuple[View, ...]:
        """The feature views, empty while there are none or the database is away."""
        self._look()
        return self._views

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() - self._looked_at <= KEPT_SECONDS:
                return
            self._views = ()
            self._stations = (
                _guard("Raw films", "ingestion/", self._look_at_raw),
                _guard("dbt", "dbt_project/", self._look_at_dbt),
                _guard("Feature tables", FEATURES_FOLDER, self._look_at_features),
                _guard("Feast online store", ONLINE_FOLDER, self._look_at_online),
            )
            self._looked_at = time.monotonic()

    def _look_at_raw(self) -> Station:
        rows = self._database.fetch(
            """
            select
                (select count(*) from raw.movies) as films,
                (select string_agg(distinct source, ', ') from raw.movies) as sources,
                (select max(loaded_at) from raw.movies) as films_at,
                (select count(*) from raw.tmdb_movies) as answers,
                (select count(*) from raw.tmdb_movies where source = 'api') as live,
                (select max(fetched_at) from raw.tmdb_movies) as answers_at,
                (select count(*) from raw.movies_rejected) as films_rejected,
                (select count(*) from raw.tmdb_movies_rejected) as answers_rejected
            """
        )
        if not rows:
            return _empty("Raw films", "ingestion/", "Nothing is loaded.")
        row = rows[0]
        facts = (
            Fact("rated films", f"{row['films']:,} ({row['sources'] or 'none'})", age(row["films_at"])),
            Fact("TMDB answers", f"{row['answers']:,}", age(row["answers_at"])),
            Fact("of them live", f"{row['live']:,}"),
            Fact("in quarantine", f"{row['films_rejected']:,} films, {row['answers_rejected']:,} answers"),
        )
        if not row["films"]:
            return Station("Raw films", "ingestion/", facts, "warning", "No films are loaded. Run: make up")
        return Station("Raw films", "ingestion/", facts)

    def _look_at_dbt(self) -> Station:
        try:
            report = json.loads(self._run_results.read_bytes())
        except (OSError, ValueError):
            return self._look_at_tables_of_dbt()
        counts = Counter(
            (result["unique_id"].split(".")[0], result["status"] in GOOD_RESULTS) for result in report["results"]
        )
        failed = [result["unique_id"].split(".")[2] for result in report["results"] if not _is_good(result)]
        facts = (
            Fact(f"last {report['args'].get('which', 'run')}", _seconds(report), age(_read_time(report))),
            Fact("models built", str(counts["model", True])),
            Fact("tests passed", f"{counts['test', True]} data tests, {counts['unit_test', True]} unit tests"),
        )
        if failed:
            return Station("dbt", "dbt_project/", facts, "warning", f"Failed: {', '.join(failed[:5])}.")
        return Station("dbt", "dbt_project/", facts)

    def _look_at_tables_of_dbt(self) -> Station:
        """In containers the record of the build stays where dbt ran; what it built is in reach."""
        rows = self._database.fetch(
            """
            select table_schema, count(*) as tables from information_schema.tables
            where table_schema in ('staging', 'features', 'live', 'marts', 'monitoring')
            group by table_schema order by table_schema
            """
        )
        if not rows:
            return _empty("dbt", "dbt_project/", f"Nothing is built. {HOW_TO_BUILD}")
        facts = [Fact(f"in {row['table_schema']}", f"{row['tables']} tables and views") for row in rows]
        return Station("dbt", "dbt_project/", (*facts, Fact("last build", "recorded where dbt ran, not here")))

    def _look_at_features(self) -> Station:
        tables = self._database.fetch(
            """
            select table_name from information_schema.tables
            where table_schema = 'features' and starts_with(table_name, 'ftr_') order by table_name
            """
        )
        if not tables:
            return _empty("Feature tables", FEATURES_FOLDER, f"No features yet. {HOW_TO_BUILD}")
        self._views = tuple(self._count(row["table_name"]) for row in tables)
        facts = (
            Fact("tables", str(len(tables))),
            Fact("rows", f"{sum(view.rows for view in self._views):,}"),
            Fact("rated films", f"{self._count_labels():,}"),
        )
        return Station("Feature tables", FEATURES_FOLDER, facts)

    def _count(self, table: str) -> View:
        name = sql.Identifier("features", table)
        [row] = self._database.fetch(sql.SQL("select count(*) as films from {}").format(name).as_string(None))
        return View(table.removeprefix("ftr_"), row["films"], None, "", "warning", "not published")

    def _count_labels(self) -> int:
        [row] = self._database.fetch("select count(*) as films from features.lbl_movie_bechdel_rating")
        return int(row["films"])

    def _look_at_online(self) -> Station:
        """What publish.py recorded: rows and the time they were materialized."""
        name = "Feast online store"
        rows = self._database.fetch(
            "select feature_view, row_count, published_at from online.published order by feature_view"
        )
        if not rows:
            return _empty(name, ONLINE_FOLDER, f"Nothing is there. {HOW_TO_BUILD}")
        published = {row["feature_view"]: row for row in rows}
        self._views = tuple(_join(view, published.get(view.name)) for view in self._views)
        oldest = min(row["published_at"] for row in rows)
        facts = (
            Fact("views", str(len(rows))),
            Fact("rows", f"{sum(row['row_count'] for row in rows):,}"),
            Fact("published", age(oldest)),
        )
        behind = [view.name for view in self._views if view.problem]
        if behind:
            return Station(name, ONLINE_FOLDER, facts, "warning", f"Behind: {', '.join(behind)}. {HOW_TO_BUILD}")
        return Station(name, ONLINE_FOLDER, facts)


def _join(view: View, published: Mapping[str, Any] | None) -> View:
    if published is None:
        return view
    online, published_age = published["row_count"], age(published["published_at"])
    if online < view.rows:
        return View(view.name, view.rows, online, published_age, "warning", "fewer rows online")
    return View(view.name, view.rows, online, published_age)


def list_consoles(tracking_uri: str, *, page_host: str, docs: Path) -> list[Console]:
    """The tools' own pages, as links where the reader's browser can follow them.

    Args:
        tracking_uri: MLflow's address as the server knows it.
        page_host: the host in the address that the reader's browser asked for.
        docs: dbt's documentation.
    """
    mlflow = Console("MLflow", "Runs, figures and versions of the model.")
    if not re.match(r"https?://", tracking_uri):
        mlflow = replace(mlflow, command="make up")
    elif is_reachable(tracking_uri, page_host):
        mlflow = replace(mlflow, address=tracking_uri)
    else:
        mlflow = replace(mlflow, command=tracking_uri)
    feast = Console("Feast", "Feature views, services and their fields.", command="make feast-ui")
    if is_reachable(FEAST_UI, page_host) and _is_feast_ui(FEAST_UI):
        feast = replace(feast, address=FEAST_UI)
    dbt = Console("dbt", "Every table and column in words, with the lineage.", command="make docs")
    if docs.is_file():
        written = age(datetime.fromtimestamp(docs.stat().st_mtime, UTC))
        dbt = replace(dbt, text=f"{dbt.text} Written {written}.", address="/platform/dbt-docs")
    return [
        mlflow,
        feast,
        dbt,
        Console("API", "Every request and answer, to try out.", "/docs"),
        Console("OpenAPI", "The same for programs.", "/openapi.json"),
        Console("Metrics", "Counts and durations for Prometheus.", "/metrics"),
        Console("Readiness", "What answers depend on, as JSON.", "/readyz"),
    ]


def is_reachable(address: str, page_host: str) -> bool:
    """Whether a browser that reads a page of `page_host` can be expected to reach an address of the server's."""
    host = urlsplit(address).hostname or ""
    if _is_loopback(host):
        return _is_loopback(page_host)
    return "." in host and not host.endswith(INTERNAL_NAMES)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _is_feast_ui(address: str) -> bool:
    """Whether Feast's console answers there; its port is also that of other tools."""
    try:
        answer = requests.get(f"{address}/projects-list.json", timeout=FEAST_UI_SECONDS)
        return answer.ok and "projects" in answer.json()
    except (requests.RequestException, ValueError):
        return False


def age(moment: datetime | None) -> str:
    """How long ago, in words."""
    if moment is None:
        return ""
    seconds = max((datetime.now(UTC) - moment).total_seconds(), 0.0)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return "just now"


def _guard(name: str, folder: str, look: Callable[[], Station]) -> Station:
    try:
        return look()
    except PlatformError as error:
        return Station(name, folder, state="away", problem=str(error))


def _empty(name: str, folder: str, problem: str) -> Station:
    return Station(name, folder, state="warning", problem=problem)


def _is_good(result: dict[str, Any]) -> bool:
    return result["status"] in GOOD_RESULTS


def _seconds(report: dict[str, Any]) -> str:
    return f"{report['elapsed_time']:.1f} s"


def _read_time(report: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(report["metadata"]["generated_at"])
