"""One row of the Kaggle layout: text in, typed values or a reason out."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson

from common.errors import SourceError
from ingestion.literals import LiteralProblemError, parse_list
from ingestion.records import Record, Rejection

FIRST_YEAR = 1870  # the oldest surviving film is of 1888; the oldest of the real set of 1899
LAST_YEAR = 2100
FIRST_SYNTHETIC_ID = 900_000_001  # TMDB ids of generated films start here, far above real ones
MAX_BIGINT = 2**63 - 1
INDEX_NAMES = {"", "unnamed: 0"}  # how pandas leaves its row index in a csv file

_INTEGER = re.compile(r"[+-]?\d+(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})", re.ASCII)
_ISO_DATE = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})", re.ASCII)
_IMDB_PREFIX = re.compile(r"tt(?=\d)", re.ASCII)


class ValueProblemError(ValueError):
    """A value cannot be used: `code` names the kind, the message completes the sentence "The column ..."."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(problem)
        self.code = code


@dataclass(frozen=True)
class MovieRow:
    """A usable row: the values of `COLUMNS` in their order, what tells two versions apart, how much it knows."""

    row: int
    tmdb_id: int
    values: tuple[object, ...]
    row_hash: str
    known_values: int


def _show(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _title(text: str) -> str:
    if not text.strip():
        raise ValueProblemError("missing", "is empty")
    return text


def _integer(low: int, high: int, *, required: bool) -> Callable[[str], int | None]:
    """A parser of whole numbers between `low` and `high`; pandas' `2013.0` is one."""

    def parse(text: str) -> int | None:
        text = text.strip()
        if not text:
            if required:
                raise ValueProblemError("missing", "is empty")
            return None
        if not _INTEGER.fullmatch(text) or len(text) > 40:
            raise ValueProblemError("not_a_whole_number", f"holds {_show(text)}, which is not a whole number")
        value = int(text.split(".")[0])
        if not low <= value <= high:
            raise ValueProblemError("out_of_range", f"holds {value}, which is not between {low} and {high}")
        return value

    return parse


def _imdb_id(text: str) -> int | None:
    return _integer(1, MAX_BIGINT, required=True)(_IMDB_PREFIX.sub("", text.strip(), count=1))


def _number(low: float = 0.0, high: float = math.inf) -> Callable[[str], float | None]:
    """A parser of finite numbers between `low` and `high`; nothing means unknown."""

    def parse(text: str) -> float | None:
        text = text.strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise ValueProblemError("not_a_number", f"holds {_show(text)}, which is not a number")
        value = float(text)
        if math.isinf(value):
            raise ValueProblemError("out_of_range", f"holds {_show(text)}, which is too large for a number")
        if not low <= value <= high:
            limit = "below 0" if value < low else f"above {high:g}"
            raise ValueProblemError("out_of_range", f"holds {text}, which is {limit}")
        return value

    return parse


def _release_date(text: str) -> date | None:
    """dd/mm/yyyy as Kaggle writes it, or ISO."""
    text = text.strip()
    if not text:
        return None
    match = _DATE.fullmatch(text) or _ISO_DATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        value = date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        raise ValueProblemError("not_a_date", f"holds {_show(text)}, which is not a date as dd/mm/yyyy") from None
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        problem = f"holds {_show(text)}, whose year is not between {FIRST_YEAR} and {LAST_YEAR}"
        raise ValueProblemError("out_of_range", problem)
    return value


def _list(check: Callable[[object], bool], of_what: str) -> Callable[[str], list[object] | None]:
    """A parser of list columns whose items all pass `check`."""

    def parse(text: str) -> list[object] | None:
        if not text.strip():
            return None
        try:
            values = parse_list(text)
        except LiteralProblemError as problem:
            raise ValueProblemError("not_a_list", f"{problem}: {_show(text)}") from None
        for value in values:
            if not check(value):
                raise ValueProblemError("wrong_item", f"is a list of {of_what} but holds {_show(str(value))}")
        return values

    return parse


def _is_name(value: object) -> bool:
    return isinstance(value, str)


def _is_gender(value: object) -> bool:
    return type(value) is int and 0 <= value <= 3


def _is_credit(value: object) -> bool:
    return isinstance(value, dict) and (value.get("gender") is None or _is_gender(value["gender"]))


_names = _list(_is_name, "names")
_genders = _list(_is_gender, "gender codes 0 to 3")
_credits = _list(_is_credit, "people (with a gender code 0 to 3)")

PARSERS: Mapping[str, Callable[[str], object]] = {
    "tmdbid": _integer(1, MAX_BIGINT, required=True),
    "imdbid": _imdb_id,
    "title": _title,
    "year": _integer(FIRST_YEAR, LAST_YEAR, required=True),
    "bt_score": _integer(0, 3, required=True),
    "dubious": _integer(0, 1, required=False),
    "genres": _names,
    "popularity": _number(),
    "production_companies": _names,
    "production_countries": _names,
    "release_date": _release_date,
    "revenue": _number(),
    "vote_average": _number(high=10.0),
    "vote_count": _number(),
    "cast": _credits,
    "crew": _credits,
    "budget": _number(),
    "cast_gender": _genders,
    "crew_gender": _genders,
    "cast_female_representation": _number(high=100.0),
    "crew_female_representation": _number(high=100.0),
}
SOURCE_NAMES = {"tmdbid": "tmdbId"}  # the one name that is not lower case in the file
GENDERS_OF = {"cast_gender": "cast", "crew_gender": "crew"}
COLUMNS = (*PARSERS, "extra")


@dataclass(frozen=True)
class Layout:
    """Where the columns of `raw.movies` stand in a file, and which columns of the file we do not know."""

    header: tuple[str, ...]
    positions: Mapping[str, int]
    extra: Mapping[str, int]


def read_layout(header: Sequence[str], path: Path) -> Layout:
    """Find our columns in a header, in any order and letter case.

    Raises:
        SourceError: naming the columns that are missing or twice there.
    """
    names = [name.strip().lower() for name in header]
    missing = [SOURCE_NAMES.get(name, name) for name in PARSERS if name not in names]
    if missing:
        raise SourceError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}. It must have "
            "the layout of movies.csv of the Kaggle data set vinifm/female-representation-in-cinema."
        )
    twice = sorted({name for name in names if name not in INDEX_NAMES and names.count(name) > 1})
    if twice:
        raise SourceError(f"{path} names the column {', '.join(twice)} twice in its header. Rename one of them.")
    extra = {
        header[position].strip(): position
        for position, name in enumerate(names)
        if name not in PARSERS and name not in INDEX_NAMES
    }
    return Layout(tuple(header), {name: names.index(name) for name in PARSERS}, extra)


