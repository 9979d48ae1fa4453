"""The server with films in memory and a tiny real model: for tests that need neither PostgreSQL nor MLflow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from flask import Flask

from common.errors import DatabaseError, FeatureStoreError, ModelNotReadyError
from common.feature_encoding import FeatureInfo
from common.scoring import Calibration, Scorer
from common.settings import Settings
from common.tmdb import Candidate, Match, TmdbClient, match_title
from serving.app import create_app
from serving.champion import NO_MODEL, Champion, ModelVersion, WatchState
from serving.feedback import Feedback
from serving.films import Film, FilmFinder
from serving.health import Health
from serving.landing import Landed
from serving.metrics import Metrics
from serving.prediction import Predictor
from serving.prediction_log import PredictionLog
from serving.services import Services

FROZEN = Film(109445, "Frozen", "tt2294629", 2013, "/frozen.jpg", rating=3, is_dubious=False)
FROZEN_2010 = Film(44363, "Frozen", "tt1323045", 2010, rating=0, is_dubious=True)
SAMPLE = Film(900000001, "The <script>alert(1)</script> Harbour", "tt90000001", 1999, is_synthetic=True, rating=1)
UNRATED = Film(5, "Zażółć", None, None)
FILMS = (FROZEN, FROZEN_2010, SAMPLE, UNRATED)

VALUES: dict[int, dict[str, Any]] = {
    109445: {"cast_members_count": 10, "cast_known_gender_count": 8, "cast_female_count": 4.0, "crew_women": 1},
    44363: {"cast_members_count": 3, "cast_known_gender_count": 3, "cast_female_count": 1, "crew_women": None},
    900000001: {"cast_members_count": 5, "cast_known_gender_count": 5, "cast_female_count": 0, "crew_women": 0},
    5: dict.fromkeys(("cast_members_count", "cast_known_gender_count", "cast_female_count", "crew_women")),
}
FEATURES = {
    info.name: info
    for info in (
        FeatureInfo("cast_members_count", sentence="{cast_members_count} people are in the cast"),
        FeatureInfo(
            "cast_known_gender_count",
            sentence="The gender of {cast_known_gender_count} of {cast_members_count} is known",
            sentence_null="The cast is not known",
        ),
        FeatureInfo(
            "cast_female_count",
            sentence="{cast_female_count} women are in the cast",
            sentence_null="The cast is not known",
        ),
        FeatureInfo(
            "crew_women", sentence="{crew_women} women are in the crew", sentence_null="The crew is not known"
        ),
    )
}


def make_scorer() -> Scorer:
    """A real model that likes women in the cast."""
    random = np.random.default_rng(7)
    matrix = random.integers(0, 8, size=(400, len(FEATURES))).astype(float)
    boosters = tuple(
        lightgbm.train(
            {"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1, "seed": 7},
            lightgbm.Dataset(matrix, matrix[:, 2] >= threshold),
            num_boost_round=20,
        )
        for threshold in (1, 2, 3)
    )
    return Scorer(
        "movie_bechdel_v1", FEATURES, (0.4, 0.6), boosters, (Calibration(1.0, 0.0),) * 3, facts={"films": 4}
    )


class FakeChampions:
    """A watcher that holds what it is given."""

    def __init__(self, champion: Champion | None) -> None:
        self.champion, self.state = champion, WatchState(looked_at=datetime.now(UTC))

    def current(self) -> Champion:
        if self.champion is None:
            raise ModelNotReadyError(NO_MODEL)
        return self.champion

    @property
    def version(self) -> str | None:
        return self.champion.version.version if self.champion else None

    def start(self) -> None:
        """Nothing to watch."""


class FakeDatabase:
    """Answers, or is away."""

    is_away = False
    published_at: datetime | None = None

    def __init__(self) -> None:
        self.statements: list[tuple[Any, ...]] = []  # that write
        self.asked: list[str] = []  # all, without their parameters

    def fetch(self, *statement: Any) -> list[dict[str, Any]]:
        self.asked += statement[:1]
        if self.is_away:
            raise DatabaseError("PostgreSQL at 127.0.0.1:1/none does not answer. Start it with `make up`.")
        if statement and "insert into serving" in statement[0]:
            self.statements.append(statement)
            return [{"feedback_id": len(self.statements), "given_at": datetime.now(UTC)}]
        return []

    @contextmanager
    def rehearse(self) -> Iterator["FakeDatabase"]:
        yield self


class FakeCatalogue:
    """The films above, and those that have landed."""

    def __init__(self, database: FakeDatabase, landing: "FakeLanding") -> None:
        self.database, self.landing = database, landing

    def find(self, tmdb_ids: Sequence[int]) -> dict[int, tuple[Film | None, Landed | None]]:
        self.database.fetch()
        films = {film.tmdb_id: film for film in FILMS}
        return {tmdb_id: (films.get(tmdb_id), self.landing.rows.get(tmdb_id)) for tmdb_id in tmdb_ids}

    def published_at(self) -> datetime | None:
        self.database.fetch()
        return self.database.published_at

    def find_imdb_id(self, imdb_id: str) -> int | None:
        self.database.fetch()
        return next((film.tmdb_id for film in FILMS if film.imdb_id == imdb_id), None)

    def match(self, title: str, year: int | None) -> Match:
        match = match_title(title, year, self._candidates())
        return match if match.has_title else Match("none", ())

    def search(self, text: str, limit: int) -> list[Candidate]:
        return [film for film in self._candidates() if text.lower() in film.title.lower()][:limit]

    def _candidates(self) -> list[Candidate]:
        self.database.fetch()
        return [Candidate(film.tmdb_id, film.title, film.year, imdb_id=film.imdb_id) for film in FILMS]


class FakeLanding:
    """A landing table in memory."""

    def __init__(self) -> None:
        self.rows: dict[int, Landed] = {}

    def land(self, payload: dict[str, Any], fetched_at: datetime | None = None) -> Landed:
        moment = fetched_at or datetime.now(UTC)
        landed = Landed(payload["id"], payload, "credits" in payload, "api", False, str(payload), moment, moment)
        self.rows[payload["id"]] = landed
        return landed


class FakeFeatures:
    """Feature values from memory, for the live and for the online side."""

    is_away = False

    def read(self, tmdb_ids: Sequence[int], _: object) -> dict[int, dict[str, Any]]:
        if self.is_away:
            raise FeatureStoreError("The feature store does not answer.")
        return {tmdb_id: VALUES[tmdb_id] for tmdb_id in tmdb_ids if tmdb_id in VALUES}

    def read_in_parts(self, tmdb_ids: Sequence[int], names: object) -> Iterator[dict[int, dict[str, Any]]]:
        return (self.read([tmdb_id], names) for tmdb_id in tmdb_ids)


class Platform:
    """The app and the parts that a test may change."""

    def __init__(
        self, *, tmdb: TmdbClient | None = None, has_model: bool = True, cors_origins: str = "", **settings: Any
    ) -> None:
        version = ModelVersion("bechdel-test-predictor", "3", "run")
        champion = Champion(version, make_scorer(), datetime.now(UTC)) if has_model else None
        self.champions, self.database, self.landing = FakeChampions(champion), FakeDatabase(), FakeLanding()
        catalogue: Any = FakeCatalogue(self.database, self.landing)
        fakes: dict[str, Any] = {"champions": self.champions, "landing": self.landing}
        metrics = Metrics()
        features: Any = FakeFeatures()
        self.online = FakeFeatures()
        online: Any = self.online
        self.log = PredictionLog(self.database, metrics)  # type: ignore[arg-type]
        parts = Services(
            settings=Settings(state_dir=Path("/nonexistent"), cors_origins=cors_origins, **settings),
            metrics=metrics,
            database=self.database,  # type: ignore[arg-type]
            champions=self.champions,  # type: ignore[arg-type]
            finder=FilmFinder(catalogue, tmdb),
            predictor=Predictor(
                **fakes,
                catalogue=catalogue,
                live=features,
                online=online,
                tmdb=tmdb,
                metrics=metrics,
                log=self.log,
            ),
            health=Health(self.champions, self.database, online, tmdb),  # type: ignore[arg-type]
            log=self.log,
            feedback=Feedback(self.database),  # type: ignore[arg-type]
        )
        self.app: Flask = create_app(parts=parts)
        self.client = self.app.test_client()
