"""What the database says about films, remembered for two seconds: a film that many ask for costs no query each time.

While the database is away, what was remembered is still given, with a note that says so.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from common.errors import DatabaseError
from serving.films import Catalogue, Film
from serving.landing import Landed

REMEMBER_SECONDS = 2.0
REMEMBER_FILMS = 20_000  # about 2 kB each


@dataclass(frozen=True)
class FilmState:
    """One film as the catalogue and the landing table have it, either may have nothing.

    Attributes:
        read_at: on the monotonic clock.
        note: why this may be out of date, empty when it is not.
    """

    film: Film | None = None
    landed: Landed | None = None
    read_at: float = 0.0
    note: str = ""


class FilmStates:
    """Reads films from the database, all that are asked for at once, with a short memory."""

    def __init__(self, catalogue: Catalogue, *, remember_seconds: float = REMEMBER_SECONDS) -> None:
        self._catalogue = catalogue
        self._remember_seconds = remember_seconds
        self._states: OrderedDict[int, FilmState] = OrderedDict()
        self._published: tuple[float, datetime | None] = (0.0, None)
        self._lock = threading.Lock()

    def read(self, tmdb_ids: Sequence[int]) -> Mapping[int, FilmState | DatabaseError]:
        """The films' states; the error in place of one that was never read before, when the database is away.

        Raises:
            DatabaseError: the database is away, and no film was read before.
        """
        oldest = time.monotonic() - self._remember_seconds
        known = self._recall(tmdb_ids)
        wanted = [i for i in tmdb_ids if i not in known or known[i].read_at < oldest]
        if not wanted:
            return known
        try:
            return {**known, **self._read(wanted)}
        except DatabaseError as error:
            if not known:
                raise
            note = f"{error} This answer is made from what the server remembers."
            return {**known, **{i: replace(known[i], note=note) if i in known else error for i in wanted}}

    def put(self, tmdb_id: int, landed: Landed) -> None:
        """TMDB's answer has just landed."""
        with self._lock:
            state = self._states.get(tmdb_id, FilmState())
            self._states[tmdb_id] = replace(state, landed=landed, read_at=time.monotonic())

    def published_at(self) -> datetime | None:
        """When the online store was last published; the last known moment while the database is away."""
        read_at, moment = self._published
        if time.monotonic() - read_at > self._remember_seconds:
            try:
                moment = self._catalogue.published_at()
            except DatabaseError:
                return moment
            self._published = (time.monotonic(), moment)
        return moment

    def _recall(self, tmdb_ids: Sequence[int]) -> dict[int, FilmState]:
        with self._lock:
            return {i: self._states[i] for i in tmdb_ids if i in self._states}

    def _read(self, tmdb_ids: Sequence[int]) -> Mapping[int, FilmState]:
        read_at = time.monotonic()
        found = self._catalogue.find(tmdb_ids)
        states = {i: FilmState(film, landed, read_at) for i, (film, landed) in found.items()}
        with self._lock:
            for tmdb_id, state in states.items():
                self._states[tmdb_id] = state
                self._states.move_to_end(tmdb_id)
            while len(self._states) > REMEMBER_FILMS:
                self._states.popitem(last=False)
        return states
