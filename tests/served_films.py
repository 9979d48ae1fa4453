"""The films of the serving tests as training reads them, and a model of them that has learned something."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightgbm
import numpy as np

from common.feature_encoding import FeatureEncoder, FeatureInfo
from common.scoring import Calibration, Scorer
from common.text_encoding import TextEncoder, split_terms
from serving.database import Database

TEXTS = ("text_title", "text_tagline", "text_overview", "text_story")


def offline_rows(database: Database, tmdb_ids: list[int]) -> dict[int, dict[str, Any]]:
    """What training reads: the rows of the feature tables."""
    rows: dict[int, dict[str, Any]] = {tmdb_id: {} for tmdb_id in tmdb_ids}
    for theme in ("cast", "crew", "production", "text", "genre"):
        query = f"select * from features.ftr_movie_{theme} where movie_id = any(%s)"  # noqa: S608
        for row in database.fetch(query, [tmdb_ids]):
            rows[row["movie_id"]].update(row)
    return rows


def fitted_on(rows: dict[int, dict[str, Any]]) -> Scorer:
    """A model of every feature, the texts too, that has learned something, whatever it is."""
    row = next(iter(rows.values()))
    keys = ("movie_id", "event_timestamp", "created_timestamp")
    infos = {name: FeatureInfo(name, "text") for name in TEXTS}
    for name in sorted(set(row) - {*keys, *TEXTS}):
        words = sorted({str(r[name]) for r in rows.values() if isinstance(r[name], str)})
        infos[name] = FeatureInfo(name, "category" if words else "number", categories=tuple(words))
    encoders = {name: text_encoder(list(rows.values()), name) for name in TEXTS}
    matrix = FeatureEncoder(infos, encoders).encode(list(rows.values()))
    target = np.random.default_rng(7).integers(0, 4, len(rows))
    options = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    boosters = tuple(
        lightgbm.train(options, lightgbm.Dataset(matrix, target >= rating), num_boost_round=10)
        for rating in (1, 2, 3)
    )
    return Scorer("movie_bechdel_v1", infos, (0.4, 0.6), boosters, (Calibration(1.0, 0.0),) * 3, encoders)


def text_encoder(rows: Sequence[Mapping[str, Any]], name: str) -> TextEncoder:
    """One number for a text, to which each of its words adds."""
    terms = tuple(sorted({term for row in rows for term in split_terms(row[name] or "")}))
    weights = np.random.default_rng(7).normal(size=(len(terms), 1))
    return TextEncoder(terms, np.ones(len(terms)), weights, np.zeros(1))
