"""The examples a model learns from: labels by SQL, features by Feast's point-in-time join."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from feast import FeatureService, FeatureStore
from feast.errors import FeatureServiceNotFoundException

from common.database import connect
from common.errors import FeatureStoreError, NoTrainingRowsError
from common.feature_encoding import FeatureInfo, Kind

logger = logging.getLogger(__name__)

LABEL_COLUMNS = ("movie_id", "event_timestamp", "bechdel_rating", "is_dubious", "is_synthetic", "source_row")

# source_row is the film's place in the source file; only the reference project's split, which shuffles the file,
# needs it (see split_at_random)
_LABELS = """
select
    labels.movie_id,
    labels.event_timestamp,
    labels.bechdel_rating,
    labels.is_dubious,
    labels.is_synthetic,
    movies.source_row
from features.lbl_movie_bechdel_rating as labels
left join raw.movies as movies on labels.movie_id = movies.tmdbid
where labels.bechdel_rating is not null
order by labels.event_timestamp, labels.movie_id
"""

_TEXT_PREFIX = "text_"
_NUMBER_TYPES = {"Int32", "Int64", "Float32", "Float64", "Bool"}


@dataclass(frozen=True)
class Dataset:
    """Examples with the features of one service.

    Attributes:
        frame: shape (n_movies, 6 + n_features), sorted by event_timestamp and movie_id: LABEL_COLUMNS, then one
            column per feature. Timestamps are UTC, an unknown value is None or nan.
        features: what the service's features are, in the service's order.
        feature_service: its name in Feast.
        data_hash: over every value of `frame`; equal data gives an equal hash on every machine.
    """

    frame: pd.DataFrame
    features: Mapping[str, FeatureInfo]
    feature_service: str
    data_hash: str


def open_feature_store(repository: Path) -> FeatureStore:
    """Open the Feast repository; the import of Feast and this call take about 3 s."""
    try:
        return FeatureStore(repo_path=str(repository))
    except FileNotFoundError as error:
        raise FeatureStoreError(f"There is no feature_store.yaml in {repository}.") from error


def load_labels(database_url: str) -> pd.DataFrame:
    """All films with a known rating, oldest first: the columns LABEL_COLUMNS, timestamps in UTC.

    Raises:
        NoTrainingRowsError: dbt has not been built, or no film is rated.
    """
    with connect(database_url) as connection:
        exists = connection.execute("select to_regclass('features.lbl_movie_bechdel_rating') is not null").fetchone()
        if exists != (True,):
            raise NoTrainingRowsError(
                "The table features.lbl_movie_bechdel_rating does not exist yet. "
                "Build it: dbt build --project-dir dbt_project --profiles-dir dbt_project."
            )
        rows = connection.execute(_LABELS).fetchall()
    if not rows:
        raise NoTrainingRowsError(
            "features.lbl_movie_bechdel_rating holds no rated film. "
            "Load films (python -m ingestion load) and build dbt, then train again."
        )
    labels = pd.DataFrame(rows, columns=list(LABEL_COLUMNS))
    labels["event_timestamp"] = pd.to_datetime(labels["event_timestamp"], utc=True)
    return labels


def load_dataset(
    store: FeatureStore, labels: pd.DataFrame, feature_service: str, *, as_of: datetime | None = None
) -> Dataset:
    """Join the service's features to the labels, as they were known at each film's event_timestamp.

    Args:
        store: from `open_feature_store()`.
        labels: from `load_labels()`; films are unique.
        feature_service: its name in Feast.
        as_of: join what was known at this time instead; for features that are known only after release.

    Raises:
        FeatureStoreError: the service is not registered, or the join lost or doubled films.
    """
    try:
        service = store.get_feature_service(feature_service)
    except FeatureServiceNotFoundException as error:
        raise FeatureStoreError(
            f"Feast knows no feature service {feature_service}. Publish it: python feature_repo/publish.py."
        ) from error
    features = read_feature_infos(store, service)
    keys = labels[["movie_id", "event_timestamp"]]
    if as_of is not None:
        keys = keys.assign(event_timestamp=as_of)
    joined = store.get_historical_features(entity_df=keys, features=service).to_df()
    values = normalise_features(joined, features)
    if len(values) != len(labels) or values["movie_id"].duplicated().any():
        raise FeatureStoreError(
            f"Feast returned {len(values)} rows for {len(labels)} films: "
            f"a view behind {feature_service} holds two rows of one film at one time, or lost some. Run dbt test."
        )
    frame = labels.merge(values, on="movie_id", how="left", validate="one_to_one")
    features = {name: _with_categories(info, frame[name]) for name, info in features.items()}
    return Dataset(frame, features, feature_service, hash_frame(frame))


def read_feature_infos(store: FeatureStore, service: FeatureService) -> dict[str, FeatureInfo]:
    """What Feast's registry says about the service's features: description and the tags that dbt's meta gave."""
    infos: dict[str, FeatureInfo] = {}
    for projection in service.feature_view_projections:
        view = store.get_feature_view(projection.name)
        described = {field.name: field for field in view.schema}
        for feature in projection.features:
            field = described.get(feature.name, feature)
            infos[feature.name] = _feature_info(field)
    return infos


