"""Which film a request means: looked up in the catalogue (`marts.dim_movies`) and, with a token, on TMDB."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.errors import (
    AmbiguousTitleError,
    FeatureStoreError,
    MovieNotFoundError,
    PlatformError,
    TmdbError,
    TmdbNotConfiguredError,
)
from common.tmdb import Candidate, Deadline, Match, TmdbClient, match_title, split_year
from common.tmdb.titles import read_year, search_key, split_same_year
from serving.database import Database, Row, bigints
from serving.landing import COLUMNS as LANDED_COLUMNS
from serving.landing import Landed, read_landed
from serving.schemas import ByImdbId, ByTitle, ByTmdbId

MAX_CANDIDATES = 20
HOW_TO_GO_LIVE = (
    "To look films up on TMDB, set TMDB_API_TOKEN in .env (free: https://www.themoviedb.org/settings/api) "
    "and start the server again."
)

_COLUMNS = """
    movies.movie_id, movies.imdb_id, movies.title, movies.original_title, movies.year, movies.poster_path,
    movies.popularity_rank, movies.is_synthetic
"""


@dataclass(frozen=True)
class Film:
    """A film and what people have said about it."""

    tmdb_id: int
    title: str
    imdb_id: str | None = None
    year: int | None = None
    poster_path: str | None = None
    is_synthetic: bool = False
    rating: int | None = None
    is_dubious: bool | None = None


class Catalogue:
    """The films that were loaded, with their known ratings, and TMDB's answers beside them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, tmdb_ids: Sequence[int]) -> dict[int, tuple[Film | None, Landed | None]]:
        """What the catalogue and the landing table have of each of these ids, either may have nothing."""
        rows = self._database.fetch(
            f"""
            select asked.tmdb_id as asked_id, {_COLUMNS}, labels.bechdel_rating, labels.is_dubious, {LANDED_COLUMNS}
            from unnest(%s::bigint[]) as asked (tmdb_id)
            left join marts.dim_movies as movies on movies.movie_id = asked.tmdb_id
            left join features.lbl_movie_bechdel_rating as labels on labels.movie_id = movies.movie_id
            left join raw.tmdb_movies as landed on landed.tmdb_id = asked.tmdb_id
            """,  # noqa: S608 - constants
            [bigints(tmdb_ids)],
        )
        return {
            row["asked_id"]: (
                None if row["movie_id"] is None else _read_film(row),
                None if row["landed_tmdb_id"] is None else read_landed(row),
            )
            for row in rows
        }

    def published_at(self) -> datetime | None:
        """When a view of the online store was last published; None before the first time."""
        try:
            rows = self._database.fetch("select max(published_at) as published_at from online.published")
        except FeatureStoreError:
            return None
        return rows[0]["published_at"] if rows else None

    def find_imdb_id(self, imdb_id: str) -> int | None:
        """The TMDB id of the catalogue's film with an IMDb id."""
        rows = self._database.fetch(
            "select movie_id from marts.dim_movies where imdb_id = %s order by movie_id limit 1",
            [f"tt{int(imdb_id[2:]):07d}"],
        )
        return int(rows[0]["movie_id"]) if rows else None

    def match(self, title: str, year: int | None) -> Match:
        """Find the film that a title means.

        A year at its end is split off, unless a film is called so or another year is given.
        """
        match = self._match(title, year)
        shorter, typed_year = split_same_year(title, year)
        return match if match.has_title or typed_year is None else self._match(shorter, typed_year)

    def search(self, text: str, limit: int) -> list[Candidate]:
        """Films whose title holds the text; if there are none, a year at its end is split off. None for a blank text.

        Exact titles come first, then those that begin with the text, then popular ones.
        """
        title = clean_title(text)
        if not title:
            return []
        films = self._holding(title, None, limit)
        shorter, typed_year = split_year(title)
        if films or typed_year is None or not search_key(shorter):
            return films
        return self._holding(shorter, typed_year, limit)

    def _holding(self, title: str, year: int | None, limit: int) -> list[Candidate]:
        """Films whose title holds another, of the year or one off it."""
        key = search_key(title)
        rows = self._database.fetch(
            f"""
            select {_COLUMNS} from marts.dim_movies as movies
            where title_search like %s and (%s::int is null or abs(movies.year - %s::int) <= 1)
            order by
                title_search = %s desc,
                title_search like %s desc,
                abs(movies.year - %s::int),
                popularity_rank nulls last,
                movie_id
            limit %s
            """,  # noqa: S608 - a constant
            [f"%{_escape_like(key)}%", year, year, key, f"{_escape_like(key)}%", year, limit],
        )
        return [_read_candidate(row) for row in rows]

    def _match(self, title: str, year: int | None) -> Match:
        films = self._titled(sorted({search_key(title), *_article_forms(search_key(title))}))
        return match_title(title, year, films)

    def _titled(self, keys: Sequence[str]) -> list[Candidate]:
        rows = self._database.fetch(
            f"""
            select {_COLUMNS} from marts.dim_movies as movies
            where title_search = any(%s) or original_title_search = any(%s)
            order by popularity_rank limit 200
            """,  # noqa: S608 - a constant
            [list(keys), list(keys)],
        )
        return [_read_candidate(row) for row in rows]


