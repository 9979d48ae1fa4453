"""A feature's sentence, filled with a film's values, as film lovers read it."""

import math
import string
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from common.scoring import FeatureInfo


def describe(info: FeatureInfo, values: Mapping[str, Any]) -> str:
    """A feature's sentence, filled with the film's values; its sentence for unknown when any of them is unknown."""
    plain = {name: plain_value(values.get(name)) for name in _fields(info.sentence)}
    if plain_value(values.get(info.name)) is None or None in plain.values():
        return info.sentence_null or f"Not known: {_first_sentence(info.description) or info.name}"
    if not info.sentence:
        return f"{_first_sentence(info.description) or info.name}: {_as_words(plain_value(values[info.name]))}"
    try:
        return info.sentence.format(**{name: _as_words(value) for name, value in plain.items()})
    except (ValueError, TypeError, LookupError, AttributeError):
        return f"{_first_sentence(info.description) or info.name}: {_as_words(plain_value(values[info.name]))}"


def plain_value(value: Any) -> float | str | bool | None:
    """A feature's value as JSON and people have it: no nan, no numpy, 2 instead of 2.0."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if number.is_integer() else number


def _as_words(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


@lru_cache(maxsize=1000)  # a model has a hundred
def _fields(template: str) -> tuple[str, ...]:
    """The feature names in a template; `{a.b}` and `{a[0]}` do not reach into values."""
    return tuple(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)


def _first_sentence(description: str) -> str:
    return description.split(". ")[0].rstrip(".")
