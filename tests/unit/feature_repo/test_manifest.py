"""What feature_repo makes of dbt's manifest, and what it says when that cannot work."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from feast import Entity, FeatureService, FeatureView, ValueType
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


def of_family(family: str, name: str) -> dict[str, Any]:
    model = model_with(lambda model: model.update(name=name))
    model["columns"]["cast_female_share"]["config"]["meta"]["family"] = family
    return model


def test_what_is_known_after_release_stays_out_of_the_release_day_services(tmp_path: Path) -> None:
    late = of_family("after_release", "ftr_movie_after_release")
    history = of_family("history", "ftr_movie_history")
    objects = feast_objects(load_feature_models(write_manifest(tmp_path, MODEL, late, history)))
    services = {item.name: item for item in objects if isinstance(item, FeatureService)}
    views = {
        name: [projection.name for projection in service.feature_view_projections]
        for name, service in services.items()
    }
    assert views["movie_bechdel_v1"] == ["movie_cast"]
    assert views["movie_bechdel_history_v1"] == ["movie_cast", "movie_history"]
    assert views["movie_bechdel_anytime_v1"] == ["movie_after_release", "movie_cast", "movie_history"]


def test_column_that_is_no_model_input_is_in_its_view_but_in_no_service(tmp_path: Path) -> None:
    model = copy.deepcopy(MODEL)
    barred = {**copy.deepcopy(SHARE), "name": "cast_popularity"}
    barred["config"]["meta"]["model_input"] = False
    model["columns"]["cast_popularity"] = barred
    objects = feast_objects(load_feature_models(write_manifest(tmp_path, model)))
    (view,) = (item for item in objects if isinstance(item, FeatureView))
    service = next(item for item in objects if item.name == "movie_bechdel_v1")
    assert [field.name for field in view.features] == ["cast_female_share", "cast_popularity"]
    assert [field.name for field in service.feature_view_projections[0].features] == ["cast_female_share"]


def test_entity_and_key_come_from_the_models_name_and_first_column(tmp_path: Path) -> None:
    model = model_with(lambda model: model.update(name="ftr_genre_track_record"))
    key = {**KEY, "name": "genre_name", "data_type": "text"}
    model["columns"] = {"genre_name": key, **{k: v for k, v in model["columns"].items() if k != "movie_id"}}
    objects = feast_objects(load_feature_models(write_manifest(tmp_path, model)))
    (entity,) = (item for item in objects if isinstance(item, Entity))
    assert (entity.name, entity.join_key, entity.value_type) == ("genre", "genre_name", ValueType.STRING)


def test_model_that_does_not_begin_with_its_key_is_refused(tmp_path: Path) -> None:
    model = model_with(lambda model: model.update(name="ftr_person_track_record"))
    with pytest.raises(
        FeatureStoreError, match=r"is movie_id\. It must be the model's key, person_id or person_name"
    ):
        load_feature_models(write_manifest(tmp_path, model))


def test_built_tables_are_read_where_they_are_published(tmp_path: Path) -> None:
    model = model_with(lambda model: model.update(schema="build_features"))
    assert load_feature_models(write_manifest(tmp_path, model))[0].table == "features.ftr_movie_cast"


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
