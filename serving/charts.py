"""Geometry of the charts: from numbers to percentages of a drawing's width and height. Templates draw them."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.schemas import Reason

LEFT, WIDTH = 9.0, 90.0  # the plot's place in the drawing, in percent; templates/parts.html draws the same
TOP, HEIGHT = 4.0, 84.0
MAX_TICKS = 6


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, in percent of the drawing."""

    at: float
    label: str


@dataclass(frozen=True)
class Point:
    """A dot and what it says when pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class LineChart:
    """A line with its interval; `line` and `band` are in the plot's own 0 to 100."""

    summary: str
    line: str
    band: str
    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Bar:
    """A share as a bar, in percent."""

    name: str
    value: float
    label: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class BarChart:
    """Shares of named things."""

    summary: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Share:
    """A share of something, 0 to 1, with its interval.

    Attributes:
        name: a year or a name.
        count: how many films it is a share of.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    count: int | None


@dataclass(frozen=True)
class Cell:
    """A share in a grid; `shade` is 0 to 9."""

    label: str
    shade: int
    count: int | None


@dataclass(frozen=True)
class Grid:
    """Shares by name and decade; None where nothing is known."""

    columns: tuple[int, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True)
class Scale:
    """The probability's place between the zones, in percent."""

    low: float
    high: float
    at: float
    low_at: float
    high_at: float
    width: float
    rest: float
    middle: float
    anchor: str


@dataclass(frozen=True)
class ReasonBar:
    """A reason as a bar that grows to the right (for) or to the left (against) from the middle."""

    side: str
    x: float
    width: float
    text: str
    amount: str


def place_on_scale(probability: float, band: tuple[float, float]) -> Scale:
    """Where the needle and the zones stand."""
    low, high = band
    at = _percent(probability)
    return Scale(
        low=low,
        high=high,
        at=min(max(at, 1.5), 98.5),
        low_at=_percent(low),
        high_at=_percent(high),
        width=round(_percent(high) - _percent(low), 2),
        rest=round(100 - _percent(high), 2),
        middle=round((_percent(low) + _percent(high)) / 2, 2),
        anchor="start" if at < 8 else "end" if at > 92 else "middle",
    )


def draw_reasons(reasons: Sequence[Reason]) -> list[ReasonBar]:
    """Bars whose longest reaches the edge."""
    longest = max((abs(reason.contribution) for reason in reasons), default=1.0)
    bars = []
    for reason in reasons:
        width = round(49.0 * abs(reason.contribution) / longest, 2)
        is_for = reason.contribution > 0
        bars.append(
            ReasonBar(
                side="for" if is_for else "against",
                x=50.0 if is_for else round(50.0 - width, 2),
                width=width,
                text=reason.text,
                amount=f"{reason.contribution:+.2f}".replace("-", "\N{MINUS SIGN}"),
            )
        )
    return bars


def draw_line(shares: Sequence[Share], *, of: str) -> LineChart:
    """A line over an ordered axis whose names are numbers (years).

    Args:
        shares: in any order; names are whole numbers.
        of: what the shares say, for people who do not see the chart.
    """
    ordered = sorted(shares, key=lambda share: int(share.name))
    years = [int(share.name) for share in ordered]
    first, last = min(years), max(years)

    def across(year: int) -> float:
        return round(100 * (year - first) / max(last - first, 1), 2)

    def down(value: float) -> float:
        return round(100 - _percent(value), 2)

    upper = [f"{across(y)},{down(s.high)}" for y, s in zip(years, ordered, strict=True) if s.high is not None]
    lower = [f"{across(y)},{down(s.low)}" for y, s in zip(years, ordered, strict=True) if s.low is not None]
    return LineChart(
        summary=f"{of}: {_say(ordered[0])}, {_say(ordered[-1])}. The table below has every number.",
        line=" ".join(f"{across(year)},{down(share.value)}" for year, share in zip(years, ordered, strict=True)),
        band=" ".join([*upper, *reversed(lower)]),
        points=tuple(
            Point(
                round(LEFT + WIDTH * across(year) / 100, 2),
                round(TOP + HEIGHT * down(share.value) / 100, 2),
                _say(share),
            )
            for year, share in zip(years, ordered, strict=True)
        ),
        x_ticks=tuple(Tick(round(LEFT + WIDTH * across(year) / 100, 2), str(year)) for year in _ticks(first, last)),
        y_ticks=tuple(
            Tick(round(TOP + HEIGHT * down(value / 100) / 100, 2), f"{value} %") for value in (0, 25, 50, 75, 100)
        ),
    )


def draw_bars(shares: Sequence[Share], *, of: str) -> BarChart:
    """Bars in the order given."""
    return BarChart(
        summary=of,
        bars=tuple(
            Bar(
                name=share.name,
                value=_percent(share.value),
                label=f"{100 * share.value:.0f} %" + (f" of {share.count:,}" if share.count is not None else ""),
                low=None if share.low is None else _percent(share.low),
                high=None if share.high is None else _percent(share.high),
            )
            for share in shares
        ),
    )


def draw_grid(shares: Sequence[tuple[Share, int]]) -> Grid:
    """Names down, decades across.

    Args:
        shares: each with its decade.
    """
    decades = tuple(sorted({decade for _, decade in shares}))
    cells = {
        (share.name, decade): Cell(f"{100 * share.value:.0f}", min(int(share.value * 10), 9), share.count)
        for share, decade in shares
    }
    names = sorted({share.name for share, _ in shares})
    return Grid(decades, tuple((name, tuple(cells.get((name, decade)) for decade in decades)) for name in names))


def _ticks(first: int, last: int) -> list[int]:
    """Round years, few enough for a phone."""
    step = next(step for step in (1, 2, 5, 10, 20, 25, 50, 100, 1000) if (last - first) / step <= MAX_TICKS)
    return [year for year in range(first, last + 1) if year % step == 0]


def _say(share: Share) -> str:
    interval = ""
    if share.low is not None and share.high is not None:
        interval = f", {100 * share.low:.0f} to {100 * share.high:.0f} %"
    films = f", {share.count:,} films" if share.count is not None else ""
    return f"{share.name}: {100 * share.value:.0f} %{interval}{films}"


def _percent(value: float) -> float:
    return round(100 * min(max(value, 0.0), 1.0), 2)
