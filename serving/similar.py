"""Films that pass and are near to a film in the model's feature space."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import PlatformError
from common.feature_encoding import FeatureInfo
from serving.champion import Champion
from serving.database import Database
from serving.feature_tables import read_features
from serving.features_live import LiveFeatures
from serving.schemas import poster_url

logger = logging.getLogger(__name__)

MAX_FILMS = 20_000  # the best known ones; 20,000 x 100 numbers are 8 MB
SHOWN = 6
CLIP = 3.0  # standard deviations, so that one odd number does not decide who is near


@dataclass(frozen=True)
class SimilarFilm:
    """A neighbour that people rated as passing."""

    tmdb_id: int
    title: str
    year: int | None
    poster_url: str | None


@dataclass(frozen=True)
class _Space:
    """The passing films as points; unknown values lie in the middle."""

    version: str
    names: tuple[str, ...]
    films: Sequence[SimilarFilm]
    points: NDArray[np.float32]
    middle: NDArray[np.float32]
    spread: NDArray[np.float32]

    def place(self, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        return _scale(_as_matrix(rows, self.names), self.middle, self.spread)


class SimilarFilms:
    """Keeps the passing films of one champion's feature space in memory, built in the background."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._live = LiveFeatures(database)
        self._space: _Space | None = None
        self._lock = threading.Lock()

    def warm_up(self, champion: Champion) -> None:
        """Build the space unless it is there or being built."""
        if self.is_ready(champion) or not self._lock.acquire(blocking=False):
            return
        try:
            self._space = self._build(champion)
        except PlatformError as error:
            logger.warning("similar films are not available reason=%r", str(error))
        finally:
            self._lock.release()

    def begin(self, champion: Champion) -> None:
        """Build the space in the background unless it is there."""
        if not self.is_ready(champion):
            threading.Thread(target=self.warm_up, args=[champion], name="similar", daemon=True).start()

    def nearest(self, champion: Champion, tmdb_id: int) -> list[SimilarFilm]:
        """The nearest films that pass, nearest first; empty while the space is being built or the film is unknown."""
        space = self._space
        if space is None or not self.is_ready(champion) or not space.films:
            return []
        row = self._find(space, tmdb_id)
        if row is None:
            return []
        distances = np.square(space.points - space.place([row])).sum(axis=1)
        order = np.argsort(distances, kind="stable")[: SHOWN + 1]
        return [space.films[place] for place in order if space.films[place].tmdb_id != tmdb_id][:SHOWN]

    def is_ready(self, champion: Champion) -> bool:
        """Whether the space of this champion is built."""
        return self._space is not None and self._space.version == champion.version.version

    def _find(self, space: _Space, tmdb_id: int) -> Mapping[str, Any] | None:
        live = self._live.read([tmdb_id], space.names)
        if tmdb_id in live:
            return live[tmdb_id]
        rows = read_features(self._database, space.names, condition=f"movies.movie_id = {int(tmdb_id)}", limit=1)
        return rows[0] if rows else None

    def _build(self, champion: Champion) -> _Space:
        names = _numbers(champion.scorer.features)
        rows = read_features(self._database, names, condition="labels.bechdel_rating = 3", limit=MAX_FILMS)
        films = [
            SimilarFilm(row["movie_id"], row["title"], row["year"], poster_url(row["poster_path"])) for row in rows
        ]
        matrix = _as_matrix(rows, names)
        known = ~np.isnan(matrix)
        counts = np.maximum(known.sum(axis=0), 1)
        middle = (np.where(known, matrix, 0.0).sum(axis=0) / counts).astype(np.float32)
        spread = np.sqrt((np.where(known, matrix - middle, 0.0) ** 2).sum(axis=0) / counts).astype(np.float32)
        spread = np.where(spread > 0, spread, np.float32(1.0)).astype(np.float32)
        logger.info("similar films ready films=%d features=%d", len(films), len(names))
        return _Space(champion.version.version, names, films, _scale(matrix, middle, spread), middle, spread)


def _numbers(features: Mapping[str, FeatureInfo]) -> tuple[str, ...]:
    return tuple(name for name, info in features.items() if info.kind == "number")


def _as_matrix(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> NDArray[np.float32]:
    values = [[np.nan if row.get(name) is None else float(row[name]) for name in names] for row in rows]
    return np.array(values, dtype=np.float32).reshape(len(rows), len(names))


def _scale(
    matrix: NDArray[np.float32], middle: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = np.nan_to_num(np.clip((matrix - middle) / spread, -CLIP, CLIP)).astype(np.float32)
    return scaled