class FilmFinder:
    """Turns a request's film into a TMDB id, or says clearly why it cannot."""

    def __init__(self, catalogue: Catalogue, tmdb: TmdbClient | None) -> None:
        self._catalogue = catalogue
        self._tmdb = tmdb

    def resolve(self, query: ByTmdbId | ByImdbId | ByTitle, deadline: Deadline) -> int:
        """The TMDB id of the film that is meant.

        Raises:
            MovieNotFoundError: no film fits.
            AmbiguousTitleError: several films fit; it carries them.
            TmdbNotConfiguredError: the catalogue has no such title and TMDB cannot be asked.
            TmdbError: TMDB is needed and cannot answer.
        """
        if isinstance(query, ByTmdbId):
            return query.tmdb_id
        if isinstance(query, ByImdbId):
            return self._resolve_imdb_id(query.imdb_id, deadline)
        return self._resolve_title(clean_title(query.title), query.year, deadline)

    def search(self, text: str, limit: int, deadline: Deadline) -> tuple[list[Candidate], list[str]]:
        """Films whose title fits a text, TMDB's with a token, and the catalogue's; and why one of them is missing.

        A blank text fits none.

        Raises:
            PlatformError: nobody could be asked.
        """
        tmdb, title = self._tmdb, clean_title(text)
        if not title:
            return [], []
        sources: list[Callable[[], Sequence[Candidate]]] = []
        if tmdb is not None:
            sources.append(lambda: tmdb.search(title, None, deadline).candidates)
        sources.append(lambda: self._catalogue.search(text, limit))
        films: dict[int, Candidate] = {}
        problems: list[PlatformError] = []
        for search in sources:
            try:
                films |= {film.tmdb_id: film for film in search()}
            except PlatformError as problem:
                problems.append(problem)
        if len(problems) == len(sources):
            raise problems[-1]  # the catalogue's
        return list(films.values())[:limit], [str(problem) for problem in problems]

    def _resolve_imdb_id(self, imdb_id: str, deadline: Deadline) -> int:
        known = self._catalogue.find_imdb_id(imdb_id)
        if known is not None:
            return known
        if self._tmdb is None:
            raise MovieNotFoundError(f"The catalogue has no film with the IMDb id {imdb_id}. {HOW_TO_GO_LIVE}")
        return self._tmdb.find_by_imdb_id(imdb_id, deadline)

    def _resolve_title(self, title: str, year: int | None, deadline: Deadline) -> int:
        if not title:
            raise MovieNotFoundError("The title is empty. Type the title of a film.")
        if self._tmdb is None:
            match = self._catalogue.match(title, year)
        else:
            match = self._match_live(self._tmdb, title, year, deadline)
        if match.film is not None:
            return match.film.tmdb_id
        raise self._explain(match, title, year)

    def _match_live(self, tmdb: TmdbClient, title: str, year: int | None, deadline: Deadline) -> Match:
        """TMDB knows more films; the catalogue knows made-up ones, and answers when TMDB is away."""
        try:
            match = tmdb.search(title, year, deadline)
        except TmdbError:
            known = self._catalogue.match(title, year)
            if known.kind in ("one", "several"):
                return known
            raise
        if match.kind in ("one", "several"):
            return match
        known = self._catalogue.match(title, year)
        return known if known.kind in ("one", "several") else match

    def _explain(self, match: Match, title: str, year: int | None) -> Exception:
        """The error for a title that did not lead to one film."""
        wanted = f'"{title}"' + (f" from {year}" if year else "")
        candidates = [candidate_facts(film) for film in match.candidates[:MAX_CANDIDATES]]
        if match.kind == "several":
            return AmbiguousTitleError(
                f"{len(match.candidates)} films fit {wanted}. Choose one, or give its year.", candidates
            )
        if match.kind == "other_year":
            others = ", ".join(film.label for film in match.candidates[:5])
            return MovieNotFoundError(f"There is no film {wanted}, but there is {others}. Correct the year.")
        if self._tmdb is None:
            return TmdbNotConfiguredError(f"The catalogue has no film called {wanted}. {HOW_TO_GO_LIVE}")
        if match.kind == "similar":
            return AmbiguousTitleError(f"No film is called exactly {wanted}. Is it one of these?", candidates)
        return MovieNotFoundError(f"TMDB has no film called {wanted}. Check the spelling.")


