"""A feature's sentence, filled with a film's values, as film lovers read it."""

import calendar
import math
import string
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from babel import Locale

from common.feature_encoding import FeatureInfo


def describe(info: FeatureInfo, values: Mapping[str, Any]) -> str:
    """A feature's sentence, filled with the film's values; its sentence for unknown when any of them is unknown.

    Beside Python's formats a sentence may choose its words: `{is_war:a war film|no war film}` by yes and no,
    `{count:no woman|one woman|# women}` by number (so a yes has to come as a bool); `dollars` (of a logarithm),
    `language`, `month`, `ordinal` and `points` say a value in words.
    """
    told = [plain_value(values.get(name)) for name in _fields(info.sentence)]
    if plain_value(values.get(info.name)) is None or None in told:
        return info.sentence_null or f"Not known: {_first_sentence(info.description) or info.name}"
    if not info.sentence:
        return f"{_first_sentence(info.description) or info.name}: {_as_words(plain_value(values[info.name]))}"
    try:
        return _fill(info.sentence, *told)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        return f"{_first_sentence(info.description) or info.name}: {_as_words(plain_value(values[info.name]))}"


@lru_cache(maxsize=1)
def language_names() -> dict[str, str]:
    """English names by ISO 639 code, with TMDB's own code for Cantonese."""
    return {**Locale("en").languages, "cn": "Cantonese"}


def plain_value(value: Any) -> float | str | bool | None:
    """A feature's value as JSON and people have it: no nan, no numpy, 2 instead of 2.0."""
    if type(value) is float:
        return int(value) if value.is_integer() else None if math.isnan(value) else value
    if value is None or type(value) is int or type(value) is str or type(value) is bool:
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if hasattr(value, "item"):
        value = value.item()
    return value if isinstance(value, str | bool) or value is None else plain_value(float(value))


@lru_cache(maxsize=20_000, typed=True)  # the same few thousand sentences are told of most films
def _fill(sentence: str, *values: Any) -> str:
    said = dict(zip(_fields(sentence), values, strict=True))
    return "".join(
        literal + (_say(said[name], spec) if name is not None else "") for literal, name, spec in _parts(sentence)
    )


def _say(value: Any, spec: str) -> str:
    """A value in a field of a sentence, `spec` being what stands behind the colon."""
    if "|" in spec:
        return _choose(value, spec.split("|"))
    if spec in _FORMATS:
        return _FORMATS[spec](value)
    return format(_as_words(value), spec)


def _choose(value: Any, words: list[str]) -> str:
    """By yes and no the first or second words; by number the words at that place, the last for every higher one."""
    if isinstance(value, bool):
        return words[0 if value else 1]
    return words[min(int(value), len(words) - 1)].replace("#", f"{value:,}")


def _say_dollars(logarithm: float) -> str:
    """Two digits are enough: what is known is a rough figure."""
    dollars = float(f"{math.exp(logarithm):.2g}")
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if dollars >= size:
            return f"{dollars / size:g} {name} dollars"
    return f"{dollars:,.0f} dollars"


def _say_ordinal(number: int) -> str:
    last = 0 if 10 <= number % 100 <= 20 else number % 10
    return f"{number}" + {1: "st", 2: "nd", 3: "rd"}.get(last, "th")


def _say_points(difference: float) -> str:
    return f"{abs(100 * difference):.0f} points {'more' if difference > 0 else 'less'}"


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    "dollars": _say_dollars,
    "language": lambda code: language_names().get(code, f'"{code}"'),
    "month": lambda number: calendar.month_name[number],
    "ordinal": _say_ordinal,
    "points": _say_points,
}


def _as_words(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


@lru_cache(maxsize=1000)  # a model has a hundred
def _parts(template: str) -> tuple[tuple[str, str | None, str], ...]:
    """A template cut behind its fields: (text before, feature name if any, what stands behind the colon)."""
    return tuple((literal, name, spec or "") for literal, name, spec, _ in string.Formatter().parse(template))


@lru_cache(maxsize=1000)
def _fields(template: str) -> tuple[str, ...]:
    """The feature names in a template, each once; `{a.b}` and `{a[0]}` do not reach into values."""
    return tuple(dict.fromkeys(name for _, name, _ in _parts(template) if name is not None))


def _first_sentence(description: str) -> str:
    return description.split(". ")[0].rstrip(".")
