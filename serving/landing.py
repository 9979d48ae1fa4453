"""TMDB's answers in PostgreSQL (`raw.tmdb_movies`): the landing table of live films, and their cache."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from psycopg.types.json import Jsonb

from serving.database import Database, Row

FRESH = timedelta(days=1)


@dataclass(frozen=True)
class Landed:
    """A TMDB answer as it lies in the landing table.

    Attributes:
        facts: the few fields that name a film (`id`, `title`, `original_title`, `imdb_id`, `release_date`,
            `poster_path`).
        has_credits: whether the answer held a cast and crew at all.
        loaded_at: moves only when the content changes.
    """

    tmdb_id: int
    facts: dict[str, Any]
    has_credits: bool
    source: str
    is_synthetic: bool
    payload_hash: str
    fetched_at: datetime
    loaded_at: datetime

    @property
    def is_fresh(self) -> bool:
        """Whether TMDB itself gave it within the last day."""
        return self.source == "api" and datetime.now(UTC) - self.fetched_at < FRESH


_NAMING = ("title", "original_title", "imdb_id", "release_date", "poster_path")
_STATE = ("source", "is_synthetic", "has_credits", "payload_hash", "fetched_at", "loaded_at")
COLUMNS = ", ".join(f"landed.{name} as landed_{name}" for name in ("tmdb_id", *_NAMING, *_STATE))


class Landing:
    """Writes the landing table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def land(self, payload: dict[str, Any]) -> Landed:
        """Keep an answer, return it as it lies. One without credits does not erase the credits of an earlier one.

        Nobody waits for the disk (`set_config`): what a crash of the database forgets, the last half second, TMDB is
        asked for again.
        """
        data = kept = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
        if b"\\u0000" in data:  # PostgreSQL's jsonb cannot hold NUL
            kept = orjson.dumps(_without_nul(payload))
        [row] = self._database.fetch(
            f"""
            insert into raw.tmdb_movies as landed
                (tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at)
            select %s, %s, 'api', false, %s, now(), now() from set_config('synchronous_commit', 'off', true)
            on conflict (tmdb_id) do update set
                payload = case
                    when not excluded.payload ? 'credits' and landed.payload ? 'credits'
                        then excluded.payload || jsonb_build_object('credits', landed.payload -> 'credits')
                    else excluded.payload
                end,
                source = 'api',
                is_synthetic = false,
                payload_hash = excluded.payload_hash,
                fetched_at = excluded.fetched_at,
                loaded_at = case
                    when landed.payload_hash = excluded.payload_hash then landed.loaded_at
                    else excluded.loaded_at
                end
            returning {COLUMNS}
            """,  # noqa: S608 - a constant
            [payload["id"], Jsonb(orjson.Fragment(kept), dumps=orjson.dumps), hashlib.sha256(data).hexdigest()],
        )
        return read_landed(row)

    def expire(self, age: timedelta, *, limit: int) -> int:
        """Delete at most `limit` of TMDB's answers that are older; returns how many.

        Files that were loaded are not TMDB's answers.
        """
        rows = self._database.fetch(
            """
            delete from raw.tmdb_movies
            where tmdb_id in (
                select tmdb_id from raw.tmdb_movies
                where source = 'api' and fetched_at < now() - %s
                order by fetched_at
                limit %s
                for update skip locked  -- one that is fetched again at this moment stays
            )
            returning 1 as gone
            """,
            [age, limit],
        )
        return len(rows)


def read_landed(row: Row) -> Landed:
    """From a row with COLUMNS."""
    tmdb_id = row["landed_tmdb_id"]
    facts = {"id": tmdb_id, **{name: row[f"landed_{name}"] for name in _NAMING}}
    return Landed(tmdb_id, facts, **{name: row[f"landed_{name}"] for name in _STATE})


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {key.replace("\0", ""): _without_nul(item) for key, item in value.items()}
    return value