def parse_movie(record: Record, layout: Layout) -> MovieRow | Rejection:
    """Turn the text of one row into values, or into the first reason why that cannot be done."""
    if record.rejection is not None:
        return record.rejection
    values: dict[str, object] = {}
    try:
        for name, parse in PARSERS.items():
            values[name] = _parse_column(name, parse, record.fields[layout.positions[name]])
        _check_gender_lists(values)
    except _ColumnProblemError as problem:
        return Rejection(record.row, problem.code, problem.sentence, original_of(record, layout))
    values["extra"] = {name: record.fields[position] for name, position in layout.extra.items()}
    stored = tuple(_store(value) for value in values.values())
    known = sum(value is not None and value != [] for value in values.values())
    return MovieRow(record.row, int(str(values["tmdbid"])), stored, _hash(stored), known)


class _ColumnProblemError(Exception):
    def __init__(self, column: str, code: str, problem: str) -> None:
        self.code = f"{column}_{code}"
        self.sentence = f"The column {SOURCE_NAMES.get(column, column)} {problem}."


def _parse_column(name: str, parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text)
    except ValueProblemError as problem:
        raise _ColumnProblemError(name, problem.code, str(problem)) from problem


def _check_gender_lists(values: Mapping[str, object]) -> None:
    for genders, people in GENDERS_OF.items():
        codes, credited = values[genders], values[people]
        if isinstance(codes, list) and isinstance(credited, list) and len(codes) != len(credited):
            problem = f"has {len(codes)} entries, but {people} lists {len(credited)} people"
            raise _ColumnProblemError(genders, "wrong_length", problem)


def original_of(record: Record, layout: Layout) -> dict[str, str]:
    """A row as the file says it, by the header's names."""
    return {name.strip() or "index": field for name, field in zip(layout.header, record.fields, strict=True)}


def _store(value: object) -> object:
    """Lists and dicts as JSON text, the rest as it is."""
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value


def _hash(stored: Sequence[object]) -> str:
    content = "\x1f".join("" if value is None else str(value) for value in stored)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
