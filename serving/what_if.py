"""What if the cast were other people? The film with other genders takes the road of every live film.

Nothing is recomputed here: the changed cast is written into the landing table, dbt's live view gives its features
by the SQL that all films take, and the transaction is rolled back (docs/decisions/0060-what-if.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg.types.json import Jsonb

from common.errors import MovieNotFoundError
from serving.champion import Champion
from serving.database import Database, Rehearsal
from serving.features_live import LiveFeatures
from serving.film_details import CODES, Gender, Person, order_cast

TOP = 10
BECOME_WOMEN: tuple[Gender, ...] = ("man", "unknown", "nonbinary")


@dataclass(frozen=True)
class WhatIf:
    """A film as it is and as it might be, judged by the same model.

    Attributes:
        before: P(pass) with the cast as it is.
        after: P(pass) with the changed cast.
        verdict: what the model says about the changed cast.
        genders: of the top-billed, by their position in the source's list.
        changed: how many people got another gender than they have.
    """

    before: float
    after: float
    verdict: str
    genders: Mapping[int, Gender]
    changed: int

    @property
    def women(self) -> int:
        """How many of the top-billed are women."""
        return _count_women(self.genders)

    @property
    def points(self) -> float:
        """How far the probability moved, in percentage points."""
        return 100 * (self.after - self.before)


def imagine(
    database: Database,
    champion: Champion,
    tmdb_id: int,
    *,
    wished: Mapping[int, Gender],
    preset: str = "",
    women: int | None = None,
) -> WhatIf:
    """Ask the model about a film whose top-billed people had other genders.

    Args:
        wished: genders by position in the source's list; who is not named keeps theirs.
        preset: `swap` turns women into men and men into women, `women` makes all ten women.
        women: how many of the top-billed are women; goes before the other two.

    Raises:
        MovieNotFoundError: the film or its cast is not known.
        DatabaseError, FeatureStoreError: the features cannot be computed.
    """
    with database.rehearse() as rehearsal:
        payload, members = _read_film(rehearsal, tmdb_id)
        top = order_cast(members)[:TOP]
        genders = (
            cast_women(top, women)
            if women is not None
            else {person.position: _choose(person, wished, preset) for person in top}
        )
        live = LiveFeatures(rehearsal)  # type: ignore[arg-type]  # has the two methods that it uses
        names = champion.scorer.feature_names
        _write(rehearsal, tmdb_id, payload, members)
        rows = [live.read([tmdb_id], names)[tmdb_id]]
        _write(rehearsal, tmdb_id, payload, _recast(members, top, genders))
        rows.append(live.read([tmdb_id], names)[tmdb_id])
    before, after = champion.scorer.probabilities(champion.scorer.encode(rows))[:, 3].tolist()
    changed = sum(genders[person.position] != person.gender for person in top)
    return WhatIf(before, after, champion.scorer.verdict(after), genders, changed)


def imagine_every_number(database: Database, champion: Champion, tmdb_id: int) -> list[float]:
    """P(pass) with no, one, two ... women among the top-billed, each by `cast_women()`.

    Raises:
        MovieNotFoundError: the film or its cast is not known.
        DatabaseError, FeatureStoreError: the features cannot be computed.
    """
    with database.rehearse() as rehearsal:
        payload, members = _read_film(rehearsal, tmdb_id)
        top = order_cast(members)[:TOP]
        live = LiveFeatures(rehearsal)  # type: ignore[arg-type]  # has the two methods that it uses
        rows = []
        for women in range(len(top) + 1):
            _write(rehearsal, tmdb_id, payload, _recast(members, top, cast_women(top, women)))
            rows.append(live.read([tmdb_id], champion.scorer.feature_names)[tmdb_id])
    found: list[float] = champion.scorer.probabilities(champion.scorer.encode(rows))[:, 3].tolist()
    return found


def _read_film(rehearsal: Rehearsal, tmdb_id: int) -> tuple[dict[str, Any], list[Any]]:
    rows = rehearsal.fetch(
        """
        select answers.payload, coalesce(tmdb.cast_members, kaggle.cast_members) as cast_members
        from (values (%s::bigint)) as asked (film)
        left join raw.tmdb_movies as answers on answers.tmdb_id = asked.film
        left join staging.stg_tmdb__movies as tmdb on tmdb.movie_id = asked.film
        left join staging.stg_kaggle__movies as kaggle on kaggle.movie_id = asked.film
        """,
        [tmdb_id],
    )
    if not rows or not order_cast(rows[0]["cast_members"]):
        raise MovieNotFoundError(f"The cast of film {tmdb_id} is not known, so there is nobody to change.")
    payload = rows[0]["payload"]
    return (payload if isinstance(payload, dict) else {"id": tmdb_id}), rows[0]["cast_members"]


def _choose(person: Person, wished: Mapping[int, Gender], preset: str) -> Gender:
    if preset == "women":
        return "woman"
    if preset == "swap":
        opposite: Mapping[Gender, Gender] = {"woman": "man", "man": "woman"}
        return opposite.get(person.gender, person.gender)
    return wished.get(person.position, person.gender)


def cast_women(top: Sequence[Person], women: int) -> dict[int, Gender]:
    """Genders with so many women, by as few changes as possible and from the lower end of the billing.

    More women: men become women, then people of unknown gender, then non-binary people. Fewer: women become men.
    """
    genders = {person.position: person.gender for person in top}
    upwards = list(reversed(top))
    for gender in BECOME_WOMEN:
        for person in upwards:
            if person.gender == gender and _count_women(genders) < women:
                genders[person.position] = "woman"
    for person in upwards:
        if person.gender == "woman" and _count_women(genders) > women:
            genders[person.position] = "man"
    return genders


def _count_women(genders: Mapping[int, Gender]) -> int:
    return sum(gender == "woman" for gender in genders.values())


def _recast(members: list[Any], top: tuple[Person, ...], genders: Mapping[int, Gender]) -> list[Any]:
    """The cast with the wished genders, also where a person is listed twice."""
    by_identity = {_identity(members[person.position], person.position): genders[person.position] for person in top}

    def change(position: int, item: Any) -> Any:
        wish = by_identity.get(_identity(item, position)) if isinstance(item, dict) else None
        return {**item, "gender": CODES[wish]} if wish else item

    return [change(position, item) for position, item in enumerate(members)]


def _identity(item: Mapping[str, Any], position: int) -> str:
    return str(item.get("id", f"position {position}"))


def _write(rehearsal: Rehearsal, tmdb_id: int, payload: dict[str, Any], members: list[Any]) -> None:
    known = payload.get("credits")
    changed = {**payload, "credits": {**(known if isinstance(known, dict) else {}), "cast": members}}
    rehearsal.fetch(
        """
        insert into raw.tmdb_movies (tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at)
        values (%s, %s, 'file', false, 'what if', now(), now())
        on conflict (tmdb_id) do update set payload = excluded.payload
        """,
        [tmdb_id, Jsonb(changed, dumps=orjson.dumps)],
    )
