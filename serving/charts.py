"""Geometry of the charts: from numbers to percentages of a drawing's width and height. Templates draw them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from serving.schemas import Reason

LEFT, WIDTH = 9.0, 90.0  # the plot's place in the drawing, in percent; templates/parts.html draws the same
TOP, HEIGHT = 4.0, 84.0
MAX_TICKS = 6
TICK_GAP, TICK_LETTER = 3.5, 2.2  # room for a label, in percent of a drawing as wide as a phone
INSET = 3.0
MAX_GAP_YEARS = 3
STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 1000)


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
    """Lines with their intervals, in the plot's own 0 to 100; a new line begins after a gap in the years."""

    summary: str
    lines: tuple[str, ...]
    bands: tuple[str, ...]
    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Bar:
    """A share as a bar, in percent."""

    name: str
    value: float
    label: str
    count: str = ""
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
class Level:
    """A part of a column, in percent of the column's height from the top."""

    name: str
    top: float
    height: float
    label: str


@dataclass(frozen=True)
class Column:
    """One period: its parts from the top down, and where it stands in the plot."""

    name: str
    x: float
    width: float
    levels: tuple[Level, ...]
    count: int


@dataclass(frozen=True)
class LevelChart:
    """Columns of parts that sum to 100%."""

    summary: str
    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Range:
    """A figure as a dot with its interval, in percent of the axis."""

    name: str
    at: float
    low_at: float
    high_at: float
    label: str
    count: int


@dataclass(frozen=True)
class RangeChart:
    """Figures of several groups on one axis, beside the figure of all."""

    groups: tuple[tuple[str, tuple[Range, ...]], ...]
    reference_at: float
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Change:
    """A gain or a loss as a bar from zero, in percent of the axis."""

    name: str
    side: str
    x: float
    width: float
    label: str


@dataclass(frozen=True)
class ChangeChart:
    """Gains and losses of named things."""

    zero_at: float
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Curve:
    """Probabilities over steps, in percent of the drawing; with the zone that gets no verdict, where there is one."""

    summary: str
    line: str
    points: tuple[Point, ...]
    ticks: tuple[Tick, ...]
    zone_top: float = 0.0
    zone_height: float = 0.0


@dataclass(frozen=True)
class Step:
    """A probability, where it stands on the axis, and what is written there."""

    place: float
    label: str
    value: float


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
    """A line over an ordered axis whose names are numbers (years); single years far from all others are left out.

    Args:
        shares: in any order; names are whole numbers.
        of: what the shares say, for people who do not see the chart.
    """
    ordered = leave_out_lone_years(shares)
    stretches = _split_at_gaps(ordered)
    years = [int(share.name) for share in ordered]
    first, last = min(years), max(years)

    def across(year: int) -> float:
        return round(100 * (year - first) / max(last - first, 1), 2)

    highest = max(share.value if share.high is None else share.high for share in ordered)
    ceiling, step = (0.5, 10) if highest <= 0.5 else (1.0, 25)  # small shares would crouch on the floor

    def down(value: float) -> float:
        return round(100 - _percent(value / ceiling), 2)

    def draw_band(stretch: Sequence[Share]) -> str:
        upper = [f"{across(int(s.name))},{down(s.high)}" for s in stretch if s.high is not None]
        lower = [f"{across(int(s.name))},{down(s.low)}" for s in stretch if s.low is not None]
        return " ".join([*upper, *reversed(lower)])

    return LineChart(
        summary=f"{of}: {_say(ordered[0])}, {_say(ordered[-1])}. The table below has every number.",
        lines=tuple(" ".join(f"{across(int(s.name))},{down(s.value)}" for s in stretch) for stretch in stretches),
        bands=tuple(filter(None, map(draw_band, stretches))),
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
            Tick(round(TOP + HEIGHT * down(value / 100) / 100, 2), f"{value}%")
            for value in range(0, round(100 * ceiling) + 1, step)
        ),
    )


