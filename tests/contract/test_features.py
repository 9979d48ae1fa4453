"""The seams of a feature: dbt's contract, tables, live view, Feast's registry, online rows and signature agree."""

import re
import string
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from feast import FeatureService, FeatureStore, FeatureView

from common.feature_encoding import FeatureInfo
from common.sentences import describe
from feature_repo.manifest import FEAST_TYPES, TIME_COLUMNS, Feature, FeatureModel, load_feature_models
from feature_repo.views import feast_objects
from tests.feature_films import Project, columns_of, fill_raw_tables, open_store
from training.dataset import read_feature_infos
from training.model import choose_features
from training.parameters import Parameters
from training.registry import signature_of

pytestmark = [
    # Feast's and its dependencies' own; none of them is about what we call
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

FAMILIES = {"cast", "crew", "production", "text", "genre", "history", "after_release"}
LIVE_THEMES = ("cast", "crew", "production", "text", "genre", "history", "after_release")
UNITS = {  # how a number's name ends: the words for its unit; a count is of what its description begins with
    "_count": "", "_share(_of_all)?": "0 to 1", "_balance": "-1 to 1", "_lift": "-1 to 1", "_rank": "rank, from 1",
    "_per_100": "per 100 words", "_log": "logarithm", "_minutes": "minutes", "_usd": "US dollars", "_year": "Year",
    "_month": "1 to 12", "_representation": "0 to 100", "_vote_average": "0 to 10", "_popularity": "scale",
    "_expected_passes": "How many films",
}  # fmt: skip
COLUMNS = "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s"


@pytest.fixture(scope="module")
def project(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Hand-made films, built by dbt without its tests, published to Feast."""
    fill_raw_tables(module_database_url)
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"))
    built.run()
    built.publish()
    return built


@pytest.fixture(scope="module")
def models(project: Project) -> tuple[FeatureModel, ...]:
    return load_feature_models(project.manifest)


@pytest.fixture(scope="module")
def store(project: Project) -> Iterator[FeatureStore]:
    with open_store(project.database_url) as opened:
        yield opened


def actual_columns(project: Project, schema: str, table: str) -> dict[str, str]:
    return {row["column_name"]: row["data_type"] for row in project.rows(COLUMNS, [schema, table])}


@pytest.mark.parametrize("theme", LIVE_THEMES)
def test_live_view_has_the_columns_and_types_of_the_table_and_of_its_contract(project: Project, theme: str) -> None:
    contract = columns_of(project.manifest, f"ftr_movie_{theme}")
    assert actual_columns(project, "features", f"ftr_movie_{theme}") == contract
    live = actual_columns(project, "live", "live_movie_features")
    assert {name: live.get(name) for name in contract} == contract


def test_live_view_has_no_column_that_is_in_no_contract(project: Project) -> None:
    contracts = [columns_of(project.manifest, f"ftr_movie_{theme}") for theme in LIVE_THEMES]
    assert set(actual_columns(project, "live", "live_movie_features")) == set().union(*contracts)


def test_every_view_on_films_that_a_model_may_use_is_in_the_live_view(models: tuple[FeatureModel, ...]) -> None:
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


def test_registry_and_online_rows_hold_the_contracts_columns(
    project: Project, store: FeatureStore, models: tuple[FeatureModel, ...]
) -> None:
    for model in models:
        contract = columns_of(project.manifest, model.name)
        view = store.get_feature_view(model.view_name)
        registered = {field.name: field.dtype for field in (*view.entity_columns, *view.features)}
        assert registered == {
            name: FEAST_TYPES[data_type] for name, data_type in contract.items() if name not in TIME_COLUMNS
        }
        online = {**contract, "_event_ts": contract["event_timestamp"], "_created_ts": contract["created_timestamp"]}
        for name in TIME_COLUMNS:
            del online[name]
        assert actual_columns(project, "online", f"bechdel_{model.view_name}") == online


def test_signature_of_a_model_is_what_it_learns_from_its_service(
    project: Project, store: FeatureStore, models: tuple[FeatureModel, ...]
) -> None:
    contracts = {model.view_name: columns_of(project.manifest, model.name) for model in models}
    for service in store.list_feature_services():
        types = {
            feature.name: "string" if contracts[view.name][feature.name] == "text" else "double"
            for view in service.feature_view_projections
            for feature in view.features
        }
        infos = read_feature_infos(store, service)
        signature = signature_of({name: infos[name] for name in choose_features(infos)})
        assert {column.name: column.type.name for column in signature.inputs} == {
            name: types[name] for name in choose_features(types)
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


def test_every_feature_says_its_family_when_it_is_known_and_what_null_means(models: tuple[FeatureModel, ...]) -> None:
    features = [feature for model in models for feature in model.features]
    assert {feature.tags["family"] for feature in features} <= FAMILIES
    said = re.compile(r".+\b[Kk]nown (on|from|after) .*\bNull: \w")  # after what it means
    assert [feature.name for feature in features if not said.match(feature.description)] == []
    assert [feature.name for feature in features if not feature.tags.get("sentence_null")] == []


def test_every_number_has_its_unit_in_its_name_and_in_words(models: tuple[FeatureModel, ...]) -> None:
    numbers = [feature for model in models for feature in model.features if feature.data_type != "text"]
    assert [feature.name for feature in numbers if not says_unit(feature)] == []


def says_unit(feature: Feature) -> bool:
    if feature.data_type == "boolean":
        return feature.description.startswith("Whether ")
    (words,) = [words for ending, words in UNITS.items() if re.search(f"{ending}$", feature.name)] or [None]
    return words is not None and words in feature.description


def test_services_of_the_release_day_hold_nothing_that_is_known_later(models: tuple[FeatureModel, ...]) -> None:
    described = {feature.name: feature.description for model in models for feature in model.features}
    services = [item for item in feast_objects(models) if isinstance(item, FeatureService)]
    late = {
        service.name
        for service in services
        for projection in service.feature_view_projections
        for field in projection.features
        if "nown on release day" not in described[field.name]
    }
    assert late == {"movie_bechdel_anytime_v1", "movie_reference_v1"}


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


def test_page_of_the_ablation_is_of_the_services_and_settings_as_they_are(
    root: Path, models: tuple[FeatureModel, ...]
) -> None:
    page = (root / "docs" / "benchmarks" / "ablation.md").read_text(encoding="utf-8")
    columns = {
        item.name: len(
            choose_features([field.name for view in item.feature_view_projections for field in view.features])
        )
        for item in feast_objects(models)
        if isinstance(item, FeatureService)
    }
    del columns["movie_reference_v1"]
    assert [f"({name}) | {count} |" for name, count in columns.items() if f"({name}) | {count} |" not in page] == []
    chosen = {"num_leaves", "learning_rate", "min_data_in_leaf", "feature_fraction", "bagging_fraction", "lambda_l2"}
    settings = {name: value for name, value in asdict(Parameters()).items() if name in chosen | {"extra_trees"}}
    assert [
        f"{name} {value}" for name, value in settings.items() if f"{name} {value}" not in " ".join(page.split())
    ] == []


def test_checkout_keeps_no_second_copy_of_the_feature_list(root: Path) -> None:
    assert "cast_female_share" not in "".join(path.read_text() for path in (root / "feature_repo").glob("*.py"))
