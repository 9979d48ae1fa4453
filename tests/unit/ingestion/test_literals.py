"""Python reprs become lists, whatever they hold; anything that is not a literal is refused and never run."""

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.literals import MAX_CHARACTERS, LiteralProblemError, parse_list

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=10)


@given(st.lists(values))
def test_repr_of_any_list_is_read_back(value: list[object]) -> None:
    assert parse_list(repr(value)) == value


@given(st.text("[]{}()'\"\\, :nulltrueFasNone01.e-+#\n", max_size=30))
def test_no_text_is_read_otherwise_than_python_reads_it(source: str) -> None:
    try:
        parsed = parse_list(source)
    except LiteralProblemError:
        return
    assert parsed == json.loads(json.dumps(ast.literal_eval(source.strip())))  # in JSON a tuple is a list


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os').system('touch /tmp/owned')", "[print(1)]", "[1 + 1]", "[x for x in (1,)]", "[a.b]",
        "[f'{1}']", "[null]", "[true]", "[b'bytes']", "[{1, 2}]", "[1+2j]", "{'a': 1}", "'text'", "7", "", "[",
        "['a'", "['a]", "[1e999]", "[{1: 'a'}]", r"['\x00']", r"['\ud800']", "[nan]", "['a' 'b', x]", "[[lambda: 0]]",
    ],
)  # fmt: skip
def test_what_is_no_list_of_plain_values_is_refused(source: str) -> None:
    with pytest.raises(LiteralProblemError):
        parse_list(source)


def test_code_in_a_list_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(LiteralProblemError):
        parse_list(f"[open({str(tmp_path / 'made')!r}, 'w')]")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "source", ["[" * 100_000 + "]" * 100_000, "[" + "-" * 100_000 + "1]", "[" + "9" * 100_000 + "]"]
)
def test_huge_literals_are_refused_without_harm(source: str) -> None:
    with pytest.raises(LiteralProblemError):
        parse_list(source)


def test_text_beyond_the_limit_is_refused_by_its_length() -> None:
    with pytest.raises(LiteralProblemError, match="characters, more than"):
        parse_list("[" + " " * MAX_CHARACTERS + "]")


def test_tuples_and_joined_strings_are_read_as_python_reads_them() -> None:
    assert parse_list("['a' 'b', (1, 2)]") == ["ab", [1, 2]]
