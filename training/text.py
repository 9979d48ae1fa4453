"""Fit the encodings of text features: tf-idf of words and word pairs, weighed by a logistic regression.

A text becomes one number, the log-odds of rating 3 that its words alone give, whose contribution is the text's own.
On the real films this one column was worth what 20 SVD components were, and more than 50 of them or averaged GloVe
vectors. What dbt tells in `text_story` was worth more than pretrained vectors of words (docs/model.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from common.text_encoding import TextEncoder, split_terms

# Terms in fewer films say more about the films than about the term.
MIN_FILMS_PER_TERM = 3


@dataclass(frozen=True)
class TermCounts:
    """How often each term stands in each text; counted once, then fitted on any part of the rows.

    Attributes:
        terms: the vocabulary, sorted; one column of `counts` each.
        counts: shape (n_texts, n_terms).
        is_known: shape (n_texts,): the text is neither None nor empty.
    """

    terms: tuple[str, ...]
    counts: sparse.csr_matrix
    is_known: NDArray[np.bool_]


def count_terms(texts: Sequence[object]) -> TermCounts:
    """Count words and word pairs; terms of fewer than MIN_FILMS_PER_TERM texts are left out."""
    positions: dict[str, int] = {}
    indices: list[int] = []
    ends = [0]
    for text in texts:
        if isinstance(text, str):
            indices.extend(positions.setdefault(term, len(positions)) for term in split_terms(text))
        ends.append(len(indices))
    shape = (len(ends) - 1, len(positions))
    counts = sparse.csr_matrix((np.ones(len(indices)), indices, ends), shape=shape)
    counts.sum_duplicates()
    films = np.bincount(counts.indices, minlength=len(positions))
    order = sorted((term, position) for term, position in positions.items() if films[position] >= MIN_FILMS_PER_TERM)
    kept = counts[:, [position for _, position in order]].tocsr()
    is_known = np.array([isinstance(text, str) and bool(text.strip()) for text in texts], dtype=np.bool_)
    return TermCounts(tuple(term for term, _ in order), kept, is_known)


def fit_text_encoder(
    counted: TermCounts, rows: NDArray[np.intp], passes: NDArray[np.bool_], *, regularisation: float = 1.0
) -> TextEncoder | None:
    """Fit on the given rows alone.

    Args:
        counted: the counts of all rows.
        rows: positions of the rows to learn from.
        passes: shape (n_texts,): whether each film has rating 3; only `rows` are looked at.
        regularisation: inverse strength, scikit-learn's C.

    Returns:
        None when the rows hold too few known texts of both outcomes to learn from.
    """
    rows = rows[counted.is_known[rows]]
    counts = counted.counts[rows]
    films = np.bincount(counts.indices, minlength=len(counted.terms))
    kept = np.flatnonzero(films >= MIN_FILMS_PER_TERM)
    if kept.size == 0 or len(set(passes[rows])) < 2:
        return None
    idf = np.log((1.0 + len(rows)) / (1.0 + films[kept])) + 1.0  # scikit-learn's smoothed idf
    matrix = _tf_idf(counts[:, kept], idf)
    regression = LogisticRegression(C=regularisation, solver="liblinear", random_state=0).fit(matrix, passes[rows])
    return TextEncoder(
        terms=tuple(counted.terms[position] for position in kept),
        idf=idf,
        weights=regression.coef_.reshape(-1, 1).astype(np.float64),
        intercepts=np.asarray(regression.intercept_, dtype=np.float64),
    )


def encode_counted(encoder: TextEncoder, counted: TermCounts, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """What `encoder.encode()` gives for the rows, shape (n_rows, 1), from counts: quick enough for every fold."""
    positions = {term: position for position, term in enumerate(counted.terms)}
    columns = [positions[term] for term in encoder.terms]
    matrix = _tf_idf(counted.counts[rows][:, columns], encoder.idf)
    encoded: NDArray[np.float64] = np.asarray(matrix @ encoder.weights) + encoder.intercepts
    encoded[~counted.is_known[rows]] = np.nan
    return encoded


def _tf_idf(counts: sparse.csr_matrix, idf: NDArray[np.float64]) -> sparse.csr_matrix:
    matrix = counts.astype(np.float64).tocsr()
    matrix.data = 1.0 + np.log(matrix.data)
    matrix = matrix.multiply(idf).tocsr()
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    lengths[lengths == 0.0] = 1.0
    return sparse.diags(1.0 / lengths) @ matrix
