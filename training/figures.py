"""The report's pictures as SVG that takes the page's own text colour, so that it reads in light and dark."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.dataset import to_rows
from training.diagnostics import Judged

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Drawn in this colour, then replaced by the page's.
_INK = "#123456"
_COLOURS = ("#2f80c9", "#d9822b", "#3f9c6c", "#b0557f")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bechdel",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_SHOWN_FEATURES = 18
_LABEL_ROOM = 25  # letters under a panel


@contextmanager
def _drawing(width: float, height: float) -> Iterator[tuple[Axes, list[str]]]:
    """Gives an empty plot and the list into which its SVG goes at the end."""
    with _drawing_panels(width, height) as (panels, drawn):
        yield panels[0], drawn


@contextmanager
def _drawing_panels(
    width: float, height: float, *, rows: int = 1, columns: int = 1
) -> Iterator[tuple[Sequence[Axes], list[str]]]:
    drawn: list[str] = []
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.subplots(rows, columns, squeeze=False).ravel().tolist(), drawn
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    drawn.append(text[text.index("<svg") :].replace(_INK, "currentColor"))


def draw_reliability(splits: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """How often films pass for each predicted probability, by split.

    Args:
        splits: the bins of the report by the split's name.
    """
    with _drawing(5.2, 4.2) as (axes, drawn):
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
        for colour, (name, bins) in zip(_COLOURS, splits.items(), strict=False):
            happened = np.array([found["observed"] for found in bins])
            error = np.abs(np.array([found["interval"] for found in bins]).T - happened)
            axes.errorbar(
                [found["predicted"] for found in bins], happened,
                yerr=error, marker="o", capsize=2, color=colour, label=f"{name} split",
            )  # fmt: skip
        axes.set(xlabel="predicted probability of passing", ylabel="share that passes", xlim=(0, 1), ylim=(0, 1))
        axes.legend()
    return drawn[0]


def draw_dependence(sweeps: Sequence[Mapping[str, Any]]) -> str:
    """Mean probability over what is swept, one panel each, all on the same scale.

    Args:
        sweeps: of the report's `partial_dependence`; steps without a number stand at even distances.
    """
    columns = min(len(sweeps), 3) or 1
    rows = -(-len(sweeps) // columns) or 1
    with _drawing_panels(8.6, 2.9 * rows, rows=rows, columns=columns) as (panels, drawn):
        for axes, sweep in zip(panels, sweeps, strict=False):
            _draw_sweep(axes, sweep)
        for unused in panels[len(sweeps) :]:
            unused.set_axis_off()
    return drawn[0]


def _draw_sweep(axes: Axes, sweep: Mapping[str, Any]) -> None:
    points = sweep["points"]
    values = [point["value"] for point in points]
    is_ordered = None not in values
    across = values if is_ordered else list(range(len(points)))
    axes.plot(across, [point["probability"] for point in points], marker="o", markersize=4, color=_COLOURS[0])
    if not is_ordered or sum(len(point["label"]) for point in points) <= _LABEL_ROOM:
        axes.set_xticks(across, [point["label"] for point in points])
    axes.set(ylim=(0, 1), ylabel="mean probability")
    axes.set_xlabel(sweep["name"], fontsize=8.5)


def draw_roc(curves: Mapping[str, tuple[Bools, Floats]]) -> str:
    """True against false positives, one line per model."""
    with _drawing(5.2, 4.2) as (axes, drawn):
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
        for colour, (name, (passes, scores)) in zip(_COLOURS, curves.items(), strict=False):
            hits = passes[np.argsort(-scores, kind="stable")]
            axes.plot(
                np.r_[0, np.cumsum(~hits) / (~hits).sum()], np.r_[0, np.cumsum(hits) / hits.sum()],
                color=colour, label=name,
            )  # fmt: skip
        axes.set(xlabel="failing films called passing", ylabel="passing films found")
        axes.legend()
    return drawn[0]


def draw_precision_recall(curves: Mapping[str, tuple[Bools, Floats]]) -> str:
    """Precision against recall, one line per model."""
    with _drawing(5.2, 4.2) as (axes, drawn):
        for colour, (name, (passes, scores)) in zip(_COLOURS, curves.items(), strict=False):
            hits = passes[np.argsort(-scores, kind="stable")]
            found = np.cumsum(hits)
            axes.plot(found / hits.sum(), found / np.arange(1, len(hits) + 1), color=colour, label=name)
        axes.set(xlabel="passing films found (recall)", ylabel="of those called passing, right (precision)")
        axes.set_ylim(top=1.02)
        axes.legend()
    return drawn[0]


def draw_learning_curve(curve: Sequence[Mapping[str, float]], ceiling: float) -> str:
    """AUC on the newest films by how many older ones were learned from."""
    with _drawing(5.2, 3.6) as (axes, drawn):
        axes.plot(
            [point["films"] for point in curve], [point["auc"] for point in curve], marker="o", color=_COLOURS[0]
        )
        axes.axhline(ceiling, color=_INK, linewidth=0.8, linestyle=":")
        axes.annotate("ceiling of dubious ratings", (curve[0]["films"], ceiling), va="bottom")
        axes.set(xlabel="films learned from", ylabel="AUC")
    return drawn[0]


def draw_contributions(judged: Judged) -> str:
    """SHAP summary: one dot per film and feature, placed by its share in the log-odds, coloured by its value."""
    shares = judged.contributions[:, :-1]
    top = np.argsort(-np.abs(shares).mean(axis=0))[:_SHOWN_FEATURES][::-1]
    names = list(judged.features)
    matrix = judged.evaluation.fit.scorer.encode(to_rows(judged.films, names))
    random = np.random.default_rng(1)
    shown = random.permutation(len(shares))[:600]
    with _drawing(7.4, 6.4) as (axes, drawn):
        for height, feature in enumerate(top):
            ranks = _rank_values(matrix[shown, feature])
            colours = mpl.colormaps["coolwarm"](np.nan_to_num(ranks, nan=0.5))
            colours[np.isnan(ranks)] = (0.55, 0.55, 0.55, 1.0)
            jitter = height + random.uniform(-0.3, 0.3, len(shown))
            axes.scatter(shares[shown, feature], jitter, s=3, c=colours, linewidths=0, rasterized=True)
        axes.axvline(0, color=_INK, linewidth=0.6)
        axes.set_yticks(range(len(top)), [names[feature] for feature in top])
        axes.set_xlabel("share in the log-odds of passing (blue: low value, red: high, grey: unknown)")
    return drawn[0]


def _rank_values(values: Floats) -> Floats:
    """Each value's place between 0 and 1; unknown stays nan."""
    ranks = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    order = np.unique(values[known], return_inverse=True)[1]
    ranks[known] = order / max(int(order.max(initial=0)), 1)
    return ranks


def draw_bars(values: Mapping[str, float], *, label: str) -> str:
    """Horizontal bars, the longest on top."""
    ranked = sorted(values.items(), key=lambda item: item[1])
    with _drawing(7.4, 0.6 + 0.26 * len(ranked)) as (axes, drawn):
        axes.barh([name for name, _ in ranked], [value for _, value in ranked], color=_COLOURS[0])
        axes.set_xlabel(label)
    return drawn[0]


def draw_slices(slices: Mapping[str, Mapping[str, Any]]) -> str:
    """AUC of every slice with its interval."""
    rows = [(f"{kind}: {name}", cell) for kind, cells in slices.items() for name, cell in cells.items()][::-1]
    with _drawing(7.4, 0.6 + 0.22 * len(rows)) as (axes, drawn):
        for height, (_, cell) in enumerate(rows):
            axes.plot(cell["intervals"]["auc"], [height, height], color=_COLOURS[0], linewidth=1.5)
            axes.plot(cell["auc"], height, marker="o", color=_COLOURS[1], markersize=4)
        axes.set_yticks(range(len(rows)), [f"{name} ({cell['films']})" for name, cell in rows])
        axes.set_xlabel("AUC with its 95 % interval; films in brackets")
    return drawn[0]
