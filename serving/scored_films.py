"""What the model said about a film, kept until its data, the online store or the champion changes."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from serving.schemas import Reason

KEEP_FILMS = 10_000  # about 8 kB each
KEEP_SECONDS = 600.0  # a view rebuilt by hand, without publishing, is noticed after ten minutes


@dataclass(frozen=True, slots=True)
class ScoredFilm:
    """A film's vector and what the model makes of it.

    Attributes:
        vector: feature values by name as JSON, for the log; texts are left out.
        ratings: P(rating 0) to P(rating 3).
        note: what was not at its best while computing it, empty when all was well.
    """

    vector: bytes
    ratings: tuple[float, ...]
    verdict: str
    reasons: Sequence[Reason]
    missing: Sequence[str]
    note: str = ""
    scored_at: float = field(default_factory=time.monotonic)


class ScoredFilms:
    """A bounded memory; the film that was asked for least recently goes first."""

    def __init__(self, films: int = KEEP_FILMS) -> None:
        self._limit = films
        self._films: OrderedDict[Hashable, ScoredFilm] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> ScoredFilm | None:
        """The film under exactly this key, unless it is too old."""
        with self._lock:
            found = self._films.get(key)
            if found is None or time.monotonic() - found.scored_at > KEEP_SECONDS:
                return None
            self._films.move_to_end(key)
            return found

    def put(self, key: Hashable, scored: ScoredFilm) -> None:
        """Keep a film."""
        with self._lock:
            self._films[key] = scored
            self._films.move_to_end(key)
            while len(self._films) > self._limit:
                self._films.popitem(last=False)
