"""The seams of a feature: dbt's contract, the tables, the live views and Feast say the same of it."""

import string
from pathlib import Path

import pytest
from feast import FeatureService, FeatureView

from common.scoring import FeatureInfo
from common.sentences import describe
from feature_repo.manifest import FEAST_TYPES, FeatureModel, load_feature_models
from feature_repo.views import feast_objects
from tests.feature_films import Project, columns_of, fill_raw_tables

FAMILIES = {"cast", "crew", "production", "text", "genre", "history", "after_release"}
LIVE_THEMES = ("cast", "crew", "production", "text", "genre", "history", "after_release")
COLUMNS = "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s"


@pytest.fixture(scope="module")
def project(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Hand-made films, built by dbt without its tests."""
    fill_raw_tables(module_database_url)
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"))
    built.run()
    return built


@pytest.fixture(scope="module")
def models(project: Project) -> tuple[FeatureModel, ...]:
    return load_feature_models(project.manifest)


def actual_columns(project: Project, schema: str, table: str) -> dict[str, str]:
    return {row["column_name"]: row["data_type"] for row in project.rows(COLUMNS, [schema, table])}


@pytest.mark.parametrize("theme", LIVE_THEMES)
def test_live_view_has_the_columns_and_types_of_the_table_and_of_its_contract(project: Project, theme: str) -> None:
    contract = columns_of(project.manifest, f"ftr_movie_{theme}")
    assert actual_columns(project, "features", f"ftr_movie_{theme}") == contract
    assert actual_columns(project, "live", f"live_movie_{theme}") == contract


def test_every_view_on_films_that_a_model_may_use_has_a_live_view(models: tuple[FeatureModel, ...]) -> None:
    of_films = {model.view_name for model in models if model.entity == "movie"}
    assert of_films - {"movie_reference"} == {f"movie_{theme}" for theme in LIVE_THEMES}


def test_services_hold_what_their_descriptions_say(models: tuple[FeatureModel, ...]) -> None:
    services = {item.name: item for item in feast_objects(models) if isinstance(item, FeatureService)}
    views = {
        name: {projection.name.removeprefix("movie_") for projection in service.feature_view_projections}
        for name, service in services.items()
    }
    release_day = {"cast", "crew", "production", "text", "genre"}
    assert views == {
        "movie_bechdel_v1": release_day,
        "movie_bechdel_history_v1": release_day | {"history"},
        "movie_bechdel_anytime_v1": release_day | {"history", "after_release"},
        "movie_reference_v1": {"reference"},
    }


def test_popularity_is_in_no_service_of_a_model(models: tuple[FeatureModel, ...]) -> None:
    services = [item for item in feast_objects(models) if isinstance(item, FeatureService)]
    holding = [
        service.name
        for service in services
        for projection in service.feature_view_projections
        if any("popularity" in field.name for field in projection.features)
    ]
    assert holding == ["movie_reference_v1"]


def test_feast_fields_are_the_contracts_columns(project: Project, models: tuple[FeatureModel, ...]) -> None:
    views = [item for item in feast_objects(models) if isinstance(item, FeatureView)]
    fields = {view.name: {field.name: field.dtype for field in view.features} for view in views}
    keys = {"event_timestamp", "created_timestamp", *(model.key.name for model in models)}
    contracts = {model.view_name: columns_of(project.manifest, model.name) for model in models}
    assert fields == {
        view: {name: FEAST_TYPES[data_type] for name, data_type in columns.items() if name not in keys}
        for view, columns in contracts.items()
    }


def test_feature_names_are_unique_over_all_views_and_carry_their_theme(models: tuple[FeatureModel, ...]) -> None:
    names = [feature.name for model in models for feature in model.features]
    assert len(names) == len(set(names))
    assert [
        feature.name
        for model in models
        for feature in model.features
        if not feature.name.startswith(model.view_name.removeprefix("movie_").removesuffix("_track_record") + "_")
    ] == []


def test_every_feature_says_its_family_its_meaning_and_what_unknown_means(models: tuple[FeatureModel, ...]) -> None:
    features = [feature for model in models for feature in model.features]
    assert {feature.tags["family"] for feature in features} <= FAMILIES
    always_known = {"reference_title", "reference_year"}
    silent = [feature.name for feature in features if "Null:" not in feature.description]
    assert set(silent) == always_known
    assert [feature.name for feature in features if not feature.tags.get("sentence_null")] == []


def test_model_descriptions_end_with_their_grain(models: tuple[FeatureModel, ...]) -> None:
    assert [model.name for model in models if not model.description.endswith(".")] == []
    assert [
        model.name
        for model in models
        if f"One row per {model.key.name} and event_timestamp." not in model.description
    ] == []


def test_sentences_are_filled_from_the_features_of_their_own_view(
    project: Project, models: tuple[FeatureModel, ...]
) -> None:
    for model in models:
        rows = project.rows(f"select * from {model.table}")  # noqa: S608  # a name of ours
        for feature in model.features:
            sentence = feature.tags["sentence"]
            used = {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
            assert used <= {other.name for other in model.features}, feature.name
            info = FeatureInfo(feature.name, description="could not be filled", sentence=sentence, sentence_null="-")
            told = {describe(info, row) for row in rows}
            assert [text for text in told if "{" in text or "could not be filled" in text] == []


def test_checkout_keeps_no_second_copy_of_the_feature_list(root: Path) -> None:
    assert "cast_female_share" not in "".join(path.read_text() for path in (root / "feature_repo").glob("*.py"))
