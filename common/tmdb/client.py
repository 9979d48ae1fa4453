"""The questions we ask TMDB: a film by id, a film by IMDb id, films by title."""

import logging
import re
from typing import Any

from pydantic import SecretStr

from common.errors import AdultMovieError, MovieNotFoundError, TmdbUnavailableError
from common.tmdb.limits import Limits
from common.tmdb.titles import Candidate, Match, has_exact, match_title, read_candidate, split_same_year
from common.tmdb.transport import Deadline, TmdbTransport

logger = logging.getLogger(__name__)

SEARCH_PAGES = 3  # of one search; an exact title that is not on page one was always found on page two
MAX_TITLE_LENGTH = 200


class TmdbClient:
    """Asks TMDB about films. One instance serves all threads of a process."""

    def __init__(self, token: SecretStr, base_url: str, *, limits: Limits | None = None) -> None:
        self.transport = TmdbTransport(token, base_url, limits=limits)

    def close(self) -> None:
        """Close the kept connections."""
        self.transport.close()

    def fetch_movie(self, tmdb_id: int, deadline: Deadline | None = None) -> dict[str, Any]:
        """A film's details with `credits` under them, as TMDB gives them.

        TMDB has left `credits` out of good answers (2026-06, seerr#3206): they are asked for once more then, and
        stay absent if that fails too. Absent credits mean "unknown", not "nobody".

        Raises:
            MovieNotFoundError: TMDB has no such film, or (AdultMovieError) marks it as adult.
            TmdbCredentialError, TmdbUnavailableError: see `TmdbTransport.get`.
        """
        deadline = deadline or Deadline()
        answer = self.transport.get(f"movie/{int(tmdb_id)}", {"append_to_response": "credits"}, deadline)
        if answer.status == 404:
            raise MovieNotFoundError(f"TMDB has no movie with id {tmdb_id}. Check the number in the film's address.")
        payload = dict(answer.body)
        if payload.get("id") != tmdb_id:
            raise TmdbUnavailableError(f"TMDB answered with another film than {tmdb_id}. Try again later.")
        if payload.get("adult") is True:
            raise AdultMovieError(f"TMDB marks movie {tmdb_id} as adult; such films are not answered here.")
        if not _has_credits(payload):
            payload.pop("credits", None)
            refetched = self._fetch_credits(tmdb_id, deadline)
            if refetched is not None:
                payload["credits"] = refetched
        return payload

    def _fetch_credits(self, tmdb_id: int, deadline: Deadline) -> dict[str, Any] | None:
        try:
            answer = self.transport.get(f"movie/{int(tmdb_id)}/credits", {}, deadline)
        except TmdbUnavailableError:
            logger.warning("tmdb credits missing tmdb_id=%d", tmdb_id)
            return None
        if not _has_credits({"credits": answer.body}):
            return None
        return {"cast": answer.body["cast"], "crew": answer.body["crew"]}

    def find_by_imdb_id(self, imdb_id: str, deadline: Deadline | None = None) -> int:
        """The TMDB id of the film with an IMDb id (`tt0137523`).

        Raises:
            MovieNotFoundError: TMDB knows no film with it; a series with it is not a film.
        """
        if not re.fullmatch(r"tt\d{1,10}", imdb_id):
            raise MovieNotFoundError(f"{imdb_id!r} is not an IMDb id of a film; one looks like tt2294629.")
        answer = self.transport.get(f"find/{imdb_id}", {"external_source": "imdb_id"}, deadline or Deadline())
        films = _read_candidates(answer.body.get("movie_results"))
        if films:
            return films[0].tmdb_id
        if answer.body.get("tv_results") or answer.body.get("tv_episode_results"):
            raise MovieNotFoundError(f"{imdb_id} is a series on TMDB, not a film.")
        raise MovieNotFoundError(f"TMDB has no film with the IMDb id {imdb_id}. Check the id in its address.")

    def search(self, title: str, year: int | None = None, deadline: Deadline | None = None) -> Match:
        """Find the film that a title means, with our own ranking.

        A year at the end of the title is split off, unless a film bears the whole text as its title
        (Wonder Woman 1984) or another year is given.
        """
        deadline = deadline or Deadline()
        text = title.strip()[:MAX_TITLE_LENGTH]
        match = self._search_titled(text, year, deadline)
        shorter, typed_year = split_same_year(text, year)
        if match.has_title or typed_year is None:
            return match
        split = self._search_titled(shorter, typed_year, deadline)
        return split if split.has_title or not match.candidates else match

    def _search_titled(self, title: str, year: int | None, deadline: Deadline) -> Match:
        filtered: dict[str, str | int] = {} if year is None else {"year": year}
        films = self._search_pages(title, year, filtered, deadline)
        match = match_title(title, year, films)
        if year is not None and match.kind not in ("one", "several"):
            # TMDB's year filter hides films that are off by one, and has emptied results by fault (TMDbLib#312)
            films += self._search_pages(title, year, {}, deadline)
            match = match_title(title, year, films)
        return match

    def _search_pages(
        self, title: str, year: int | None, filtered: dict[str, str | int], deadline: Deadline
    ) -> list[Candidate]:
        """Candidates of the first pages: up to one that has films of the very title and year, and while the next has.

        Namesakes stand together, if not always first: a page without any, behind one with some, is the last.
        """
        films: list[Candidate] = []
        is_found = False
        for page in range(1, SEARCH_PAGES + 1):
            params = {"query": title, "include_adult": "false", "page": page, **filtered}
            try:
                body = self.transport.get("search/movie", params, deadline).body
            except TmdbUnavailableError:
                if is_found:  # what is known is better than nothing; of its namesakes some may be missing
                    break
                raise
            found = _read_candidates(body.get("results"))
            films += found
            was_found, is_found = is_found, has_exact(title, year, found)
            total_pages = body.get("total_pages")
            if not isinstance(total_pages, int) or page >= total_pages or (was_found and not is_found):
                break
        return films


def _has_credits(payload: dict[str, Any]) -> bool:
    people = payload.get("credits")
    return isinstance(people, dict) and all(isinstance(people.get(kind), list) for kind in ("cast", "crew"))


def _read_candidates(rows: Any) -> list[Candidate]:
    candidates = (read_candidate(row) for row in rows) if isinstance(rows, list) else ()
    return [candidate for candidate in candidates if candidate is not None]
