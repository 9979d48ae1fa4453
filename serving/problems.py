"""The border between our errors and HTTP: every error leaves as one RFC 9457 problem document."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import HTTPException, NotFound

from common.errors import (
    AmbiguousTitleError,
    DatabaseError,
    FeatureStoreError,
    ModelNotReadyError,
    MovieNotFoundError,
    PlatformError,
    TmdbCredentialError,
    TmdbNotConfiguredError,
    TmdbUnavailableError,
)
from serving.schemas import Candidate, Problem, poster_url

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its short name, HTTP status and title."""

    name: str
    status: int
    title: str


INVALID = Kind("invalid-request", 422, "The request cannot be used")
INTERNAL = Kind("internal-error", 500, "The server has a bug")
NOT_READY = Kind("not-ready", 503, "The server is not ready")
KINDS: Mapping[type[PlatformError], Kind] = {
    AmbiguousTitleError: Kind("ambiguous-title", 300, "Several films fit the title"),
    MovieNotFoundError: Kind("movie-not-found", 404, "No such film"),
    # 409: the operator can change the server's state and the same request then works
    TmdbNotConfiguredError: Kind("live-lookup-not-configured", 409, "Live films are not configured"),
    TmdbCredentialError: Kind("tmdb-credential-refused", 502, "TMDB refuses the server's credential"),
    TmdbUnavailableError: Kind("tmdb-unavailable", 503, "TMDB is not available"),
    ModelNotReadyError: Kind("no-model", 503, "There is no model yet"),
    DatabaseError: Kind("database-unavailable", 503, "The database is not available"),
    FeatureStoreError: Kind("feature-store-unavailable", 503, "The feature store is not available"),
}
NO_ADDRESS = Kind("not-found", 404, "No such page")
WHERE_TO_GO = "Search for a film on the first page, /; what programs can ask is at /docs."
MAX_PATH = 80
RETRY_AFTER_SECONDS = 10


def problem_of(error: Exception) -> Problem:
    """The problem document of any error; an unexpected one is logged and tells the caller nothing inside."""
    if isinstance(error, PlatformError):
        kind = next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), INTERNAL)
        return make_problem(kind, str(error), candidates=_candidates(error))
    if isinstance(error, NotFound):
        return make_problem(NO_ADDRESS, f"There is nothing at {request.path[:MAX_PATH]}. {WHERE_TO_GO}")
    if isinstance(error, HTTPException) and error.code is not None:
        kind = Kind(error.name.lower().replace(" ", "-"), error.code, error.name)
        return make_problem(kind, error.description or error.name)
    logger.exception("request failed unexpectedly request_id=%s", g.get("request_id"), exc_info=error)
    return make_problem(INTERNAL, "Something failed inside the server. The log holds the details.")


def make_problem(
    kind: Kind,
    detail: str,
    *,
    candidates: list[Candidate] | None = None,
    errors: list[str] | None = None,
    checks: dict[str, Any] | None = None,
) -> Problem:
    """A problem document of a kind."""
    return Problem(
        type=f"/problems/{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=g.get("request_id"),
        candidates=candidates,
        errors=errors,
        checks=checks,
    )


def problem_response(problem: Problem, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """The problem as an HTTP response; `Retry-After` where trying again may help."""
    response = Response(problem.model_dump_json(exclude_none=True), problem.status, mimetype=MEDIA_TYPE)
    response.headers.extend(list(headers))
    if problem.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def describe_validation_errors(errors: Iterable[Mapping[str, Any]]) -> list[str]:
    """pydantic's errors as sentences that name the field."""
    sentences = []
    for error in errors:
        field = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "request")
        message = str(error["msg"]).removeprefix("Value error, ")
        position = next((f" of film {part + 1}" for part in error["loc"] if isinstance(part, int)), "")
        sentences.append(f"{field}{position}: {message}")
    return sentences


def _candidates(error: PlatformError) -> list[Candidate] | None:
    if not isinstance(error, AmbiguousTitleError):
        return None
    return [
        Candidate(
            tmdb_id=int(str(facts["tmdb_id"])),
            imdb_id=_text(facts.get("imdb_id")),
            title=str(facts["title"]),
            year=facts["year"] if isinstance(facts["year"], int) else None,
            poster_url=poster_url(_text(facts.get("poster_path"))),
        )
        for facts in error.candidates
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
