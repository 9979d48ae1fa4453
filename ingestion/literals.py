"""Python reprs of lists, as pandas writes them into csv, read without ever evaluating anything.

`ast.literal_eval` needs 4.2 s for the list columns of 7,050 films. Most of such a text is JSON in other quotes,
so it is rewritten as JSON and parsed by orjson (0.3 s); what does not survive that goes to `ast.literal_eval`,
which decides. Both roads accept literals only.
"""

import ast
import re
import warnings

import orjson

MAX_CHARACTERS = 2_000_000  # the longest real cast has 32,474; `ast` needs about a hundred bytes per character

# Either a run of text in which every string is single-quoted and free of quotes and backslashes,
# or one string that is not.
_PIECE = re.compile(
    r"""(?P<plain>(?:[^'"\\]|'[^'"\\\n]*+')++)|(?P<string>'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
)
_NAME_OR_STRING = re.compile(r"'[^']*+'|\b(?:None|True|False|null|true|false)\b")
_JSON_NAMES = {"None": "null", "True": "true", "False": "false"}
_PYTHON_ONLY = ("None", "True", "False")
_JSON_ONLY = ("null", "true", "false")


class LiteralProblemError(ValueError):
    """The text is not a list of plain values; its message completes the sentence "the column ..."."""


def parse_list(text: str) -> list[object]:
    """Read the repr of a list of strings, numbers, None, booleans, lists and dicts.

    Raises:
        LiteralProblemError: it is anything else: an expression, a call, a set, a half text, too long or too deep.
    """
    if len(text) > MAX_CHARACTERS:
        raise LiteralProblemError(f"has {len(text):,} characters, more than {MAX_CHARACTERS:,}")
    try:
        value = orjson.loads(_as_json(text))
    except ValueError:
        value = _evaluate(text)
    if not isinstance(value, list):
        raise LiteralProblemError(f"is a {type(value).__name__} and not a list")
    return value


def _as_json(text: str) -> str:
    """Rewrite a repr as JSON; text that is no repr becomes text that is no JSON."""
    pieces = []
    end = 0
    for match in _PIECE.finditer(text):
        if match.start() != end:
            raise ValueError("a quote or backslash outside of strings")
        end = match.end()
        plain = match["plain"]
        pieces.append(_string_as_json(match["string"]) if plain is None else _plain_as_json(plain))
    if end != len(text):
        raise ValueError("an unterminated string")
    return "".join(pieces)


def _plain_as_json(text: str) -> str:
    if any(name in text for name in _JSON_ONLY) and any(name in _JSON_ONLY for name in _NAME_OR_STRING.findall(text)):
        raise ValueError("a JSON name is no Python literal")
    if any(name in text for name in _PYTHON_ONLY):
        text = _NAME_OR_STRING.sub(lambda match: _JSON_NAMES.get(match[0], match[0]), text)
    return text.replace("'", '"')


def _string_as_json(literal: str) -> str:
    if "\\" in literal:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an unknown escape such as '\d' is no repr of ours
            try:
                value = ast.literal_eval(literal)
            except (SyntaxError, Warning) as error:
                raise ValueError(str(error)) from error
    else:
        value = literal[1:-1]
    if "\x00" in value:
        raise ValueError("a NUL character")
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:  # half of a surrogate pair
        raise ValueError(str(error)) from error


def _evaluate(text: str) -> object:
    """The slow and strict road: what Python itself takes for a literal, restricted to what JSON can hold."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SyntaxWarning about '\d' or `1()` must not reach the terminal
            value = ast.literal_eval(text.strip())
        return orjson.loads(orjson.dumps(_jsonable(value)))
    except (RecursionError, MemoryError):
        raise LiteralProblemError("is nested too deeply") from None
    except LiteralProblemError:
        raise
    except (ValueError, SyntaxError, TypeError, Warning):
        raise LiteralProblemError("is not a list written as a Python literal") from None


def _jsonable(value: object) -> object:
    if isinstance(value, str) and "\x00" in value:
        raise LiteralProblemError("holds a NUL character")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise LiteralProblemError(f"holds the number {value}")
        return value
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise LiteralProblemError("holds a dict whose keys are not all text")
        return {key: _jsonable(item) for key, item in value.items()}
    raise LiteralProblemError(f"holds a {type(value).__name__}")
