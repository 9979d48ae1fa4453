"""What a film's page shows beside the prediction: story, makers, and the cast in billing order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from serving.database import Database

Gender = Literal["woman", "man", "nonbinary", "unknown"]
GENDERS: Mapping[str, Gender] = {"1": "woman", "2": "man", "3": "nonbinary"}
CODES: Mapping[str, int] = {"woman": 1, "man": 2, "nonbinary": 3, "unknown": 0}
MAX_CAST = 40
MAX_DIRECTORS = 3

_QUERY = """
    select
        tmdb.overview,
        tmdb.original_title,
        tmdb.runtime_minutes,
        coalesce(tmdb.release_date, kaggle.release_date) as release_date,
        coalesce(tmdb.genres, kaggle.genres) as genres,
        coalesce(tmdb.countries, kaggle.countries) as countries,
        coalesce(tmdb.cast_members, kaggle.cast_members) as cast_members,
        coalesce(tmdb.crew_members, kaggle.crew_members) as crew_members
    from (values (1)) as asked (film)
    left join (select * from staging.stg_tmdb__movies where movie_id = %(film)s::bigint) as tmdb on true
    left join (select * from staging.stg_kaggle__movies where movie_id = %(film)s::bigint) as kaggle on true
"""


@dataclass(frozen=True)
class Person:
    """A member of the cast.

    Attributes:
        position: place in the source's list, from 0; names the person in forms.
        rank: place in billing order, from 1.
    """

    position: int
    rank: int
    name: str
    character: str
    gender: Gender


@dataclass(frozen=True)
class FilmDetails:
    """Facts of one film; empty where nothing is known.

    Attributes:
        cast: the first MAX_CAST in billing order.
        cast_size: how many there are in all.
    """

    overview: str | None = None
    original_title: str | None = None
    runtime_minutes: int | None = None
    release_date: str | None = None
    genres: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    directors: tuple[str, ...] = ()
    cast: tuple[Person, ...] = ()
    cast_size: int = 0


def read_details(database: Database, tmdb_id: int) -> FilmDetails:
    """Read one film's details.

    Raises:
        DatabaseError, FeatureStoreError: they cannot be read.
    """
    rows = database.fetch(_QUERY.replace("%(film)s", str(int(tmdb_id))))
    if not rows:
        return FilmDetails()
    row = rows[0]
    people = order_cast(row["cast_members"])
    return FilmDetails(
        overview=row["overview"],
        original_title=row["original_title"],
        runtime_minutes=row["runtime_minutes"],
        release_date=_write_date(row["release_date"]),
        genres=_texts(row["genres"]),
        countries=_texts(row["countries"]),
        directors=_directors(row["crew_members"]),
        cast=people[:MAX_CAST],
        cast_size=len(people),
    )


def order_cast(members: Any) -> tuple[Person, ...]:
    """People in billing order, each once by their first billing, as dbt's macro `cast_people` counts them."""
    listed = members if isinstance(members, list) else []
    billed = [(position, item) for position, item in enumerate(listed) if isinstance(item, dict)]
    billed.sort(key=lambda pair: (_billing(pair[1]), pair[0]))
    first: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for position, item in billed:
        first.setdefault(str(item.get("id", f"position {position}")), (position, item))
    return tuple(
        Person(
            position=position,
            rank=rank,
            name=_text(item.get("name")) or "Name not known",
            character=_text(item.get("character")),
            gender=GENDERS.get(str(item.get("gender")), "unknown"),
        )
        for rank, (position, item) in enumerate(first.values(), start=1)
    )


def _items(members: Any) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [item for item in members if isinstance(item, dict)] if isinstance(members, list) else []


def _billing(item: Mapping[str, Any]) -> int:
    order = str(item.get("order"))
    return int(order) if order.isascii() and order.isdigit() and len(order) <= 6 else 10**7


def _directors(crew: Any) -> tuple[str, ...]:
    names = (_text(item.get("name")) for item in _items(crew) if item.get("job") == "Director")
    return tuple(dict.fromkeys(name for name in names if name))[:MAX_DIRECTORS]


def _texts(values: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(str(value) for value in values or () if value)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _write_date(value: Any) -> str | None:
    return f"{value.day} {value:%B %Y}" if value is not None else None
