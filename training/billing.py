"""What happens to the probability when a man at the top of the billing becomes a woman: asked of dbt, not guessed.

The film's TMDB answer is changed inside a transaction, dbt's live view computes the features of the changed film,
and the transaction is rolled back. So every feature that depends on the cast moves as it would in life.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from psycopg.types.json import Jsonb

from common.database import connect
from common.errors import FeatureStoreError
from common.scoring import Scorer

Floats = NDArray[np.float64]
Payload = dict[str, Any]

FEMALE, MALE = 1, 2
PLACES = 5
MAX_FILMS = 400
# What the behaviour test asserts and the pages state: by more than this no woman at the top lowers the probability.
STATED_LOSS = 0.001
RATING_PASSES = 3


@dataclass(frozen=True)
class Effect:
    """Mean change of P(rating 3) over the films in which a change was possible.

    Attributes:
        change: what was changed.
        films: in how many films.
        mean: mean change of the probability.
        low, high: the 5th and 95th percentile of the change.
        lowered_share: part of the films whose probability fell by more than STATED_LOSS.
    """

    change: str
    films: int
    mean: float
    low: float
    high: float
    lowered_share: float


def measure_billing(database_url: str, scorer: Scorer, movie_ids: Sequence[int]) -> list[Effect]:
    """The table: place 1 to PLACES of the billing, then all of them at once; films without a TMDB answer are skipped.

    Args:
        database_url: where raw.tmdb_movies and the live view are; nothing is written in the end.
        scorer: the model.
        movie_ids: films, of which the first MAX_FILMS with an answer are taken.
    """
    changes: dict[str, Callable[[list[Payload]], list[Payload]]] = {
        **{
            f"number {place} of the billing, a man, becomes a woman": _Swap((place,))
            for place in range(1, PLACES + 1)
        },
        f"every man among the first {PLACES} becomes a woman": _Swap(tuple(range(1, PLACES + 1))),
    }
    with connect(database_url) as connection:
        payloads = read_payloads(connection, movie_ids)
        before = score_live(connection, scorer, list(payloads))
        effects = [
            _measure(connection, scorer, payloads, before, name=name, change=change)
            for name, change in changes.items()
        ]
        connection.rollback()
    return [effect for effect in effects if effect.films]


@dataclass(frozen=True)
class _Swap:
    places: tuple[int, ...]

    def __call__(self, cast: list[Payload]) -> list[Payload]:
        ordered = order_cast(cast)
        swapped = {id(ordered[place - 1]) for place in self.places if place <= len(ordered)}
        return [
            {**member, "gender": FEMALE} if id(member) in swapped and member.get("gender") == MALE else member
            for member in cast
        ]


def order_cast(cast: Sequence[Payload]) -> list[Payload]:
    """The cast as it is billed."""
    return sorted(cast, key=lambda member: member.get("order", 0))


def read_cast(payload: Payload) -> list[Payload]:
    """The cast of a TMDB answer, in any order; empty when there is none."""
    cast: list[Payload] = (payload.get("credits") or {}).get("cast") or []
    return cast


def with_cast(payload: Payload, cast: list[Payload]) -> Payload:
    """The TMDB answer with another cast."""
    return {**payload, "credits": {**(payload.get("credits") or {}), "cast": cast}}


def read_payloads(connection: psycopg.Connection, movie_ids: Sequence[int]) -> dict[int, Payload]:
    rows = connection.execute(
        "select tmdb_id, payload from raw.tmdb_movies where tmdb_id = any(%s) order by tmdb_id limit %s",
        [list(movie_ids), MAX_FILMS],
    )
    return {int(movie_id): payload for movie_id, payload in rows}


def _measure(
    connection: psycopg.Connection,
    scorer: Scorer,
    payloads: Mapping[int, Payload],
    before: Mapping[int, float],
    *,
    name: str,
    change: Callable[[list[Payload]], list[Payload]],
) -> Effect:
    changed = {}
    for movie_id, payload in payloads.items():
        cast = read_cast(payload)
        replaced = change(cast)
        if replaced != cast:
            changed[movie_id] = with_cast(payload, replaced)
    after = score_changed(connection, scorer, changed)
    moved = np.array([after[movie_id] - before[movie_id] for movie_id in changed if movie_id in before])
    if not len(moved):
        return Effect(name, 0, 0.0, 0.0, 0.0, 0.0)
    low, high = np.percentile(moved, [5, 95])
    return Effect(
        name, len(moved), float(moved.mean()), float(low), float(high), float((moved < -STATED_LOSS).mean())
    )


def score_changed(connection: psycopg.Connection, scorer: Scorer, changed: Mapping[int, Payload]) -> dict[int, float]:
    """P(rating 3) by film, were these its TMDB answers; they are taken back at once."""
    with connection.transaction(force_rollback=True):
        with connection.cursor() as cursor:
            cursor.executemany(
                "update raw.tmdb_movies set payload = %s where tmdb_id = %s",
                [(Jsonb(payload, dumps=orjson.dumps), movie_id) for movie_id, payload in changed.items()],
            )
        return score_live(connection, scorer, list(changed))


def score_live(connection: psycopg.Connection, scorer: Scorer, movie_ids: Sequence[int]) -> dict[int, float]:
    """P(rating 3) by film, from dbt's live view; a feature that it does not have counts as unknown."""
    live = connection.execute(
        "select column_name from information_schema.columns "
        "where table_schema = 'live' and table_name = 'live_movie_features' and column_name = any(%s)",
        [list(scorer.feature_names)],
    )
    columns = [column for (column,) in live]
    if not columns:
        raise FeatureStoreError("live.live_movie_features has none of the model's features. Build it: make up.")
    values: dict[int, dict[str, object]] = {movie_id: dict.fromkeys(scorer.feature_names) for movie_id in movie_ids}
    query = sql.SQL("select {} from live.live_movie_features where movie_id = any(%s)").format(
        sql.SQL(", ").join(map(sql.Identifier, ("movie_id", *columns)))
    )
    for movie_id, *found in connection.execute(query, [list(movie_ids)]):
        values[movie_id].update(zip(columns, found, strict=True))
    if not values:
        return {}
    scores = scorer.probabilities(scorer.encode(list(values.values())))[:, RATING_PASSES]
    return dict(zip(values, scores.tolist(), strict=True))
