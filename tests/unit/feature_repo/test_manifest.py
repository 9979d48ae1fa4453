"""What feature_repo makes of dbt's manifest, and what it says when that cannot work."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from feast.types import Bool, Float64, Int64

from common.errors import FeatureStoreError
from feature_repo.manifest import load_feature_models
from feature_repo.views import feast_objects

KEY = {"data_type": "bigint", "description": "Key.", "config": {"meta": {}}}
SHARE = {
    "name": "cast_female_share",
    "data_type": "double precision",
    "description": "Women's share.",
    "config": {"meta": {"family": "cast", "sentence": "Women are {cast_female_share:.0%}"}},
}
MODEL: dict[str, Any] = {
    "name": "ftr_movie_cast",
    "alias": "ftr_movie_cast",
    "schema": "features",
    "resource_type": "model",
    "tags": ["feast"],
    "description": "Cast.\n",
    "config": {"contract": {"enforced": True}},
    "columns": {
        **{name: {**KEY, "name": name} for name in ("movie_id", "event_timestamp", "created_timestamp")},
        "cast_female_share": SHARE,
    },
}


def write_manifest(folder: Path, *models: dict[str, Any]) -> Path:
    path = folder / "manifest.json"
    path.write_text(json.dumps({"nodes": {str(place): model for place, model in enumerate(models)}}))
    return path


def model_with(change: Any) -> dict[str, Any]:
    model = copy.deepcopy(MODEL)
    change(model)
    return model


def test_model_becomes_a_view_without_its_prefix(tmp_path: Path) -> None:
    (model,) = load_feature_models(write_manifest(tmp_path, MODEL))
    assert (model.view_name, model.table, model.description) == ("movie_cast", "features.ftr_movie_cast", "Cast.")
    assert [(feature.name, feature.feast_type) for feature in model.features] == [("cast_female_share", Float64)]
    assert model.features[0].tags == {"family": "cast", "sentence": "Women are {cast_female_share:.0%}"}


def test_models_without_the_tag_are_none_of_feasts_business(tmp_path: Path) -> None:
    assert load_feature_models(write_manifest(tmp_path, model_with(lambda model: model.update(tags=[])))) == ()


def test_after_release_views_stay_out_of_the_release_day_service(tmp_path: Path) -> None:
    late = model_with(lambda model: model.update(name="ftr_movie_reference"))
    late["columns"]["cast_female_share"]["config"]["meta"]["family"] = "after_release"
    _, *_, release_day, reference = feast_objects(load_feature_models(write_manifest(tmp_path, MODEL, late)))
    assert [view.name for view in release_day.feature_view_projections] == ["movie_cast"]
    assert [view.name for view in reference.feature_view_projections] == ["movie_reference"]


@pytest.mark.parametrize(("data_type", "feast_type"), [("bigint", Int64), ("boolean", Bool)])
def test_postgres_types_have_feast_types(tmp_path: Path, data_type: str, feast_type: object) -> None:
    model = model_with(lambda model: model["columns"]["cast_female_share"].update(data_type=data_type))
    assert load_feature_models(write_manifest(tmp_path, model))[0].features[0].feast_type == feast_type


def test_missing_manifest_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(
        FeatureStoreError, match="Run: dbt build --project-dir dbt_project --profiles-dir dbt_project"
    ):
        load_feature_models(tmp_path / "manifest.json")


def test_unknown_type_is_named_with_its_column(tmp_path: Path) -> None:
    model = model_with(lambda model: model["columns"]["cast_female_share"].update(data_type="money"))
    (loaded,) = load_feature_models(write_manifest(tmp_path, model))
    with pytest.raises(FeatureStoreError, match="cast_female_share has the type 'money'"):
        _ = loaded.features[0].feast_type


@pytest.mark.parametrize("key", ["family", "sentence"])
def test_feature_without_meta_is_refused_by_name(tmp_path: Path, key: str) -> None:
    model = model_with(lambda model: model["columns"]["cast_female_share"]["config"]["meta"].pop(key))
    with pytest.raises(FeatureStoreError, match=f"cast_female_share of ftr_movie_cast has no {key}"):
        load_feature_models(write_manifest(tmp_path, model))


def test_model_without_enforced_contract_is_refused(tmp_path: Path) -> None:
    model = model_with(lambda model: model["config"]["contract"].update(enforced=False))
    with pytest.raises(FeatureStoreError, match="no enforced contract"):
        load_feature_models(write_manifest(tmp_path, model))


def test_model_without_a_key_is_refused(tmp_path: Path) -> None:
    model = model_with(lambda model: model["columns"].pop("event_timestamp"))
    with pytest.raises(FeatureStoreError, match="ftr_movie_cast has no column event_timestamp"):
        load_feature_models(write_manifest(tmp_path, model))
