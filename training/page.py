"""The evaluation as one HTML file that needs nothing else: no script, no network, readable in light and dark."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from training.evaluation import TARGETS
from training.metrics import METRICS

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fdfdfb; --line: #c9ced6; --soft: #f0f1ee; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6ea; --paper: #15181d; --line: #3a414c; --soft: #1f242b; } }
body { color: var(--ink); background: var(--paper); font: 16px/1.55 system-ui, sans-serif; margin: 0 auto;
  max-width: 62rem; padding: 1.5rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.5rem; text-align: right; vertical-align: top; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
tr.ours { background: var(--soft); font-weight: 600; }
.scroll { overflow-x: auto; }
.pair { display: grid; gap: 0 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
summary, p { overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; } small { opacity: 0.75; }
"""


def render_page(report: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page.

    Args:
        report: as in evaluation.json, complete.
        pictures: SVG by name.
    """
    data = report["data"]
    warning = "<p><strong>These films are made up.</strong></p>" if data["is_synthetic"] else ""
    sections = [
        f"<h1>How well the Bechdel test is predicted</h1>{warning}"
        f"<p>{data['films']:,} rated films, {data['features']} features of <code>{escape(data['feature_service'])}"
        f"</code>, all known on the release day. Data {data['data_hash'][:12]}. No film below was seen by the model "
        "that judges it; brackets are 95 % bootstrap intervals.</p>",
        *_metrics(report),
        _anytime(report.get("anytime")),
        "<h2>Can the probabilities be believed?</h2><div class=pair>"
        f"{pictures['reliability']}<div>{_band(report)}</div></div>{_reliability(report)}",
        f"<h2>Ranks: newest films, rating 3</h2><div class=pair>{pictures['roc']}"
        f"{pictures['precision_recall']}</div>",
        f"<h2>Kinds of films</h2><p>Newest films, rating 3.</p>{pictures['slices']}"
        + _slices("The newest films", report["slices"])
        + _slices("The random part, which holds every decade", report["slices_random"]),
        f"<h2>What it goes by</h2>{pictures['contributions']}<p>Share of each family: mean size of its contributions "
        f"in log-odds; what the AUC loses when the family is left out.</p>{_families(report)}",
        f"<h3>Gain while growing</h3>{pictures['gain']}",
        _dependence(report["partial_dependence"], pictures),
        _billing(report.get("billing")),
        "<h2>More films, less noise</h2>"
        f"<div class=pair>{pictures['learning_curve']}<div>{_noise(report)}</div></div>"
        "<p>What was tried to be better, and what each try gave, is listed in <code>docs/model.md</code>.</p>",
        f"<h2>The {len(report['mistakes'])} surest mistakes</h2>{_mistakes(report['mistakes'])}",
    ]
    body = "\n".join(section for section in sections if section)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation</title><style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, ours: int | None = None, kind: str = "") -> str:
    """Cells are HTML already."""
    lines = [f"<div class=scroll><table class='{kind}'><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    for number, row in enumerate(rows):
        mark = " class=ours" if number == ours else ""
        lines.append(f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>")
    return "\n".join([*lines, "</table></div>"])


def _metrics(report: Mapping[str, Any]) -> list[str]:
    names = {"time": "Newest films", "random": "Random 30 % (the reference project's split)"}
    targets = {"rating_3": "passes (rating 3)", "rating_2_or_3": "rating 2 or 3"}
    return [
        f"<h2>{names[split]}: {targets[target]}</h2>"
        + _table(("model", *METRICS), _models(report[split][target]), ours=0)
        for split in ("time", "random")
        for target in TARGETS
    ]


def _models(cell: Mapping[str, Any]) -> list[list[str]]:
    models = {"LightGBM": cell, **cell["baselines"]}
    return [[escape(name.replace("_", " ")), *(_measured(numbers, metric) for metric in METRICS)]
            for name, numbers in models.items()]  # fmt: skip


def _measured(numbers: Mapping[str, Any], metric: str) -> str:
    low, high = numbers["intervals"][metric]
    return f"{numbers[metric]:.3f} <small>[{low:.3f}, {high:.3f}]</small>"


def _band(report: Mapping[str, Any]) -> str:
    rows = []
    for split in ("time", "random"):
        band = report[split]["abstention"]
        chance = report[split]["rating_3"]["ece_by_chance"]["interval"]
        accuracy = "unknown" if band["accuracy_outside"] is None else f"{band['accuracy_outside']:.3f}"
        rows.append([split, f"{band['low']:.2f} to {band['high']:.2f}", f"{band['abstained_share']:.1%}", accuracy,
                     f"{chance[0]:.3f} to {chance[1]:.3f}"])  # fmt: skip
    head = ("split", "too close to call", "films inside", "accuracy outside", "calibration error of perfect odds")
    return _table(head, rows)


def _reliability(report: Mapping[str, Any]) -> str:
    """The diagram's numbers, one table for each split."""
    names = {"time": "newest films", "random": "random split"}
    tables = [
        _table(
            (f"predicted, {name}", "passes", "95 % interval", "films"),
            map(_bin, report[split]["rating_3"]["reliability"]),
        )
        for split, name in names.items()
    ]
    return f"<details><summary>The numbers</summary><div class=pair>{''.join(tables)}</div></details>"


def _bin(found: Mapping[str, Any]) -> list[str]:
    low, high = found["interval"]
    return [f"{found['predicted']:.3f}", f"{found['observed']:.3f}", f"{low:.3f} to {high:.3f}", str(found["films"])]


def _anytime(anytime: Mapping[str, Any] | None) -> str:
    if not anytime:
        return ""
    rows = [
        [f"{split}, {target.replace('_', ' ')}", _measured(anytime[split][target], "auc"),
         _measured(anytime[split][target], "brier"), _difference(anytime[split][target]["auc_gained"])]
        for split in ("time", "random") for target in TARGETS
    ]  # fmt: skip
    return (
        f"<h2>With what is known after release</h2><p><code>{escape(anytime['feature_service'])}</code> may also "
        "look at votes, popularity and revenue. It is never the champion of the release day.</p>"
        + _table(("split and target", "auc", "brier", "auc gained"), rows)
    )


def _difference(gained: Mapping[str, Any]) -> str:
    low, high = gained["interval"]
    return f"{gained['value']:+.3f} <small>[{low:+.3f}, {high:+.3f}]</small>"


def _slices(title: str, slices: Mapping[str, Mapping[str, Any]]) -> str:
    """Every metric of every kind of film."""
    rows = [
        [escape(f"{kind.replace('_', ' ')}: {name}"), str(cell["films"]), f"{cell['base_rate']:.3f}",
         *(_measured(cell, metric) for metric in METRICS)]
        for kind, cells in slices.items() for name, cell in cells.items()
    ]  # fmt: skip
    return f"<details><summary>{title}</summary>{_table(('kind', 'films', 'pass', *METRICS), rows)}</details>"


def _families(report: Mapping[str, Any]) -> str:
    ablation = report["ablation"]
    rows = [
        [escape(family), str(int(facts["features"])), f"{facts['mean_contribution']:.3f}",
         f"{facts['gain_share']:.1%}",
         f"{ablation[family]['auc_lost']:+.4f}" if family in ablation else ""]
        for family, facts in report["importance"]["by_family"].items()
    ]  # fmt: skip
    return _table(("family", "features", "mean contribution", "gain", "AUC lost without"), rows)


def _dependence(dependence: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """Partial dependence curves, each with its table."""
    together, alone = dependence["together"], dependence["alone"]
    films = f"of {together[0]['films']} of the newest films " if together else ""
    return (
        "<h2>Women at the top of the billing: partial dependence</h2>"
        f"<p>The mean probability {films}while women are put into their casts. The films themselves are "
        "changed and all their features are computed anew, so features that depend on each other move together. "
        "Stated, and asserted by a test: a woman more at the top, or higher up, lowers the mean by no more than "
        f"{dependence['stated_loss']:g}.</p>{pictures['dependence_together']}{''.join(map(_sweep, together))}"
        "<h3>One feature alone</h3><p>The strongest numbers, each set to the same value in all of the newest films, "
        "while every other feature stays as it is. That is how the model reads the feature, also where no film could "
        f"be like that.</p>{pictures['dependence_alone']}{''.join(map(_sweep, alone))}"
    )


def _sweep(sweep: Mapping[str, Any]) -> str:
    rows = [
        [escape(point["label"]), f"{point['probability']:.3f}",
         "" if point["change"] is None else f"{point['change']:+.3f}",
         "" if point["lowered_share"] is None else f"{point['lowered_share']:.1%}"]
        for point in sweep["points"]
    ]  # fmt: skip
    head = (escape(sweep["name"]), "mean probability", "change from the row above", "films lowered")
    return (
        f"<details><summary>{escape(sweep['name'])}, {sweep['films']} films</summary>"
        f"<p>{escape(sweep['description'])}</p>{_table(head, rows)}</details>"
    )


def _billing(billing: Sequence[Mapping[str, Any]] | None) -> str:
    if not billing:
        return ""
    rows = [
        [escape(effect["change"]), str(effect["films"]), f"{effect['mean']:+.3f}",
         f"{effect['low']:+.3f} to {effect['high']:+.3f}", f"{effect['lowered_share']:.1%}"]
        for effect in billing
    ]  # fmt: skip
    return "<h3>One man becomes a woman</h3><p>Each film as it is, with one change.</p>" + _table(
        ("change", "films", "mean change of the probability", "middle 90 %", "films lowered"), rows
    )


def _noise(report: Mapping[str, Any]) -> str:
    noise = report["noise"]
    return _table(
        ("AUC on the newest films", ""),
        [
            ["of someone who knows the truth, were each dubious rating a coin toss", f"{noise['auc_of_truth']:.3f}"],
            ["that the model would have, were its probabilities exactly right", f"{noise['auc_expected']:.3f}"],
            ["of the model on films that are not dubious", f"{noise['auc_without_dubious']:.3f}"],
        ],
    )


def _mistakes(mistakes: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{escape(str(mistake['title'] or mistake['movie_id']))} ({mistake['year']})",
            f"{mistake['rating']}{', dubious' if mistake['dubious'] else ''}",
            f"{mistake['probability']:.2f}",
            "<br>".join(
                f"{escape(str(reason['text']))} ({reason['contribution']:+.2f})" for reason in mistake["reasons"]
            ),
        ]
        for mistake in mistakes
    ]
    return _table(("film", "rating", "P(pass)", "what misled it, in log-odds"), rows, kind="words")
