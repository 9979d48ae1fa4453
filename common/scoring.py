"""The trained model as one object: what training saves, MLflow keeps and serving answers with.

Three LightGBM boosters give P(rating >= 1), P(rating >= 2) and P(rating >= 3), each calibrated by a line on its
log-odds. Everything is kept in open formats (LightGBM's text, JSON, npz without pickle), so that loading a model
never runs code from it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import lightgbm
import numpy as np
from lightgbm.basic import LightGBMError
from numpy.typing import NDArray

from common.errors import ModelNotReadyError
from common.feature_encoding import FeatureEncoder, FeatureInfo
from common.score_tables import ScoreTables
from common.shap_tables import ShapTables
from common.text_encoding import TextEncoder

Floats = NDArray[np.float64]
Verdict = Literal["pass", "fail", "too_close_to_call"]

# Raise it when the files change their meaning; an older server then refuses a newer model in one sentence.
FORMAT_VERSION = 1
THRESHOLDS = (1, 2, 3)
_SCORER_FILE = "scorer.json"
_TEXTS_FILE = "text_encoders.npz"


@dataclass(frozen=True)
class Calibration:
    """A line on log-odds: calibrated = slope * raw + intercept (Platt 1999). The slope is positive: ranks stay."""

    slope: float
    intercept: float

    def apply(self, raw: Floats) -> Floats:
        return self.slope * raw + self.intercept


@dataclass(frozen=True)
class Scorer:
    """A trained model that turns feature rows into four rating probabilities and their reasons.

    Safe to share between threads; every call scores with one thread, so that a request costs microseconds.

    Attributes:
        feature_service: Feast service whose features, in any order, a row has to hold.
        features: by name, in the model's order; `feature_names` gives the names alone.
        band: (low, high): between them P(rating 3) is too close to call; `verdict()` applies it.
        boosters: one for each of THRESHOLDS.
        calibrations: one for each of THRESHOLDS.
        text_encoders: by name, for the features of kind `text`.
        facts: what training wants to keep beside the model (counts, dates, hashes); not used for scoring.
    """

    feature_service: str
    features: Mapping[str, FeatureInfo]
    band: tuple[float, float]
    boosters: tuple[lightgbm.Booster, ...]
    calibrations: tuple[Calibration, ...]
    text_encoders: Mapping[str, TextEncoder] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(self.features)

    @cached_property
    def value_names(self) -> tuple[str, ...]:
        """The features that are not texts."""
        return tuple(name for name, info in self.features.items() if info.kind != "text")

    def encode(self, rows: Sequence[Mapping[str, object]]) -> Floats:
        """Turn feature values by name into the model's matrix, shape (n_rows, n_columns).

        None becomes nan, a category its code, a text as many columns as its encoder has; n_columns is therefore
        at least the number of features. The matrix is for `probabilities()` and `contributions()` alone.

        Raises:
            ModelNotReadyError: a row lacks one of the model's features.
        """
        return self._encoder.encode(rows)

    def probabilities(self, matrix: Floats) -> Floats:
        """P(rating 0), P(1), P(2), P(3), shape (n_rows, 4); each row sums to 1 and none is negative."""
        at_least_1, at_least_2, at_least_3 = (
            _sigmoid(calibration.apply(raw))
            for raw, calibration in zip(self._raw_scores(matrix).T, self.calibrations, strict=True)
        )
        # The three are learned apart and may cross by a little. P(3) answers the Bechdel test and is explained by
        # contributions(), so it stays as it is and the looser thresholds give way.
        at_least_2 = np.maximum(at_least_2, at_least_3)
        at_least_1 = np.maximum(at_least_1, at_least_2)
        return np.column_stack([1.0 - at_least_1, at_least_1 - at_least_2, at_least_2 - at_least_3, at_least_3])

    def contributions(self, matrix: Floats) -> Floats:
        """Share of each feature in the calibrated log-odds of rating 3, shape (n_rows, n_features + 1).

        The last column is the base, the same for every film; a row's sum is the log-odds of P(rating 3). Columns
        of one text are summed under its feature. Values are SHAP values, those of LightGBM's `pred_contrib`.
        """
        calibration, tables = self.calibrations[-1], self._shap_tables
        shap_values = tables.of_rows(matrix) if tables else _predict(self.boosters[-1], matrix, pred_contrib=True)
        by_column = shap_values * calibration.slope
        summed = np.add.reduceat(by_column, [*self._encoder.starts, by_column.shape[1] - 1], axis=1)
        summed[:, -1] += calibration.intercept
        return summed

    def verdict(self, probability: float) -> Verdict:
        """Say what P(rating 3) means: inside the band, its ends included, it is too close to call."""
        low, high = self.band
        if low <= probability <= high:
            return "too_close_to_call"
        return "pass" if probability > high else "fail"

    def column_of(self, feature: str) -> int:
        """Where a number or category stands in the matrix of `encode()`; of a text, its first column."""
        return self._encoder.starts[self.feature_names.index(feature)]

    def _raw_scores(self, matrix: Floats) -> Floats:
        """Of each booster, shape (n_rows, n_boosters)."""
        if self._score_tables:
            return self._score_tables.of_rows(matrix)
        return np.column_stack([_predict(booster, matrix, raw_score=True) for booster in self.boosters])

    @cached_property
    def _encoder(self) -> FeatureEncoder:
        return FeatureEncoder(self.features, self.text_encoders)

    @cached_property
    def _score_tables(self) -> ScoreTables | None:
        """None when the trees are too large for tables."""
        return ScoreTables.of(self.boosters)

    @cached_property
    def _shap_tables(self) -> ShapTables | None:
        """None when the trees are too large for tables."""
        return ShapTables.of(self.boosters[-1])

    def save(self, directory: Path) -> None:
        """Write the model's files into `directory`, which is made when missing."""
        directory.mkdir(parents=True, exist_ok=True)
        head = {
            "format_version": FORMAT_VERSION,
            "feature_service": self.feature_service,
            "features": [asdict(feature) for feature in self.features.values()],
            "band": list(self.band),
            "calibrations": [asdict(calibration) for calibration in self.calibrations],
            "facts": dict(self.facts),
        }
        (directory / _SCORER_FILE).write_text(json.dumps(head, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for threshold, booster in zip(THRESHOLDS, self.boosters, strict=True):
            (directory / _booster_file(threshold)).write_text(booster.model_to_string(), encoding="utf-8")
        arrays = {
            f"{name}/{key}": array
            for name, encoder in self.text_encoders.items()
            for key, array in encoder.to_arrays().items()
        }
        np.savez_compressed(directory / _TEXTS_FILE, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, directory: Path) -> "Scorer":
        """Read what `save()` wrote; scores are the same to the last bit.

        Raises:
            ModelNotReadyError: files are missing, damaged or of another format version.
        """
        try:
            return cls._load(directory)
        except (OSError, KeyError, TypeError, ValueError, LightGBMError) as error:
            raise ModelNotReadyError(
                f"The model in {directory} cannot be read ({error!r}). Train a new one: make train-model."
            ) from error

    @classmethod
    def _load(cls, directory: Path) -> "Scorer":
        head = json.loads((directory / _SCORER_FILE).read_text(encoding="utf-8"))
        if head["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {head['format_version']}, this code reads {FORMAT_VERSION}")
        infos = [FeatureInfo(**{**fields, "categories": tuple(fields["categories"])}) for fields in head["features"]]
        low, high = head["band"]
        return cls(
            feature_service=head["feature_service"],
            features={info.name: info for info in infos},
            band=(low, high),
            boosters=tuple(
                lightgbm.Booster(model_str=(directory / _booster_file(threshold)).read_text(encoding="utf-8"))
                for threshold in THRESHOLDS
            ),
            calibrations=tuple(Calibration(**fields) for fields in head["calibrations"]),
            text_encoders=_load_text_encoders(directory, [info.name for info in infos if info.kind == "text"]),
            facts=head["facts"],
        )


def _predict(booster: lightgbm.Booster, matrix: Floats, **options: bool) -> Floats:
    return np.asarray(booster.predict(matrix, num_threads=1, **options), dtype=np.float64)


def _sigmoid(log_odds: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-log_odds))


def _booster_file(threshold: int) -> str:
    return f"rating_at_least_{threshold}.lightgbm.txt"


def _load_text_encoders(directory: Path, names: Sequence[str]) -> dict[str, TextEncoder]:
    with np.load(directory / _TEXTS_FILE, allow_pickle=False) as arrays:
        return {
            name: TextEncoder.from_arrays(
                {key: arrays[f"{name}/{key}"] for key in ("terms", "idf", "weights", "intercepts")}
            )
            for name in names
        }
