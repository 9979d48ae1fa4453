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

_WORD = re.compile(r"\w\w+")


def split_terms(text: str) -> list[str]:
    """List the words of two or more characters in lower case, then every pair of neighbours: "old man" is a term."""
    words = _WORD.findall(text.lower())
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
    def _numbers(self) -> dict[str, int]:
        """From 1: `filter()` would leave out a term of number 0."""
        return {term: number for number, term in enumerate(self.terms, start=1)}

    def encode(self, texts: Sequence[object]) -> Floats:
        """Shape (n_texts, n_columns); an unknown (None) or empty text is nan, not the average text."""
        encoded = np.full((len(texts), self.n_columns), np.nan)
        met: list[int] = []  # the numbers of the terms that were met, text by text
        counts_met: dict[int, int] = {}  # how many in each text in which a term was met
        for row, text in enumerate(texts):
            if isinstance(text, str) and text.strip():
                encoded[row] = self.intercepts
                before = len(met)
                met.extend(filter(None, map(self._numbers.get, split_terms(text))))
                if len(met) > before:
                    counts_met[row] = len(met) - before
        if met:
            rows, width = np.array(list(counts_met)), len(self.terms) + 1
            cells = np.array(met) + np.repeat(rows * width, list(counts_met.values()))
            # sorted by unique(): sums then do not depend on the order in which the terms were met
            cells, counts = np.unique(cells, return_counts=True)
            positions, starts = cells % width - 1, np.searchsorted(cells, rows * width)
            values = self.idf[positions] * (1.0 + np.log(counts))
            lengths = np.sqrt(np.add.reduceat(values * values, starts))
            projected = np.add.reduceat(values[:, np.newaxis] * self.weights[positions], starts, axis=0)
            encoded[rows] += projected / lengths[:, np.newaxis]
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
