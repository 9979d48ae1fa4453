"""A platform for the pages: films with awkward titles, a cast to change, marts to draw."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from serving.champion import Champion
from serving.films import Film
from serving.model_report import ModelReport, Version, make_diagnosis
from serving.services import Services
from tests import serving_parts
from tests.serving_parts import FEATURES, FILMS, VALUES, Platform

LONG = Film(7001, "Incomprehensibilities " * 9 + "ab", None, 2001, rating=3)
UNBROKEN = Film(7002, "W" * 200, None, 2002)
ARABIC = Film(7003, "باب الحديد", None, 1958, rating=0)
JAPANESE = Film(7004, "千と千尋の神隠し", None, 2001, rating=3)
SCRIPT = FILMS[2]
NO_CAST = FILMS[3]
AWKWARD = (LONG, UNBROKEN, ARABIC, JAPANESE)

CAST = [
    {"id": 1, "order": 0, "gender": 1, "name": "Kristen B.", "character": "Anna"},
    {"id": 2, "order": 1, "gender": 2, "name": "Jonathan G.", "character": "Kristoff"},
    {"id": 3, "order": 2, "gender": 0, "name": "Somebody U.", "character": "Voice"},
    {"id": 4, "order": 3, "gender": 3, "name": "Noor <b>", "character": "<i>Troll</i>"},
]
DETAILS = {
    "overview": "Two sisters & a snowman.",
    "original_title": "Frozen",
    "runtime_minutes": 102,
    "release_date": None,
    "genres": ["Animation", "Family"],
    "countries": ["United States of America"],
    "cast_members": CAST,
    "crew_members": [{"job": "Director", "name": "Jennifer L."}, {"job": "Director", "name": "Chris B."}],
}


RELIABILITY = [
    {
        "predicted": (number + 0.5) / 10,
        "observed": number / 9,
        "interval": [number / 12, number / 12 + 0.2],
        "films": 20,
    }
    for number in range(10)
]


def make_sweep(name: str, *labels: str) -> dict[str, Any]:
    """Steps of which each adds ten points."""
    points = [
        {
            "label": label,
            "value": float(label) if label.isdigit() else None,
            "probability": 0.3 + 0.1 * number,
            "change": 0.1 if number else None,
            "lowered_share": 0.004 if number else None,
        }
        for number, label in enumerate(labels)
    ]
    return {"name": name, "description": f"Each step sets the {name}.", "films": 250, "points": points}


WOMEN_IN_CASTS = {
    "partial_dependence": {
        "stated_loss": 0.001,
        "together": [
            make_sweep("women among the first 5", *"012345"),
            make_sweep("place of the only woman at the top", "none", *"54321"),
            make_sweep("share of women in the whole cast", *"012345"),
        ],
        "alone": [make_sweep("cast_first_female_rank", "1", "2", "40"), make_sweep("never_moves", "1")],
    },
    "billing": [
        {"change": "a man becomes a woman", "films": 9, "mean": 0.1, "low": -0.01, "high": 0.2, "lowered_share": 0.0}
    ],
}


class PageDatabase:
    """Answers the pages' queries by what stands in them."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.has_tables = True

    def fetch(self, query: str = "", parameters: Any = None) -> list[dict[str, Any]]:
        if "insert into raw.tmdb_movies" in query:
            self.written.append(parameters[1].obj["credits"]["cast"])
            return []
        if "payload, coalesce" in query:
            is_known = parameters == [109445]
            return [{"payload": {"id": 109445}, "cast_members": CAST if is_known else None}]
        if "release_date, kaggle.release_date" in query:
            return [DETAILS] if " 109445" in query or "109445::" in query else []
        if "table_schema = 'live'" in query:
            return [{"column_name": name} for name in FEATURES]
        if "where has_rating order by popularity_rank" in query:
            return [_film(film) for film in (FILMS[0], SCRIPT, ARABIC, JAPANESE)]
        if "from marts.fct_ratings" in query:
            return [{"films": 2000, "pass_share": 0.55, "synthetic": True}]
        if "starts_with(table_name, 'ftr_')" in query:
            return [{"table_name": "ftr_movie_cast"}, {"table_name": "ftr_movie_crew"}] if self.has_tables else []
        if "from online.published" in query:
            rows = {"movie_cast": 40, "movie_crew": 39}
            moment = datetime(2026, 1, 1, tzinfo=UTC)
            return [
                {"feature_view": name, "row_count": count, "published_at": moment} for name, count in rows.items()
            ]
        if "select count(*) as films" in query:
            return [{"films": 40}]
        return _read_mart(query)

    def fetch_for_each(self, _: str, keys: list[int]) -> list[dict[str, Any]]:
        """What the live view would say about the cast that was written last."""
        women = sum(member["gender"] == 1 for member in self.written[-1])
        return [{**VALUES[key], "movie_id": key, "cast_female_count": women} for key in keys]

    @contextmanager
    def rehearse(self) -> Iterator["PageDatabase"]:
        yield self