def _feature_info(field: Any) -> FeatureInfo:
    tags: Mapping[str, str] = field.tags or {}
    return FeatureInfo(
        name=field.name,
        kind=_kind_of(field.name, str(field.dtype)),
        description=field.description or "",
        family=tags.get("family", ""),
        sentence=tags.get("sentence", ""),
        sentence_null=tags.get("sentence_null", ""),
    )


def _kind_of(name: str, dtype: str) -> Kind:
    if dtype in _NUMBER_TYPES:
        return "number"
    if dtype == "String":
        return "text" if name.startswith(_TEXT_PREFIX) else "category"
    raise FeatureStoreError(
        f"The feature {name} has Feast's type {dtype}, which the model cannot read. "
        "Give its dbt column a number, boolean or text type."
    )


def normalise_features(joined: pd.DataFrame, features: Mapping[str, FeatureInfo]) -> pd.DataFrame:
    """Undo Feast's habits once: numbers become float64 with nan, missing strings None; its timestamps are dropped.

    The timestamps come back naive; the labels hold the same ones in UTC.
    """
    values = joined[["movie_id", *features]].copy()
    values["movie_id"] = values["movie_id"].astype("int64")
    for name, info in features.items():
        if info.kind == "number":
            values[name] = pd.to_numeric(values[name]).astype("float64")
        else:
            values[name] = values[name].astype("object").where(values[name].notna(), None)  # type: ignore[call-overload]  # pandas takes None, its stubs do not
    return values


def _with_categories(info: FeatureInfo, column: pd.Series) -> FeatureInfo:
    """Name the categories in alphabetical order; those of fewer than 20 films count as unknown."""
    if info.kind != "category":
        return info
    counts = column.value_counts()
    frequent = tuple(sorted(str(category) for category in counts[counts >= 20].index))
    return FeatureInfo(**{**info.__dict__, "categories": frequent})


def hash_frame(frame: pd.DataFrame) -> str:
    """SHA-256 over the column names and every value, by row; 64 hex digits."""
    digest = hashlib.sha256("\x1f".join(frame.columns).encode())
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            digest.update(np.ascontiguousarray(column.to_numpy(dtype="float64")).tobytes())
        else:
            digest.update("\x1f".join("\x00" if pd.isna(value) else str(value) for value in column).encode())
    return digest.hexdigest()


def to_rows(frame: pd.DataFrame, names: Sequence[str]) -> list[dict[str, object]]:
    """The frame's rows as the mappings that `Scorer.encode()` reads, as serving makes them from the online store."""
    columns = [frame[name].tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
