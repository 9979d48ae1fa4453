"""From a text to a few numbers: tf-idf of its words and word pairs, projected by weights that training learned.

The arithmetic is our own rather than scikit-learn's, row by row, so that a film gets the same bits alone as in a
batch of thousands, offline as online, and so that the files behind it hold no pickle.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

_WORD = re.compile(r"\w\w+")


def split_words(text: str) -> list[str]:
    """List the words of two or more characters in lower case."""
    text = text.lower()
    words = [piece for piece in text.split() if len(piece) > 1]
    # a text of words and spaces, as a story is, is split by now: two thirds of the time that the expression takes
    return words if "".join(words).replace("_", "").isalnum() else _WORD.findall(text)


def split_terms(text: str) -> list[str]:
    """List the words, then every pair of neighbours: "old man" is a term."""
    words = split_words(text)
    return [*words, *map(" ".join, itertools.pairwise(words))]


@dataclass(frozen=True)
class TextEncoder:
    """A fitted encoding of one text feature.

    Attributes:
        terms: the vocabulary; row i of the other arrays belongs to `terms[i]`.
        idf: shape (n_terms,): inverse document frequency over the rows it was fitted on.
        weights: shape (n_terms, n_columns): projection of the tf-idf vector (of length 1).
        intercepts: shape (n_columns,): added to the projection.
    """

    terms: tuple[str, ...]
    idf: Floats
    weights: Floats
    intercepts: Floats

    @property
    def n_columns(self) -> int:
        return int(self.intercepts.shape[0])

    @cached_property
    def _vocabulary(self) -> "_Vocabulary":
        return _Vocabulary(self.terms)

    def encode(self, texts: Sequence[object]) -> Floats:
        """Shape (n_texts, n_columns); an unknown (None) or empty text is nan, not the average text."""
        encoded = np.full((len(texts), self.n_columns), np.nan)
        written = {row: text for row, text in enumerate(texts) if isinstance(text, str) and text.strip()}
        known = np.array(list(written), dtype=np.intp)
        encoded[known] = self.intercepts
        rows, terms = self._vocabulary.find(list(written.values()))
        if len(terms):
            # sorted by unique(): sums then do not depend on the order in which the terms were met
            cells, counts = np.unique(known[rows] * len(self.terms) + terms, return_counts=True)
            rows, terms = np.divmod(cells, len(self.terms))
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            values = self.idf[terms] * (1.0 + np.log(counts))
            lengths = np.sqrt(np.add.reduceat(values * values, starts))
            projected = np.add.reduceat(values[:, np.newaxis] * self.weights[terms], starts, axis=0)
            encoded[rows[starts]] += projected / lengths[:, np.newaxis]
        return encoded

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The encoder as arrays for an .npz file."""
        # one byte string rather than an array of strings: numpy pads those to the longest
        terms = np.frombuffer("\n".join(self.terms).encode(), dtype=np.uint8)
        return {"terms": terms, "idf": self.idf, "weights": self.weights, "intercepts": self.intercepts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "TextEncoder":
        """Undo `to_arrays()`."""
        joined = arrays["terms"].tobytes().decode()
        return cls(
            terms=tuple(joined.split("\n")) if joined else (),
            idf=arrays["idf"].astype(np.float64),
            weights=arrays["weights"].astype(np.float64),
            intercepts=arrays["intercepts"].astype(np.float64),
        )


class _Vocabulary:
    """Finds terms in texts: words by name, pairs of words by the numbers of both, those of all texts at once."""

    def __init__(self, terms: Sequence[str]) -> None:
        names = dict.fromkeys(word for term in terms for word in term.split(" "))
        self._numbers = {name: number for number, name in enumerate(names, start=1)}  # 0: a word of no term
        self._term_of_word = np.full(len(names) + 1, -1)
        pairs: dict[int, int] = {}
        for position, term in enumerate(terms):
            numbers = [self._numbers[word] for word in term.split(" ")]
            if len(numbers) == 1:
                self._term_of_word[numbers] = position
            else:
                first, second = numbers
                pairs[first * len(names) + second] = position
        pairs = dict(sorted(pairs.items()))
        self._pairs = np.array([-1, *pairs])  # no pair is -1, so there is one to look at
        self._term_of_pair = np.array([-1, *pairs.values()])

    def find(self, texts: Sequence[str]) -> tuple[Integers, Integers]:
        """(places of texts, positions of terms), one of each for every time that a term stands in a text."""
        met: list[int] = []
        lengths: list[int] = []
        for text in texts:
            in_text = split_words(text)
            met.extend(map(self._numbers.get, in_text, itertools.repeat(0)))
            lengths.append(len(in_text))
        words = np.array(met, dtype=np.intp)
        places = np.repeat(np.arange(len(texts)), np.array(lengths, dtype=np.intp))
        first = np.flatnonzero((places[1:] == places[:-1]) & (words[1:] > 0) & (words[:-1] > 0))
        pairs = words[first] * len(self._numbers) + words[first + 1]
        nearest = np.searchsorted(self._pairs, pairs, side="right") - 1
        found = self._pairs[nearest] == pairs
        of_words = self._term_of_word[words]
        return (
            np.concatenate([places[of_words >= 0], places[first][found]]),
            np.concatenate([of_words[of_words >= 0], self._term_of_pair[nearest][found]]),
        )
