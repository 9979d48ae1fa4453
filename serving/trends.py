"""How films fare by year, genre and maker, read from dbt's marts. Nothing is counted here."""

import csv
import io
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from common.errors import FeatureStoreError, PlatformError
from serving.charts import BarChart, Grid, LineChart, Share, draw_bars, draw_grid, draw_line
from serving.database import Database

KEPT_SECONDS = 60.0
MAX_ROWS = 2_000
MAX_BARS = 15
MAX_YEARS = 150  # in a page's table, which keeps the page under 150 kB; the CSV has every row
MAX_NAMES = 40
MIN_FILMS = 5  # a year with fewer would jump between 0 and 100 %; the table has it all the same


@dataclass(frozen=True)
class Trend:
    """A chart and the mart behind it.

    Attributes:
        mart: table in the schema `marts`.
        name_column: what the rows are of: a year or a name.
        kind: a line over years, bars, or a grid of names by decades.
    """

    title: str
    text: str
    mart: str
    name_column: str
    kind: Literal["line", "bars", "grid"] = "bars"
    share: str = "pass_share"
    low: str = "pass_low_share"
    high: str = "pass_high_share"
    count: str = "films_count"

    @property
    def columns(self) -> list[str]:
        """What the page's table shows."""
        return [name for name in (self.name_column, self.count, self.share, self.low, self.high) if name]

    @property
    def query(self) -> str:
        """All columns of the mart, in the chart's order: years, or the names with the most films first."""
        by_name, by_count = f'"{self.name_column}"', f'"{self.count}" desc, "{self.name_column}"'
        order = {"line": by_name, "grid": f"{by_name}, decade", "bars": by_count}[self.kind]
        return f'select * from marts."{self.mart}" order by {order} limit {MAX_ROWS}'  # noqa: S608 - constants


TRENDS: Mapping[str, Trend] = {
    "year": Trend(
        "Pass rate by year",
        "Share of rated films that pass, by year of release, with its 95 % interval. "
        "Years with fewer than 5 films are in the table only.",
        "agg_pass_rate_by_year",
        "year",
        kind="line",
    ),
    "women": Trend(
        "Women in casts over time",
        "Mean share of women among the cast members whose gender is known, by year of release.",
        "agg_pass_rate_by_year",
        "year",
        kind="line",
        share="mean_cast_female_share",
        low="",
        high="",
        count="known_casts_count",
    ),
    "genre": Trend(
        "Pass rate by genre and decade",
        "A film counts in each of its genres. Cells of fewer than 5 films are left empty.",
        "agg_pass_rate_by_genre_and_decade",
        "genre_name",
        kind="grid",
    ),
    "country": Trend(
        "Pass rate by country",
        "Countries of production with enough films.",
        "agg_pass_rate_by_country",
        "country_name",
    ),
    "studio": Trend(
        "Pass rate by studio", "Production companies with enough films.", "agg_pass_rate_by_studio", "studio_name"
    ),
    "director": Trend(
        "Pass rate by director", "Directors with enough rated films.", "agg_pass_rate_by_director", "director_name"
    ),
}


@dataclass(frozen=True)
class DrawnTrend:
    """A chart ready to be shown; `missing` says why there is none."""

    name: str
    trend: Trend
    chart: LineChart | BarChart | Grid | None = None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    row_count: int = 0
    missing: str = ""


class Trends:
    """Reads the marts, each at most once in KEPT_SECONDS."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, list[dict[str, Any]]]] = {}

    def read(self, name: str) -> list[dict[str, Any]]:
        """The rows of a chart's mart.

        Raises:
            FeatureStoreError: the mart is not built.
            DatabaseError: PostgreSQL cannot answer.
        """
        with self._lock:
            read_at, rows = self._kept.get(name, (float("-inf"), []))
            if time.monotonic() - read_at > KEPT_SECONDS:
                rows = self._database.fetch(TRENDS[name].query)
                self._kept[name] = (time.monotonic(), rows)
            return rows

    def read_all(self) -> list[DrawnTrend]:
        """Every chart, in the order of the page."""
        return [self._draw(name, trend) for name, trend in TRENDS.items()]

    def are_synthetic(self) -> bool:
        """Whether the figures count films that the sample generator made up; False while nothing can be read."""
        try:
            rows = self._database.fetch(
                "select exists (select from marts.fct_ratings where is_synthetic) as synthetic"
            )
        except PlatformError:
            return False
        return bool(rows[0]["synthetic"])

    def _draw(self, name: str, trend: Trend) -> DrawnTrend:
        try:
            rows = self.read(name)
        except FeatureStoreError:
            return DrawnTrend(name, trend, missing=f"marts.{trend.mart} is not built yet. Run: make up")
        except PlatformError as error:
            return DrawnTrend(name, trend, missing=str(error))
        rows = [row for row in rows if row[trend.share] is not None]
        shown = [row for row in rows if trend.kind == "bars" or row[trend.count] >= MIN_FILMS]
        if not shown:
            return DrawnTrend(name, trend, missing="Too few rated films are loaded. Run: make up")
        shares = [_read_share(trend, row) for row in shown]
        chart: LineChart | BarChart | Grid
        if trend.kind == "line":
            chart = draw_line(shares, of=trend.title)
        elif trend.kind == "grid":
            chart = draw_grid([(share, row["decade"]) for share, row in zip(shares, shown, strict=True)])
        else:
            chart = draw_bars(shares[:MAX_BARS], of=trend.title)
        columns = trend.columns
        return DrawnTrend(
            name,
            trend,
            chart,
            [column.replace("_", " ") for column in columns],
            [[_write(row[column]) for column in columns] for row in _select_rows(trend, rows)],
            len(rows),
        )


def _select_rows(trend: Trend, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page's table shows: every year, the names with the most films; a grid is its own table."""
    if trend.kind == "grid":
        return []
    return rows[-MAX_YEARS:] if trend.kind == "line" else rows[:MAX_NAMES]


def write_csv(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A mart's rows as CSV with a head."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    columns = list(rows[0]) if rows else [TRENDS[name].name_column]
    writer.writerow(columns)
    writer.writerows([_disarm(row[column]) for column in columns] for row in rows)
    return text.getvalue()


def _read_share(trend: Trend, row: Mapping[str, Any]) -> Share:
    def number(column: str) -> float | None:
        value = row.get(column)
        return None if value is None else float(value)

    count = row.get(trend.count)
    return Share(
        name=str(row[trend.name_column]),
        value=float(row[trend.share]),
        low=number(trend.low),
        high=number(trend.high),
        count=None if count is None else int(count),
    )


def _write(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _disarm(value: Any) -> Any:
    """A text that a spreadsheet would take as a formula, as a text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
