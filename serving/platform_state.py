"""The road from films to answers as it stands now: counts, ages and faults of each station."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import sql

from common.errors import PlatformError
from common.settings import ROOT
from serving.database import Database

RUN_RESULTS = ROOT / "dbt_project" / "target" / "run_results.json"
KEPT_SECONDS = 10.0  # counting all rows takes longer than a page should
HOW_TO_BUILD = "Run: make up"
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


class PlatformState:
    """Looks at the stores, at most once in KEPT_SECONDS."""

    def __init__(self, database: Database, run_results: Path = RUN_RESULTS) -> None:
        self._database = database
        self._run_results = run_results
        self._lock = threading.Lock()
        self._stations: tuple[Station, ...] = ()
        self._looked_at = float("-inf")

    def stations(self) -> tuple[Station, ...]:
        """From the raw tables to the online store."""
        with self._lock:
            if time.monotonic() - self._looked_at > KEPT_SECONDS:
                self._stations = (
                    _guard("Raw films", "ingestion/", self._look_at_raw),
                    _guard("dbt", "dbt_project/", self._look_at_dbt),
                    _guard("Feature tables", "dbt_project/models/features/", self._look_at_features),
                    _guard("Feast online store", "feature_repo/, feast_stores/", self._look_at_online),
                )
                self._looked_at = time.monotonic()
            return self._stations

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
            Fact("TMDB answers", f"{row['answers']:,}, {row['live']:,} of them live", age(row["answers_at"])),
            Fact("quarantined rows", f"{row['films_rejected']:,} films, {row['answers_rejected']:,} answers"),
        )
        if not row["films"]:
            return Station("Raw films", "ingestion/", facts, "warning", "No films are loaded. Run: make up")
        return Station("Raw films", "ingestion/", facts)

    def _look_at_dbt(self) -> Station:
        try:
            report = json.loads(self._run_results.read_bytes())
        except (OSError, ValueError):
            return _empty("dbt", "dbt_project/", "No build is recorded on this machine.")
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

    def _look_at_features(self) -> Station:
        name, folder = "Feature tables", "dbt_project/models/features/"
        tables = self._database.fetch(
            """
            select table_name from information_schema.tables
            where table_schema = 'features' and starts_with(table_name, 'ftr_') order by table_name
            """
        )
        facts = [self._count(row["table_name"]) for row in tables]
        return Station(name, folder, facts) if facts else _empty(name, folder, f"No features yet. {HOW_TO_BUILD}")

    def _count(self, table: str) -> Fact:
        name = sql.Identifier("features", table)
        [row] = self._database.fetch(sql.SQL("select count(*) as films from {}").format(name).as_string(None))
        return Fact(table.removeprefix("ftr_"), f"{row['films']:,} rows")

    def _look_at_online(self) -> Station:
        """What publish.py recorded: rows and the time they were materialized."""
        name, folder = "Feast online store", "feature_repo/, feast_stores/"
        rows = self._database.fetch(
            "select feature_view, row_count, published_at from online.published order by feature_view"
        )
        facts = [Fact(r["feature_view"], f"{r['row_count']:,} rows", age(r["published_at"])) for r in rows]
        return Station(name, folder, facts) if facts else _empty(name, folder, f"Nothing is there. {HOW_TO_BUILD}")


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
