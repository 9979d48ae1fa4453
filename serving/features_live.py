"""Features of films as TMDB describes them now: one query over dbt's view `live.live_movie_features`.

Nothing is computed here. The view uses the same macros as the tables that the model learned from.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from psycopg import sql

from common.errors import DatabaseError, FeatureStoreError, PlatformError
from serving.database import Database

FeatureRow = Mapping[str, Any]
PART_FILMS = 50  # at most, in one query: smaller parts lost more than they let the model begin earlier (0050)
PARTS_AT_A_TIME = 2  # of batches with more films, all those that a process answers
PART_SECONDS = 10.0  # nobody waits longer for one: PostgreSQL ends a query after half of it


class UnknownFeaturesError(FeatureStoreError):
    """The live view lacks features that a model asks for."""


class LiveFeatures:
    """Reads features from the live view; whether it has them is asked once per set of features."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries: dict[tuple[str, ...], str] = {}
        # they stay: a thread that a batch made for itself began 10 ms late, while PostgreSQL had both cores
        self._threads = ThreadPoolExecutor(PARTS_AT_A_TIME, thread_name_prefix="live-features")

    def read(self, tmdb_ids: Sequence[int], feature_names: tuple[str, ...]) -> dict[int, FeatureRow]:
        """Feature values by film; a film whose answer has not landed is absent, a value may be None.

        Raises:
            FeatureStoreError: the view is missing, or lacks a feature of the model.
        """
        query = self._query(feature_names)
        try:
            rows = self._database.fetch_for_each(query, tmdb_ids)
        except FeatureStoreError:
            self._queries.pop(feature_names, None)  # the view has been built anew with other columns
            raise
        return {row.pop("movie_id"): row for row in rows}

    def read_in_parts(
        self, tmdb_ids: Sequence[int], feature_names: tuple[str, ...]
    ) -> Iterator[dict[int, FeatureRow]]:
        """As `read()`, in equal parts as they arrive: the caller works on one while PostgreSQL computes others.

        Reading begins, and errors come, with the iteration.

        Raises:
            DatabaseError: also when no part arrives in PART_SECONDS.
        """
        if not tmdb_ids:
            return
        if len(tmdb_ids) <= PART_FILMS:
            yield self.read(tmdb_ids, feature_names)
            return
        size = math.ceil(len(tmdb_ids) / math.ceil(len(tmdb_ids) / PART_FILMS))
        parts = [tmdb_ids[start : start + size] for start in range(0, len(tmdb_ids), size)]
        pending = {self._threads.submit(self.read, part, feature_names) for part in parts}
        try:
            while pending:
                arrived, pending = wait(pending, PART_SECONDS, FIRST_COMPLETED)
                if not arrived:
                    raise DatabaseError(
                        f"PostgreSQL has not computed the features of {size} films in {PART_SECONDS:.0f} seconds: "
                        "it is too busy. Try again, or ask for fewer films."
                    )
                yield {tmdb_id: row for read in arrived for tmdb_id, row in read.result().items()}
        finally:
            for unread in pending:
                unread.cancel()

    def refuse_unknown(self, feature_names: tuple[str, ...]) -> None:
        """Ask whether the view has these features; where it cannot be asked, requests will tell.

        Raises:
            UnknownFeaturesError: it is there and lacks some.
        """
        try:
            self._queries[feature_names] = self._build_query(feature_names)  # the view may have changed since
        except UnknownFeaturesError:
            raise
        except PlatformError:
            return

    def warm_up(self, feature_names: tuple[str, ...]) -> None:
        """Plan the query before a request does: it takes longer than running it; a request tells what failed."""
        with suppress(PlatformError):
            self._database.plan(self._query(feature_names))

    def _query(self, feature_names: tuple[str, ...]) -> str:
        query = self._queries.get(feature_names)
        if query is None:
            query = self._queries[feature_names] = self._build_query(feature_names)
        return query

    def _build_query(self, feature_names: tuple[str, ...]) -> str:
        columns = self._database.fetch(
            "select column_name from information_schema.columns "
            "where table_schema = 'live' and table_name = 'live_movie_features'"
        )
        if not columns:
            raise FeatureStoreError("The live view is not built yet. Build it: make up")
        missing = sorted(set(feature_names) - {row["column_name"] for row in columns})
        if missing:
            raise UnknownFeaturesError(
                f"The live view lacks features of the model: {', '.join(missing[:5])}. "
                "Build it: make up, or train a model on what is there: make train-model."
            )
        return _films_query(feature_names)


def _films_query(feature_names: Sequence[str]) -> str:
    """These features of the films `%(keys)s`.

    Each film goes through the view alone: through a plain join or `any(...)` PostgreSQL read the film list of every
    film first (65 ms to 2 s instead of 1 ms, measured on 7,000 films before decision 0016). `offset 0` keeps the
    planner from turning this into such a join. One statement for a hundred films takes a third of the time of a
    hundred statements: PostgreSQL sets up its plan once.
    """
    query = sql.SQL(
        """
        select film.*
        from unnest(%(keys)s::bigint[]) as asked (movie_id)
        cross join lateral (
            select {columns} from live.live_movie_features where movie_id = asked.movie_id
            offset 0
        ) as film
        """
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, ("movie_id", *feature_names)))
    return query.format(columns=columns).as_string(None)
