"""Who changes when a number of women is asked for."""

import pytest

from serving.film_details import Gender, Person
from serving.what_if import cast_women

BILLED: tuple[Gender, ...] = ("man", "woman", "unknown", "man", "nonbinary", "woman")
TOP = tuple(Person(place, place + 1, f"P{place}", "", gender) for place, gender in enumerate(BILLED))


@pytest.mark.parametrize(
    ("women", "expected"),
    [
        (2, ("man", "woman", "unknown", "man", "nonbinary", "woman")),
        (3, ("man", "woman", "unknown", "woman", "nonbinary", "woman")),
        (4, ("woman", "woman", "unknown", "woman", "nonbinary", "woman")),
        (5, ("woman", "woman", "woman", "woman", "nonbinary", "woman")),
        (6, ("woman",) * 6),
        (60, ("woman",) * 6),
        (1, ("man", "woman", "unknown", "man", "nonbinary", "man")),
        (0, ("man", "man", "unknown", "man", "nonbinary", "man")),
    ],
)
def test_as_few_people_as_possible_change_from_the_lower_end(women: int, expected: tuple[Gender, ...]) -> None:
    assert tuple(cast_women(TOP, women).values()) == expected
