"""The text encoder against the same arithmetic written plainly: one text, one term at a time."""

import random
import re
from collections import Counter

import numpy as np
import pytest

from common.text_encoding import TextEncoder, split_terms, split_words

TEXTS = [
    "",
    " ",
    "x",
    "a b",
    "..",
    "ha ha ha",
    "old man, old-man; the_x of 3.5",
    "Ünï-cödé straße ΣΊΣΥΦΟΣ 北京 two",
    "new\nlines\tand\u00a0more\u2028white  space",
    "first_female female_to_male . female_then_falls",
]


def random_text(choose: random.Random) -> str:
    return "".join(
        choose.choice(["old", "man", "the", "x", "é_1", " ", " ", " ", ", ", ". ", "-"]) for _ in range(40)
    )


def plainly(encoder: TextEncoder, text: str) -> float:
    """Of one column."""
    counts = Counter(term for term in split_terms(text) if term in encoder.terms)
    numbers = sorted(encoder.terms.index(term) for term in counts)
    values = [encoder.idf[i] * (1.0 + np.log(counts[encoder.terms[i]])) for i in numbers]
    length = np.sqrt(np.add.reduce([value * value for value in values]))
    total = np.add.reduce([value * encoder.weights[i, 0] for value, i in zip(values, numbers, strict=True)])
    return float(encoder.intercepts[0] + total / length) if values else float(encoder.intercepts[0])


@pytest.fixture(scope="module")
def texts() -> list[str]:
    choose = random.Random(7)
    return [*TEXTS, *(random_text(choose) for _ in range(200))]


def fit(terms: list[str]) -> TextEncoder:
    numbers = np.random.default_rng(7)
    return TextEncoder(
        tuple(terms), numbers.uniform(1, 5, len(terms)), numbers.normal(size=(len(terms), 1)), np.ones(1)
    )


def test_words_are_those_that_an_expression_finds(texts: list[str]) -> None:
    for text in texts:
        assert split_words(text) == re.findall(r"\w\w+", text.lower())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])  # of all terms; pairs may be known whose words are not
def test_encoding_is_the_plain_arithmetic(texts: list[str], share: float) -> None:
    every = sorted({term for text in texts for term in split_terms(text)})
    encoder = fit(random.Random(8).sample(every, int(share * len(every))))

    encoded = encoder.encode(texts)[:, 0]

    for text, found in zip(texts, encoded, strict=True):
        assert np.isnan(found) if not text.strip() else found == pytest.approx(plainly(encoder, text), rel=1e-12)


def test_text_has_the_same_bits_alone_as_among_others(texts: list[str]) -> None:
    encoder = fit(sorted({term for text in texts for term in split_terms(text)}))

    together = encoder.encode([*texts, None])

    assert [encoder.encode([text]).tobytes() for text in texts] == [row.tobytes() for row in together[:-1]]
    assert np.isnan(together[-1]).all()
    assert encoder.encode([]).shape == (0, 1)
