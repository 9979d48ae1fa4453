"""How films fare by year, genre and maker, read from dbt's marts. Nothing is counted here."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from common.errors import FeatureStoreError, PlatformError
from serving.charts import (
    BarChart,
    Grid,
    LevelChart,
    LineChart,
    Share,
    draw_bars,
    draw_grid,
    draw_levels,
    draw_line,
    leave_out_lone_years,
)
from serving.database import Database
from serving.recent import Recent

KEPT_SECONDS = 60.0
MAX_ROWS = 2_000
MAX_BARS = 15
MAX_YEARS = 150  # in a page's table, which keeps the page under 150 kB; the CSV has every row
MAX_NAMES = 40
MIN_FILMS = 5  # a year with fewer would jump between 0 and 100%; the table has it all the same
MIN_PERIOD_FILMS = 20
PERIOD_YEARS, LOOK_BACK_YEARS = 5, 50
OVERLAP = "Whiskers are 95% intervals: where two overlap, the order may be chance."
TOTAL = """
    select count(*) as films, avg(passes::integer) as pass_share, bool_or(is_synthetic) as synthetic
    from marts.fct_ratings
"""
LEVELS = ("fewer than two women", "do not talk", "talk only about a man", "pass")
LEVEL_COLUMNS = tuple(f"rating_{rating}_count" for rating in range(4))


Chart = LineChart | LevelChart | BarChart | Grid


@dataclass(frozen=True)
class Trend:
    """A chart and the mart behind it.

    Attributes:
        mart: table in the schema `marts`.
        name_column: what the rows are of: a year or a name.
        kind: a line over years, columns of the four ratings, bars, or a grid of names by decades.
        saying: the chart's last share in words, for charts over years.
    """

    title: str
    text: str
    mart: str
    name_column: str
    kind: Literal["line", "levels", "bars", "grid"] = "bars"
    share: str = "pass_share"
    low: str = "pass_low_share"
    high: str = "pass_high_share"
    count: str = "films_count"
    saying: str = "Of the films {when}, {share} pass"

    @property
    def columns(self) -> list[str]:
        """What the page's table shows."""
        shares = LEVEL_COLUMNS if self.kind == "levels" else (self.share, self.low, self.high)
        return [name for name in (self.name_column, self.count, *shares) if name]

    @property
    def fewest_films(self) -> int:
        """What a year, a cell or a column needs in order to be drawn."""
        return {"line": MIN_FILMS, "grid": MIN_FILMS, "levels": MIN_PERIOD_FILMS, "bars": 1}[self.kind]

    @property
    def query(self) -> str:
        """All columns of the mart, in the chart's order: years, or the names with the most films first."""
        by_name, by_count = f'"{self.name_column}"', f'"{self.count}" desc, "{self.name_column}"'
        order = {"line": by_name, "levels": by_name, "grid": f"{by_name}, decade", "bars": by_count}[self.kind]
        return f'select * from marts."{self.mart}" order by {order} limit {MAX_ROWS}'  # noqa: S608 - constants


TRENDS: Mapping[str, Trend] = {
    "levels": Trend(
        "How far films come",
        "The four ratings by five years of release; the year below a column is its first. "
        "Periods with fewer than 20 rated films are in the table only.",
        "agg_rating_levels_by_period",
        "period_start_year",
        kind="levels",
        share="films_count",
        low="",
        high="",
    ),
    "year": Trend(
        "Pass rate by year",
        "Share of rated films that pass, by year of release, with its 95% interval. "
        "Years with fewer than 5 films, and years that stand alone, are in the table only.",
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
        saying="Women are {share} of the casts {when}",
    ),
    "genre": Trend(
        "Pass rate by genre and decade",
        "A film counts in each of its genres. Cells of fewer than 5 films are left empty, decades of few cells out; "
        "the CSV has them.",
        "agg_pass_rate_by_genre_and_decade",
        "genre_name",
        kind="grid",
    ),
    "country": Trend(
        "Pass rate by country",
        "The 15 countries of production with the most rated films. " + OVERLAP,
        "agg_pass_rate_by_country",
        "country_name",
    ),
    "studio": Trend(
        "Pass rate by studio",
        "The 15 companies with the most rated films. " + OVERLAP,
        "agg_pass_rate_by_studio",
        "studio_name",
    ),
    "director": Trend(
        "Pass rate by director",
        "The 15 with the most rated films. " + OVERLAP,
        "agg_pass_rate_by_director",
        "director_name",
    ),
}


@dataclass(frozen=True)
class DrawnTrend:
    """A chart ready to be shown, with what it shows in a sentence; `missing` says why there is none."""

    name: str
    trend: Trend
    chart: Chart | None = None
    finding: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    row_count: int = 0
    missing: str = ""


@dataclass(frozen=True)
class Total:
    """All rated films together."""

    films: int = 0
    pass_share: float = 0.0
    are_synthetic: bool = False


