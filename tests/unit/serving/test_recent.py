"""A short memory forgets by age and by size, and never remembers a failure."""

import pytest

from serving.recent import Recent


def test_value_is_made_once_while_it_is_young() -> None:
    made: list[int] = []
    recent: Recent[int] = Recent(60, 10)

    values = [recent.get("key", lambda: made.append(1) or len(made)) for _ in range(3)]

    assert values == [1, 1, 1]


def test_old_value_is_made_again() -> None:
    recent: Recent[int] = Recent(-1, 10)

    assert [recent.get("key", lambda value=value: value) for value in (1, 2)] == [1, 2]


def test_value_that_nobody_asks_for_goes_first() -> None:
    recent: Recent[str] = Recent(60, 2)
    for key in ("a", "b", "a", "c"):
        recent.get(key, lambda: "old")

    assert [recent.get(key, lambda: "new") for key in ("a", "c", "b")] == ["old", "old", "new"]


def test_failure_is_not_remembered() -> None:
    recent: Recent[int] = Recent(60, 2)
    with pytest.raises(ZeroDivisionError):
        recent.get("key", lambda: 1 // 0)

    assert recent.get("key", lambda: 3) == 3
