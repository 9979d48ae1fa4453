"""Which film a typed title means. TMDB's own order does not answer that: "Home" puts Spider-Man above Home.

The same rules choose in TMDB's search results and in the catalogue.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

FIRST_FILM_YEAR = 1874  # Passage de Venus, the oldest film on TMDB
_ACCENTS = re.compile("[\u0300-\u036f]")
_APOSTROPHES = re.compile("['’ʼ`]")  # noqa: RUF001 - the apostrophes that people type
_PUNCTUATION = re.compile(r"[\s!-/:-@\[-^{-~\u00a1-\u00bf\u2000-\u206f\u3000-\u303f]+")
_ARTICLES = r"(?:the|a|an|le|la|les|der|die|das|el|los|las|il)"


@dataclass(frozen=True)
class Candidate:
    """A film that a title may mean."""

    tmdb_id: int
    title: str
    year: int | None = None
    original_title: str | None = None
    imdb_id: str | None = None
    poster_path: str | None = None
    popularity: float = 0.0
    is_synthetic: bool = False

    @property
    def label(self) -> str:
        """`Frozen (2013)`, for sentences."""
        return f"{self.title} ({self.year})" if self.year else self.title


@dataclass(frozen=True)
class Match:
    """What a title led to.

    Attributes:
        kind: `one` film fits; `several` fit equally; the title exists in an `other_year` only; no film bears the
            title, but some are `similar`; or `none`.
        candidates: the films of that kind, most popular first.
    """

    kind: Literal["one", "several", "other_year", "similar", "none"]
    candidates: tuple[Candidate, ...]

    @property
    def film(self) -> Candidate | None:
        """The film, when exactly one fits."""
        return self.candidates[0] if self.kind == "one" else None

    @property
    def has_title(self) -> bool:
        """Whether any film bears the title, perhaps in another year."""
        return self.kind in ("one", "several", "other_year")


def search_key(title: str) -> str:
    """A title without case, accents, punctuation and HTML entities: `Amélie!` and `amelie` have the same key.

    The macro `search_key` in dbt_project says the same in SQL, for the catalogue; a contract test compares them.
    """
    text = html.unescape(title)
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).lower().replace("&", " and ")
    return _PUNCTUATION.sub(" ", _APOSTROPHES.sub("", plain)).strip() or text.lower()


def loose_key(title: str) -> str:
    """The search key without the article in front or, as catalogues print it, behind (`Matrix, The`)."""
    key = search_key(title)
    return re.sub(rf"^{_ARTICLES} (?=\w)|(?<=\w) {_ARTICLES}$", "", key)


def split_year(text: str, latest: int | None = None) -> tuple[str, int | None]:
    """Split a year off the end of what was typed: `Mulan (2020)` or `Mulan 2020` into title and year.

    Args:
        latest: the last year that counts as one; default: five years from now (announced films).
    """
    found = re.fullmatch(r"(?P<title>.*\S)[\s,]+(?:\((?P<a>\d{4})\)|\[(?P<b>\d{4})\]|(?P<c>\d{4}))", text.strip())
    if found is None:
        return text.strip(), None
    year = int(found["a"] or found["b"] or found["c"])
    if FIRST_FILM_YEAR <= year <= (latest or datetime.now(UTC).year + 5):
        return found["title"].rstrip(" ,-"), year
    return text.strip(), None


def split_same_year(text: str, year: int | None) -> tuple[str, int | None]:
    """`split_year`, but for a typed year that is another than the one that was given: it belongs to the title."""
    title, typed_year = split_year(text)
    return (title, typed_year) if year in (None, typed_year) else (text, None)


def match_title(title: str, year: int | None, films: Sequence[Candidate]) -> Match:
    """Choose the film that a title means, or say between which films one must choose.

    Exact titles come before titles that differ by an article; in each, the exact year before a year off by one
    (festival and cinema years differ, Radarr#5996). A tie is never broken by popularity.
    """
    films = list({film.tmdb_id: film for film in films}.values())
    exact, loose = (_with_title(title, films, key) for key in (search_key, loose_key))
    fitting = _with_year(year, exact) or _with_year(year, loose)
    if fitting:
        return Match("one" if len(fitting) == 1 else "several", _ranked(fitting))
    if exact or loose:
        return Match("other_year", _ranked(exact or loose))
    return Match("similar" if films else "none", _ranked(films))


def has_exact(title: str, year: int | None, films: Sequence[Candidate]) -> bool:
    """Whether one of the films bears the very title, and is of the very year if there is one."""
    return any(year in (None, film.year) for film in _with_title(title, films, search_key))


def _with_title(title: str, films: Sequence[Candidate], key: Callable[[str], str]) -> list[Candidate]:
    wanted = key(title)
    return [film for film in films if wanted in (key(film.title), key(film.original_title or ""))]


def _with_year(year: int | None, films: Sequence[Candidate]) -> list[Candidate]:
    if year is None:
        return list(films)
    for tolerance in (0, 1):
        near = [film for film in films if film.year is not None and abs(film.year - year) <= tolerance]
        if near:
            return near
    return []


def _ranked(films: Sequence[Candidate]) -> tuple[Candidate, ...]:
    return tuple(sorted(films, key=lambda film: (-film.popularity, -(film.year or 0), film.tmdb_id)))


def read_candidate(row: Any) -> Candidate | None:
    """A row of a search or find answer; None for one that is no film or is marked as adult.

    Every field may be missing: 4.7 % of the rows have an empty date, 0.7 % none at all.
    """
    if not isinstance(row, dict) or row.get("adult") is True:
        return None
    identity, title = row.get("id"), row.get("title") or row.get("original_title")
    if not isinstance(identity, int) or isinstance(identity, bool) or not isinstance(title, str):
        return None
    original_title, poster_path = row.get("original_title"), row.get("poster_path")
    popularity = row.get("popularity")
    return Candidate(
        tmdb_id=identity,
        title=title,
        year=read_year(row.get("release_date")),
        original_title=original_title if isinstance(original_title, str) else None,
        poster_path=poster_path if isinstance(poster_path, str) else None,
        popularity=float(popularity) if isinstance(popularity, int | float) else 0.0,
    )


def read_year(date: Any) -> int | None:
    """The year of `YYYY-MM-DD`; None for an empty, missing or broken date."""
    if isinstance(date, str) and re.match(r"\d{4}-", date):
        return int(date[:4])
    return None