def leave_out_lone_years(shares: Sequence[Share]) -> list[Share]:
    """What a line shows of the shares, in the order of their years; all of them when every year is alone."""
    ordered = sorted(shares, key=lambda share: int(share.name))
    return [share for stretch in _split_at_gaps(ordered) for share in stretch] or ordered


def draw_bars(shares: Sequence[Share], *, of: str) -> BarChart:
    """Bars in the order given."""
    return BarChart(
        summary=of,
        bars=tuple(
            Bar(
                name=share.name,
                value=_percent(share.value),
                label=f"{100 * share.value:.0f}%",
                count="" if share.count is None else f"{share.count:,}",
                low=None if share.low is None else _percent(share.low),
                high=None if share.high is None else _percent(share.high),
            )
            for share in shares
        ),
    )


def draw_grid(shares: Sequence[tuple[Share, int]]) -> Grid:
    """Names down, decades across; decades that are empty for most names are left out.

    Args:
        shares: each with its decade.
    """
    names = sorted({share.name for share, _ in shares})
    filled = Counter(decade for _, decade in shares)
    decades = tuple(sorted(decade for decade, count in filled.items() if 3 * count >= len(names)))
    cells = {
        (share.name, decade): Cell(f"{100 * share.value:.0f}", min(int(share.value * 10), 9), share.count)
        for share, decade in shares
    }
    return Grid(decades, tuple((name, tuple(cells.get((name, decade)) for decade in decades)) for name in names))


def draw_levels(periods: Sequence[tuple[str, Sequence[int]]], *, of: str, names: Sequence[str]) -> LevelChart:
    """Columns over periods in the order given.

    Args:
        periods: each with its counts, the lowest level first.
        names: of the levels, in the order of the counts.
    """
    width = WIDTH / len(periods)
    columns = tuple(
        Column(
            name=name,
            x=round(LEFT + place * width + width * 0.07, 2),
            width=round(width * 0.86, 2),
            levels=_stack(counts, names),
            count=sum(counts),
        )
        for place, (name, counts) in enumerate(periods)
    )
    step = next(step for step in STEPS if len(periods) / step <= 2 * MAX_TICKS)
    ticks = tuple(Tick(round(c.x + c.width / 2, 2), c.name) for c in columns[::step])
    last = columns[-1]
    return LevelChart(f"{of}. {last.name}: {', '.join(level.label for level in last.levels)}.", columns, ticks)


def _stack(counts: Sequence[int], names: Sequence[str]) -> tuple[Level, ...]:
    """The highest level at the bottom, so that its top edge can be read from the axis."""
    total, top, levels = sum(counts), 0.0, []
    for count, name in zip(counts, names, strict=True):
        height = 100 * count / total
        label = f"{height:.0f}% {name}"
        levels.append(Level(name, round(TOP + HEIGHT * top / 100, 2), round(HEIGHT * height / 100, 2), label))
        top += height
    return tuple(levels)


def draw_ranges(groups: Mapping[str, Sequence[Share]], *, reference: float) -> RangeChart:
    """Figures between 0 and 1 with their intervals; the axis begins at the tenth below the lowest.

    Args:
        groups: shares by the group's name; each has its interval.
        reference: the figure of all together.
    """
    lows = [share.low for shares in groups.values() for share in shares if share.low is not None]
    begin = min(int(min([*lows, reference]) * 10) / 10, 0.9)

    def across(value: float) -> float:
        return round(100 * (min(max(value, begin), 1.0) - begin) / (1 - begin), 2)

    tenths = range(round(begin * 10), 11)
    return RangeChart(
        groups=tuple(
            (
                name,
                tuple(
                    Range(
                        name=share.name,
                        at=across(share.value),
                        low_at=across(share.value if share.low is None else share.low),
                        high_at=across(share.value if share.high is None else share.high),
                        label=f"{share.value:.2f}",
                        count=share.count or 0,
                    )
                    for share in shares
                ),
            )
            for name, shares in groups.items()
        ),
        reference_at=across(reference),
        ticks=tuple(Tick(across(tenth / 10), f"{tenth / 10:.1f}") for tenth in tenths),
    )