class FakeReports:
    """An evaluation as training writes it."""

    def read(self, champion: Champion) -> ModelReport:
        metrics = dict.fromkeys(("auc", "brier", "ece", "accuracy"), 0.8)
        cell = {**metrics, "intervals": {name: [0.7, 0.9] for name in metrics}, "base_rate": 0.5}
        split = {
            "rating_3": {**cell, "baselines": {"always_pass": cell}, "reliability": RELIABILITY},
            "abstention": {"abstained_share": 0.2, "accuracy_outside": 0.85},
            "films": {"test": 1500, "test_from": "2012-01-01", "test_until": "2020-01-01"},
        }
        slices = {
            "genre": {"drama": {**cell, "films": 700}, "war": {**cell, "films": 31}},
            "language": {"en": {**cell, "films": 900}, "xx": {**cell, "films": 50}},
        }
        decades = {"decade": {"1990s": {**cell, "films": 300}, "2000s": {**cell, "films": 600}}}
        ablation = {"cast": {"auc_lost": 0.04}, "crew": {"auc_lost": -0.001}}
        evaluation = {
            "time": split,
            "random": split,
            "slices": slices,
            "slices_random": decades,
            "ablation": ablation,
            **WOMEN_IN_CASTS,
        }
        return ModelReport(
            champion.version.version,
            evaluation,
            make_diagnosis(evaluation),
            [Version("3", datetime(2026, 1, 1, tzinfo=UTC), True, "There was no champion.", "4", "")],
        )


def _film(film: Film) -> dict[str, Any]:
    return {
        "movie_id": film.tmdb_id,
        "title": film.title,
        "year": film.year,
        "poster_path": f"/{film.tmdb_id}.jpg",
        "is_synthetic": film.is_synthetic,
        "bechdel_rating": film.rating,
    }


def _read_mart(query: str) -> list[dict[str, Any]]:
    shares = {"films_count": 40, "pass_share": 0.5, "pass_low_share": 0.35, "pass_high_share": 0.65}
    if "agg_pass_rate_by_year" in query:
        women = {"mean_cast_female_share": 0.35, "known_casts_count": 30}
        return [{"year": year, **shares, **women, "pass_share": (year - 1900) / 150} for year in range(1970, 2020)]
    if "agg_rating_levels_by_period" in query:
        counts = {"films_count": 40, **{f"rating_{rating}_count": 10 for rating in range(4)}}
        return [{"period_start_year": year, **counts} for year in range(1970, 2020, 5)]
    if "agg_pass_rate_by_genre_and_decade" in query:
        names = ("Drama", "=cmd()", "Comedy")
        rows = [{"genre_name": name, "decade": decade, **shares} for name in names for decade in (1990, 2000)]
        return [*rows[:-1], {**rows[-1], "pass_share": 0.6}]
    if "agg_pass_rate_by_country" in query:
        return [{"country_name": "Sweden", **shares}, {"country_name": "Japan", **shares, "pass_share": 0.45}]
    return []


def make_platform(monkeypatch: pytest.MonkeyPatch, *, token: str | None = None, **options: Any) -> Platform:
    """The platform of the serving tests with the awkward films and the queries of the pages.

    Args:
        token: of TMDB; without one films come from the catalogue and have no posters.
    """
    monkeypatch.setattr(serving_parts, "FILMS", (*FILMS, *AWKWARD))
    for film in AWKWARD:
        monkeypatch.setitem(VALUES, film.tmdb_id, VALUES[109445])
    platform = Platform(**options)
    answers = PageDatabase()
    for name in ("fetch", "fetch_for_each", "rehearse"):
        monkeypatch.setattr(platform.database, name, getattr(answers, name), raising=False)
    services: Services = platform.app.extensions["bechdel"]
    settings = services.settings.model_copy(update={"tmdb_api_token": SecretStr(token) if token else None})
    platform.app.extensions["bechdel"] = replace(services, settings=settings)
    parts = platform.app.extensions["bechdel_pages"]
    platform.app.extensions["bechdel_pages"] = replace(parts, reports=FakeReports())
    return platform