def film_from_payload(payload: dict[str, Any], known: Film | None, *, is_synthetic: bool) -> Film:
    """A film as TMDB's answer names it, with the rating that the catalogue knows."""
    imdb_id, poster_path = payload.get("imdb_id"), payload.get("poster_path")
    return Film(
        tmdb_id=int(payload["id"]),
        title=str(payload.get("title") or payload.get("original_title") or (known.title if known else "Untitled")),
        imdb_id=imdb_id if isinstance(imdb_id, str) and imdb_id else (known.imdb_id if known else None),
        year=read_year(payload.get("release_date")) or (known.year if known else None),
        poster_path=poster_path if isinstance(poster_path, str) else None,
        is_synthetic=is_synthetic,
        rating=known.rating if known else None,
        is_dubious=known.is_dubious if known else None,
    )


def candidate_facts(film: Candidate) -> dict[str, object]:
    """A candidate as an error carries it."""
    return {
        "tmdb_id": film.tmdb_id,
        "imdb_id": film.imdb_id,
        "title": film.title,
        "year": film.year,
        "poster_path": film.poster_path,
    }


def clean_title(text: str) -> str:
    """A typed title without control characters (PostgreSQL refuses NUL) and surplus blanks."""
    return re.sub(r"[\x00-\x20\x7f\ud800-\udfff]+", " ", text).strip()


def _article_forms(key: str) -> list[str]:
    bare = re.sub(r"^(the|a|an) (?=\w)|(?<=\w) (the|a|an)$", "", key)
    return [form for article in ("the", "a", "an") for form in (f"{article} {bare}", f"{bare} {article}")] + [bare]


def _escape_like(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _read_film(row: Row) -> Film:
    return Film(
        tmdb_id=row["movie_id"],
        title=row["title"],
        imdb_id=row["imdb_id"],
        year=row["year"],
        poster_path=row["poster_path"],
        is_synthetic=row["is_synthetic"],
        rating=row["bechdel_rating"],
        is_dubious=row["is_dubious"],
    )


def _read_candidate(row: Row) -> Candidate:
    rank = row["popularity_rank"]
    return Candidate(
        tmdb_id=row["movie_id"],
        title=row["title"],
        year=row["year"],
        original_title=row["original_title"],
        imdb_id=row["imdb_id"],
        poster_path=row["poster_path"],
        popularity=1.0 / rank if rank else 0.0,
        is_synthetic=row["is_synthetic"],
    )
