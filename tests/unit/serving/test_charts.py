"""Geometry: what is drawn where."""

import pytest

from serving.charts import Share, draw_changes, draw_curve, draw_grid, draw_levels, draw_line, draw_ranges


def share(name: str, value: float = 0.5) -> Share:
    return Share(name, value, value - 0.1, value + 0.1, 10)


def test_line_breaks_where_years_are_missing_and_leaves_lone_years_out() -> None:
    chart = draw_line([share(str(year)) for year in (1893, 1960, 1961, 1980, 1981)], of="Rate")

    assert len(chart.lines) == len(chart.bands) == 2
    assert len(chart.points) == 4
    assert chart.summary.startswith("Rate: 1960: 50%")


def test_small_shares_fill_the_height_and_the_axis_says_so() -> None:
    small, large = (draw_line([share("1999", value), share("2000", value)], of="Women") for value in (0.25, 0.45))

    assert [tick.label for tick in small.y_ticks] == ["0%", "10%", "20%", "30%", "40%", "50%"]
    assert small.points[0].y == pytest.approx(46.0)  # half of the height
    assert large.y_ticks[-1].label == "100%"  # its interval ends above a half


def test_single_year_is_still_a_point() -> None:
    chart = draw_line([share("1999")], of="Rate")

    assert (len(chart.points), chart.lines) == (1, ())


def test_levels_fill_the_column_and_the_highest_stands_at_the_bottom() -> None:
    chart = draw_levels([("1990", (1, 1, 0, 2))], of="Ratings", names=("none", "silent", "man", "pass"))
    [column] = chart.columns

    assert [level.height for level in column.levels] == [21.0, 21.0, 0.0, 42.0]
    assert column.levels[-1].top + column.levels[-1].height == pytest.approx(88.0)
    assert column.levels[-1].label == "50% pass"
    assert column.count == 4


def test_ranges_share_an_axis_from_below_the_lowest_to_one() -> None:
    chart = draw_ranges({"genre": [Share("war", 0.75, 0.5, 1.0, 30)]}, reference=0.75)
    [(_, [war])] = chart.groups

    assert (war.low_at, war.at, war.high_at) == (0.0, 50.0, 100.0)
    assert chart.reference_at == 50.0
    assert [tick.label for tick in chart.ticks] == ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]


def test_ranges_of_a_perfect_model_do_not_divide_by_zero() -> None:
    chart = draw_ranges({"genre": [Share("war", 1.0, 1.0, 1.0, 30)]}, reference=1.0)
    assert [tick.label for tick in chart.ticks] == ["0.9", "1.0"]


def test_curve_goes_from_edge_to_edge_around_the_band() -> None:
    curve = draw_curve([0.0, 0.5, 1.0], band=(0.25, 0.75), of="women")

    assert curve.summary == "0 women: 0%; 1 women: 50%; 2 women: 100%"
    assert curve.line == "3.0,100.0 49.5,50.0 96.0,0.0"
    assert (curve.zone_top, curve.zone_height) == (25.0, 42.0)
    assert [point.y for point in curve.points] == [88.0, 46.0, 4.0]


def test_changes_grow_from_zero_to_both_sides() -> None:
    chart = draw_changes({"crew": -0.01, "cast": 0.03})

    assert chart.zero_at == 25.0
    assert [(c.name, c.side, c.x, c.width) for c in chart.changes] == [
        ("cast", "for", 25.0, 75.0),
        ("crew", "against", 0.0, 25.0),
    ]
    assert chart.changes[1].label == "\N{MINUS SIGN}0.010"


def test_changes_that_are_all_zero_do_not_divide_by_it() -> None:
    assert draw_changes({"cast": 0.0}).changes[0].width == 0.0


def test_grid_leaves_out_decades_that_are_mostly_empty() -> None:
    names = ["a", "b", "c", "d"]
    grid = draw_grid([(share("a"), 1890), *((share(name), 1990) for name in names)])

    assert grid.columns == (1990,)
    assert [name for name, _ in grid.rows] == names
