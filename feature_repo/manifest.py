"""What dbt promises about its feature models, read from the manifest that every dbt command writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feast.types import Bool, FeastType, Float32, Float64, Int32, Int64, String, UnixTimestamp

from common.errors import FeatureStoreError

MANIFEST = Path(__file__).resolve().parent.parent / "dbt_project" / "target" / "manifest.json"

TIME_COLUMNS = ("event_timestamp", "created_timestamp")
TIME_TYPE = "timestamp with time zone"

FEAST_TYPES: Mapping[str, FeastType] = {
    "boolean": Bool,
    "smallint": Int32,
    "integer": Int32,
    "bigint": Int64,
    "real": Float32,
    "double precision": Float64,
    "text": String,
    TIME_TYPE: UnixTimestamp,
}


@dataclass(frozen=True)
class Feature:
    """One column of a feature model."""

    name: str
    data_type: str
    description: str
    tags: Mapping[str, str]  # family, sentence and, where the YAML has them, sentence_null and model_input

    @property
    def is_model_input(self) -> bool:
        """Whether a model may learn from it; the YAML says `model_input: false` where it may not."""
        return self.tags.get("model_input") != "False"

    @property
    def feast_type(self) -> FeastType:
        """The Feast type of the PostgreSQL type.

        Raises:
            FeatureStoreError: Feast has no counterpart that we know of.
        """
        if self.data_type not in FEAST_TYPES:
            raise FeatureStoreError(
                f"Column {self.name} has the type {self.data_type!r}, which has no Feast type here. "
                f"Cast it to one of {', '.join(sorted(FEAST_TYPES))}, or extend FEAST_TYPES in {__name__}."
            )
        return FEAST_TYPES[self.data_type]


@dataclass(frozen=True)
class FeatureModel:
    """A dbt model with the tag `feast`: a table of the grain (key, event_timestamp)."""

    name: str  # ftr_movie_cast
    table: str  # features.ftr_movie_cast
    description: str
    key: Feature  # movie_id, what the rows are about
    features: tuple[Feature, ...]

    @property
    def entity(self) -> str:
        """What the rows are about: the part of the name before the theme."""
        return self.name.split("_")[1]

    @property
    def view_name(self) -> str:
        """Name of the Feast view: the model's without `ftr_`."""
        return self.name.removeprefix("ftr_")

    @property
    def families(self) -> frozenset[str]:
        """The feature families that its columns belong to."""
        return frozenset(feature.tags["family"] for feature in self.features)


def load_feature_models(path: Path = MANIFEST) -> tuple[FeatureModel, ...]:
    """The models with the tag `feast`, by name.

    Raises:
        FeatureStoreError: there is no manifest, or a model breaks its contract with Feast.
    """
    if not path.exists():
        raise FeatureStoreError(
            f"dbt's manifest is not at {path}. Run: dbt build --project-dir dbt_project --profiles-dir dbt_project"
        )
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    models = [_feature_model(node) for node in nodes if node["resource_type"] == "model" and "feast" in node["tags"]]
    return tuple(sorted(models, key=lambda model: model.name))


def _feature_model(node: Mapping[str, Any]) -> FeatureModel:
    name = node["name"]
    if not node["config"]["contract"]["enforced"]:
        raise FeatureStoreError(f"The model {name} has the tag feast but no enforced contract. Enforce it in dbt.")
    missing = [column for column in TIME_COLUMNS if column not in node["columns"]]
    if missing:
        raise FeatureStoreError(f"The model {name} has no column {', '.join(missing)}. Every feature model needs it.")
    key, *columns = [column for column in node["columns"].values() if column["name"] not in TIME_COLUMNS]
    entity = name.split("_")[1]
    if key["name"] not in (f"{entity}_id", f"{entity}_name"):
        raise FeatureStoreError(
            f"The first column of {name} is {key['name']}. It must be the model's key, {entity}_id or {entity}_name."
        )
    return FeatureModel(
        name=name,
        # dbt builds in build_<schema> and publishes to <schema>: dbt_project/macros/publish.sql
        table=f"{node['schema'].removeprefix('build_')}.{node['alias']}",
        description=_one_line(node["description"]),
        key=Feature(key["name"], key["data_type"], _one_line(key["description"]), {}),
        features=tuple(_feature(name, column) for column in columns),
    )


def _feature(model: str, column: Mapping[str, Any]) -> Feature:
    meta = column["config"]["meta"]
    absent = [key for key in ("family", "sentence") if not meta.get(key)]
    absent += [] if column["description"] else ["description"]
    if absent:
        raise FeatureStoreError(f"Column {column['name']} of {model} has no {' and no '.join(absent)} in its YAML.")
    tags = {key: str(meta[key]) for key in ("family", "sentence", "sentence_null", "model_input") if key in meta}
    return Feature(column["name"], column["data_type"], _one_line(column["description"]), tags)


def _one_line(text: str) -> str:
    """A description as one line: dbt's docs blocks bring their line breaks along."""
    return " ".join(text.split())
