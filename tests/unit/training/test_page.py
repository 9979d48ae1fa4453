"""The page stands alone: no script, nothing from elsewhere, every picture, and titles cannot break it."""

import re
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import pytest

from training.dependence import sweep_features
from training.diagnostics import LIGHT_DIAGNOSES, Judged, report_both_slices, report_slices
from training.evaluation import Evaluation
from training.figures import (
    draw_bars,
    draw_contributions,
    draw_dependence,
    draw_learning_curve,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
    draw_slices,
)
from training.page import render_page

CURVE = [{"films": 100, "auc": 0.7}, {"films": 200, "auc": 0.8}]
BILLING = [
    {"change": "a man becomes a woman", "films": 9, "mean": 0.1, "low": 0.0, "high": 0.2, "lowered_share": 0.0}
]


TOGETHER = {
    "name": "women among the first 5",
    "description": "The first of the billing are women.",
    "films": 9,
    "points": [
        {"label": "none", "value": None, "probability": 0.25, "change": None, "lowered_share": None},
        {"label": "1", "value": 1.0, "probability": 0.5, "change": 0.25, "lowered_share": 0.125},
    ],
}


@pytest.fixture(scope="module")
def dependence(judged: Judged) -> dict[str, Any]:
    return {
        "stated_loss": 0.001,
        "together": [TOGETHER],
        "alone": [asdict(sweep) for sweep in sweep_features(judged)],
    }


@pytest.fixture(scope="module")
def pictures(judged: Judged, dependence: dict[str, Any]) -> dict[str, str]:
    curves = {"LightGBM": (judged.passes, judged.probabilities)}
    return {
        "reliability": draw_reliability({"time": judged.evaluation.report["rating_3"]["reliability"]}),
        "dependence_together": draw_dependence(dependence["together"]),
        "dependence_alone": draw_dependence(dependence["alone"]),
        "roc": draw_roc(curves),
        "precision_recall": draw_precision_recall(curves),
        "slices": draw_slices(report_slices(judged)),
        "contributions": draw_contributions(judged),
        "gain": draw_bars({"a": 0.2, "b": 0.8}, label="share"),
        "learning_curve": draw_learning_curve(CURVE, 0.95),
    }


@pytest.fixture(scope="module")
def report(small_evaluations: dict[str, Evaluation], judged: Judged, dependence: dict[str, Any]) -> dict[str, Any]:
    splits = {name: evaluation.report for name, evaluation in small_evaluations.items()}
    gained = {"auc_gained": {"value": 0.01, "interval": [0.0, 0.02]}}
    anytime = {
        name: {target: {**cell, **gained} for target, cell in part.items() if target.startswith("rating")}
        for name, part in splits.items()
    }
    return {
        **splits,
        "data": {"films": 240, "features": 5, "feature_service": "s", "data_hash": "0" * 64, "is_synthetic": True},
        **report_both_slices(small_evaluations),
        **{name: diagnose(judged) for name, diagnose in LIGHT_DIAGNOSES},
        "ablation": {"cast": {"auc_without": 0.5, "auc_lost": 0.3}},
        "learning_curve": CURVE,
        "billing": BILLING,
        "partial_dependence": dependence,
        "anytime": {"feature_service": "movie_bechdel_anytime_v1", **anytime},
    }


def test_page_needs_nothing_from_elsewhere(report: dict[str, Any], pictures: dict[str, str]) -> None:
    page = render_page(report, pictures)

    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]+"', page) == []
    assert page.count("<svg") == len(pictures)
    assert "prefers-color-scheme: dark" in page
    assert "These films are made up." in page
    assert "movie_bechdel_anytime_v1" in page
    assert "a man becomes a woman" in page


def test_curves_stand_with_their_tables_and_the_stated_amount(
    report: dict[str, Any], pictures: dict[str, str]
) -> None:
    page = render_page(report, pictures)

    assert "lowers the mean by no more than 0.001" in page
    assert "<td>1</td><td>0.500</td><td>+0.250</td><td>12.5%</td>" in page
    assert page.index("women among the first 5") < page.index("One feature alone") < page.index("cast_female_share,")
    assert page.count("95 % interval</th>") == 2  # reliability of both splits


def test_slices_of_both_splits_have_every_metric(report: dict[str, Any], pictures: dict[str, str]) -> None:
    page = render_page(report, pictures)
    newest, random = page.split("<summary>The newest films</summary>")[1].split("<summary>The random part")

    assert "decade: 1990s" in random
    assert "decade: 1990s" not in newest
    assert "known genders: below half" in newest


def test_page_is_well_formed_and_titles_are_escaped(report: dict[str, Any], pictures: dict[str, str]) -> None:
    page = render_page(report, pictures)
    opened: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
            if tag not in {"meta", "br"}:
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

        def handle_startendtag(self, tag: str, attrs: Any) -> None:
            """`<path/>` needs no end."""

    Checker().feed(page)
    assert opened == []
    assert "The Lady &lt;3&gt;" in page


def test_pictures_take_the_colour_of_the_page(pictures: dict[str, str]) -> None:
    for picture in pictures.values():
        assert "currentColor" in picture
        assert "#123456" not in picture
    assert draw_bars({"a": 0.2, "b": 0.8}, label="share") == pictures["gain"]  # no dates, no random ids