class Trends:
    """Reads the marts, each at most once in KEPT_SECONDS."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: Recent[list[dict[str, Any]]] = Recent(KEPT_SECONDS, len(TRENDS))
        self._drawn: Recent[DrawnTrend] = Recent(KEPT_SECONDS, len(TRENDS))
        self._total: Recent[Total] = Recent(KEPT_SECONDS, 1)

    def read(self, name: str) -> list[dict[str, Any]]:
        """The rows of a chart's mart.

        Raises:
            FeatureStoreError: the mart is not built.
            DatabaseError: PostgreSQL cannot answer.
        """
        return self._rows.get(name, lambda: self._database.fetch(TRENDS[name].query))

    def read_all(self) -> list[DrawnTrend]:
        """Every chart, in the order of the page."""
        return [self.draw(name) for name in TRENDS]

    def are_synthetic(self) -> bool:
        """Whether the figures count films that the sample generator made up; False while nothing can be read."""
        return self.total().are_synthetic

    def total(self) -> Total:
        """All rated films together; of none while nothing can be read."""
        try:
            return self._total.get("all", self._read_total)
        except (PlatformError, ValueError):
            return Total()

    def draw(self, name: str) -> DrawnTrend:
        """One chart, drawn at most once in KEPT_SECONDS, or why there is none."""
        trend = TRENDS[name]
        try:
            return self._drawn.get(name, lambda: self._draw(name, trend))
        except FeatureStoreError:
            return DrawnTrend(name, trend, missing=f"marts.{trend.mart} is not built yet. Run: make up")
        except PlatformError as error:
            return DrawnTrend(name, trend, missing=str(error))

    def _read_total(self) -> Total:
        [row] = self._database.fetch(TOTAL)
        if not row["films"]:
            raise ValueError("no film is rated yet")  # the first that is loaded is shown at once
        return Total(row["films"], float(row["pass_share"] or 0), bool(row["synthetic"]))

    def _draw(self, name: str, trend: Trend) -> DrawnTrend:
        rows = [row for row in self.read(name) if row[trend.share] is not None]
        shown = [row for row in rows if row[trend.count] >= trend.fewest_films]
        if not shown:
            raise PlatformError("Too few rated films are loaded. Run: make up")
        chart, columns = _draw_chart(trend, shown), trend.columns
        return DrawnTrend(
            name,
            trend,
            chart,
            _say_finding(trend, shown, chart),
            [column.replace("_", " ") for column in columns],
            [[_write(row[column]) for column in columns] for row in _select_rows(trend, rows)],
            len(rows),
        )


def _draw_chart(trend: Trend, rows: list[dict[str, Any]]) -> Chart:
    if trend.kind == "levels":
        counts = [(str(row[trend.name_column]), [int(row[column]) for column in LEVEL_COLUMNS]) for row in rows]
        return draw_levels(counts, of=trend.title, names=LEVELS)
    shares = [_read_share(trend, row) for row in rows]
    if trend.kind == "line":
        return draw_line(shares, of=trend.title)
    if trend.kind == "grid":
        return draw_grid([(share, row["decade"]) for share, row in zip(shares, rows, strict=True)])
    return draw_bars(sorted(shares[:MAX_BARS], key=lambda share: -share.value), of=trend.title)


def _say_finding(trend: Trend, rows: list[dict[str, Any]], chart: Chart) -> str:
    """What the chart shows, in the numbers that are drawn."""
    if isinstance(chart, Grid):
        return _say_last_decade(trend, rows, chart.columns)
    if isinstance(chart, BarChart):
        return _say_ends(trend, rows[:MAX_BARS], "From {best} ({best_name}) to {worst} ({worst_name}).")
    by_year = {int(share.name): share.value for share in _read_periods(trend, rows)}
    last = max(by_year)
    said = trend.saying.format(when=_say_when(trend, last), share=f"{by_year[last]:.0%}")
    first = last - LOOK_BACK_YEARS
    return f"{said}; {by_year[first]:.0%} of those {_say_when(trend, first)}." if first in by_year else f"{said}."


def _say_last_decade(trend: Trend, rows: list[dict[str, Any]], decades: Sequence[int]) -> str:
    last = max(decades, default=None)
    drawn = [row for row in rows if row["decade"] == last]
    return _say_ends(
        trend, drawn, f"{last}s: {{best_name}} passes most often ({{best}}), {{worst_name}} least ({{worst}})."
    )


def _say_ends(trend: Trend, rows: list[dict[str, Any]], saying: str) -> str:
    """Which of the names stands highest and which lowest; empty when a reader sees no difference."""
    shares = sorted((_read_share(trend, row) for row in rows), key=lambda share: -share.value)
    if len({f"{share.value:.0%}" for share in shares}) < 2:
        return ""
    best, worst = shares[0], shares[-1]
    return saying.format(
        best=f"{best.value:.0%}", best_name=best.name, worst=f"{worst.value:.0%}", worst_name=worst.name
    )


def _read_periods(trend: Trend, rows: list[dict[str, Any]]) -> list[Share]:
    """The shares of films that pass, or of women, that a chart over years shows."""
    if trend.kind == "line":
        return leave_out_lone_years([_read_share(trend, row) for row in rows])
    passes = LEVEL_COLUMNS[-1]
    return [
        Share(str(row[trend.name_column]), row[passes] / row[trend.count], None, None, row[trend.count])
        for row in rows
    ]


def _say_when(trend: Trend, begin: int) -> str:
    """The year or the five years that begin with it; what is not over yet is open."""
    end = begin if trend.kind == "line" else begin + PERIOD_YEARS - 1
    if end >= datetime.now(UTC).year:
        return f"since {begin}"
    return f"of {begin}" if end == begin else f"of {begin} to {end}"


def _select_rows(trend: Trend, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page's table shows: every year, the names with the most films; a grid is its own table."""
    if trend.kind == "grid":
        return []
    return rows[-MAX_YEARS:] if trend.kind in ("line", "levels") else rows[:MAX_NAMES]


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
