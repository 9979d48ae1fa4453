"""Features as a model reads them, and their values as its matrix."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import ModelNotReadyError
from common.text_encoding import TextEncoder

Floats = NDArray[np.float64]
Kind = Literal["number", "category", "text"]


@dataclass(frozen=True)
class FeatureInfo:
    """What a feature means, as Feast's field says it, and how the model reads it.

    Attributes:
        name: the column in Feast and dbt.
        kind: `number` (also true and false), `category` (codes by `categories`) or `text` (by a TextEncoder).
        description: what the feature means, for engineers.
        family: cast, crew, production, text, genre, history or after_release.
        sentence: format template over the film's feature values, for film lovers.
        sentence_null: what to say when the value is unknown; empty when there is nothing to say.
        categories: the values of a category seen in training; any other value counts as unknown.
    """

    name: str
    kind: Kind = "number"
    description: str = ""
    family: str = ""
    sentence: str = ""
    sentence_null: str = ""
    categories: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> Mapping[str, float]:
        """By category: its place among them."""
        return {category: float(code) for code, category in enumerate(self.categories)}


class FeatureEncoder:
    """Turns rows of feature values by name into a matrix.

    Attributes:
        starts: the first column of each feature.
        n_columns: one for each number and category, and as many for a text as its encoder has.
    """

    def __init__(self, features: Mapping[str, FeatureInfo], text_encoders: Mapping[str, TextEncoder]) -> None:
        widths = [text_encoders[name].n_columns if info.kind == "text" else 1 for name, info in features.items()]
        *starts, self.n_columns = itertools.accumulate(widths, initial=0)
        self.starts = tuple(starts)
        columns = dict(zip(features, starts, strict=True))
        self._numbers = [name for name, info in features.items() if info.kind == "number"]
        self._number_columns = np.array([columns[name] for name in self._numbers], dtype=np.intp)
        self._categories = {info: columns[name] for name, info in features.items() if info.kind == "category"}
        self._texts = {
            name: (text_encoders[name], slice(columns[name], columns[name] + text_encoders[name].n_columns))
            for name, info in features.items()
            if info.kind == "text"
        }

    def encode(self, rows: Sequence[Mapping[str, object]]) -> Floats:
        """The matrix, shape (n_rows, n_columns): None becomes nan, a category its code.

        Raises:
            ModelNotReadyError: a row lacks one of the features, or has a value of another kind.
        """
        matrix = np.empty((len(rows), self.n_columns))
        try:
            matrix[:, self._number_columns] = self._read_numbers(rows)
            for info, column in self._categories.items():
                matrix[:, column] = [info.codes.get(str(row[info.name]), np.nan) for row in rows]
            for name, (encoder, columns) in self._texts.items():
                matrix[:, columns] = encoder.encode([row[name] for row in rows])
        except KeyError as error:
            raise ModelNotReadyError(
                f"The model needs the feature {error.args[0]}, which the film's row does not hold. "
                "The feature service and the model differ: train again (make train-model)."
            ) from error
        return matrix

    def _read_numbers(self, rows: Sequence[Mapping[str, object]]) -> Floats:
        """All numbers at once: one by one takes ten times as long."""
        shape = (len(rows), len(self._numbers))
        values = [[row[name] for name in self._numbers] for row in rows]
        try:
            return np.array(values, dtype=np.float64).reshape(shape)  # None becomes nan
        except (TypeError, ValueError):
            numbers = [list(map(_as_number, self._numbers, of_row)) for of_row in values]
            return np.array(numbers, dtype=np.float64).reshape(shape)


def _as_number(name: str, value: object) -> float:
    if value is None:
        return float("nan")
    try:
        return float(value)  # type: ignore[arg-type]  # bool, int, float, Decimal, numpy's scalars
    except (TypeError, ValueError) as error:
        raise ModelNotReadyError(
            f"The feature {name} should be a number and is {value!r}. "
            "The feature service and the model differ: train again (make train-model)."
        ) from error
