"""One line of TMDB-shaped JSON: a film's details with `credits` under them, or the reason why it is none."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import orjson

from ingestion.movies import MAX_BIGINT
from ingestion.records import Rejection, visible

_NUMBER = (int, float, type(None))
_TEXT = (str, type(None))
# What the views over raw.tmdb_movies read. Unknown keys are kept: TMDB adds some without notice.
SHAPES: Mapping[str, tuple[type, ...]] = {
    "title": _TEXT, "original_title": _TEXT, "original_language": _TEXT, "overview": _TEXT, "tagline": _TEXT,
    "imdb_id": _TEXT, "release_date": _TEXT, "poster_path": _TEXT, "status": _TEXT, "runtime": _NUMBER,
    "budget": _NUMBER, "revenue": _NUMBER, "popularity": _NUMBER, "vote_average": _NUMBER, "vote_count": _NUMBER,
    "genres": (list, type(None)), "production_companies": (list, type(None)),
    "production_countries": (list, type(None)), "credits": (dict, type(None)),
}  # fmt: skip
LISTS_OF_OBJECTS = ("genres", "production_companies", "production_countries")
_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True)
class Payload:
    """A usable line.

    Attributes:
        text: its JSON in canonical form (sorted keys), as stored.
        payload_hash: of that text.
        nul_characters: how many U+0000 were taken out, because PostgreSQL stores none.
    """

    row: int
    tmdb_id: int
    text: str
    payload_hash: str
    is_synthetic: bool
    nul_characters: int


class _PayloadProblemError(ValueError):
    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def parse_payload(row: int, line: str) -> Payload | Rejection:
    """Turn one line into a payload, or into the first reason why that cannot be done."""
    try:
        return _parse(row, line)
    except _PayloadProblemError as problem:
        return Rejection(row, problem.code, str(problem), {"text": visible(line.rstrip("\r\n"))})


def _parse(row: int, line: str) -> Payload:
    try:
        raw = line.encode()
    except UnicodeEncodeError:
        raise _PayloadProblemError("not_utf8", "The line holds bytes that are not UTF-8.") from None
    raw, nul_characters = _NUL_ESCAPE.subn(rb"\1", raw) if b"\\u0000" in raw else (raw, 0)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _PayloadProblemError("not_json", f"The line is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise _PayloadProblemError("not_an_object", f"The line is a JSON {type(value).__name__} and not an object.")
    tmdb_id = _tmdb_id(value)
    _check_shape(value)
    if value.get("adult") is True:
        raise _PayloadProblemError("adult", f"TMDB marks film {tmdb_id} as adult; such films are not answered here.")
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.blake2b(text, digest_size=16).hexdigest()
    return Payload(row, tmdb_id, text.decode(), digest, value.get("synthetic") is True, nul_characters)


def _tmdb_id(value: Mapping[str, object]) -> int:
    if "id" not in value:
        message = value.get("status_message")
        what = f"an answer without a film: {message!r}" if message else "no id"
        raise _PayloadProblemError("id_missing", f"The object holds {what}.")
    number = value["id"]
    if type(number) is not int or not 1 <= number <= MAX_BIGINT:
        raise _PayloadProblemError("id_invalid", f"The id {str(number)[:80]!r} is not a positive whole number.")
    return number


def _check_shape(value: Mapping[str, object]) -> None:
    for key, types in SHAPES.items():
        found = value.get(key)
        if not isinstance(found, types) or isinstance(found, bool):
            raise _PayloadProblemError(f"{key}_invalid", f"{key} is {str(found)[:80]!r}, a {type(found).__name__}.")
    if not str(value.get("title") or "").strip():
        raise _PayloadProblemError("title_missing", "The object has no title.")
    for key in LISTS_OF_OBJECTS:
        _check_objects(key, value.get(key))
    credited = value.get("credits")
    if isinstance(credited, dict):
        _check_objects("credits.cast", credited.get("cast"))
        _check_objects("credits.crew", credited.get("crew"))
    _check_date(value.get("release_date"))


def _check_objects(key: str, values: object) -> None:
    if values is None:
        return
    if not isinstance(values, list) or not all(isinstance(item, dict) for item in values):
        raise _PayloadProblemError(f"{key}_invalid", f"{key} is not a list of objects: {str(values)[:80]!r}.")


def _check_date(value: object) -> None:
    if not value:
        return
    try:
        date.fromisoformat(str(value))
    except ValueError:
        problem = f"release_date is {str(value)[:80]!r}, which is not a date as yyyy-mm-dd."
        raise _PayloadProblemError("release_date_invalid", problem) from None