def draw_changes(changes: Mapping[str, float]) -> ChangeChart:
    """Bars from zero, the greatest first."""
    low, high = min([0.0, *changes.values()]), max([0.0, *changes.values()])
    span = (high - low) or 1.0

    def across(value: float) -> float:
        return round(100 * (value - low) / span, 2)

    return ChangeChart(
        zero_at=across(0),
        changes=tuple(
            Change(
                name=name,
                side="for" if value >= 0 else "against",
                x=across(min(value, 0.0)),
                width=round(100 * abs(value) / span, 2),
                label=f"{value:+.3f}".replace("-", "\N{MINUS SIGN}"),
            )
            for name, value in sorted(changes.items(), key=lambda item: -item[1])
        ),
    )


def draw_curve(probabilities: Sequence[float], *, band: tuple[float, float], of: str) -> Curve:
    """Dots for 0, 1, 2 ... and the line through them.

    Args:
        probabilities: at least two.
        band: what lies between gets no verdict.
        of: what is counted, for the labels.
    """
    steps = [Step(float(number), str(number), value) for number, value in enumerate(probabilities)]
    says = [f"{number} {of}: {100 * value:.0f}%" for number, value in enumerate(probabilities)]
    return replace(
        draw_steps(steps, says=says), zone_top=_down(band[1]), zone_height=round(_down(band[0]) - _down(band[1]), 2)
    )


def draw_steps(steps: Sequence[Step], *, says: Sequence[str]) -> Curve:
    """Dots at their places over the whole width, and the line through them; labels that would touch are left out.

    Args:
        steps: in the order of their places.
        says: what each dot says when pointed at.
    """
    first, last = steps[0].place, steps[-1].place
    span = (last - first) or 1.0
    # in percent of the plot's width; a dot at the edge would cover the axis's labels
    places = [INSET + (96 - INSET) * (step.place - first) / span for step in steps]
    ticks: list[Tick] = []
    for place, step in zip(places, steps, strict=True):
        at = round(LEFT + WIDTH * place / 100, 2)
        if not ticks or at - ticks[-1].at >= TICK_GAP + TICK_LETTER * len(step.label):
            ticks.append(Tick(at, step.label))
    return Curve(
        summary="; ".join(says),
        line=" ".join(
            f"{round(place, 2)},{100 - _percent(step.value)}" for place, step in zip(places, steps, strict=True)
        ),
        points=tuple(
            Point(round(LEFT + WIDTH * place / 100, 2), _down(step.value), said)
            for place, step, said in zip(places, steps, says, strict=True)
        ),
        ticks=tuple(ticks),
    )


def _down(value: float) -> float:
    """A share's place in the drawing, in percent from the top."""
    return round(TOP + HEIGHT * (100 - _percent(value)) / 100, 2)


def _split_at_gaps(ordered: Sequence[Share]) -> list[list[Share]]:
    """Stretches without a gap of more than MAX_GAP_YEARS, each of two years or more: a line over years of which
    nothing is known would claim something."""
    stretches: list[list[Share]] = []
    for share in ordered:
        if stretches and int(share.name) - int(stretches[-1][-1].name) <= MAX_GAP_YEARS:
            stretches[-1].append(share)
        else:
            stretches.append([share])
    return [stretch for stretch in stretches if len(stretch) > 1]


def _ticks(first: int, last: int) -> list[int]:
    """Round years, few enough for a phone."""
    step = next(step for step in STEPS if (last - first) / step <= MAX_TICKS)
    return [year for year in range(first, last + 1) if year % step == 0]


def _say(share: Share) -> str:
    interval = ""
    if share.low is not None and share.high is not None:
        interval = f", {100 * share.low:.0f} to {100 * share.high:.0f}%"
    films = f", {share.count:,} films" if share.count is not None else ""
    return f"{share.name}: {100 * share.value:.0f}%{interval}{films}"


def _percent(value: float) -> float:
    return round(100 * min(max(value, 0.0), 1.0), 2)
