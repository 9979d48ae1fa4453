"""What a feature service reads cannot vanish or change its type unnoticed: the build stops before it is published."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest

from common.errors import FeatureStoreError
from feature_repo.manifest import load_feature_models
from feature_repo.service_columns import ServiceColumn, refuse_broken_services, service_columns
from tests.feature_films import ROOT, Project, columns_of, fill_raw_tables

Change = Mapping[str, tuple[str, str]]  # by file: the text that is there, and what takes its place


def macro(theme: str) -> str:
    return f"macros/movie_{theme}_features.sql"


def contract(theme: str) -> str:
    return f"models/features/ftr_movie_{theme}.yml"


def column_yaml(theme: str, column: str) -> str:
    """A column's part of its contract."""
    text = (ROOT / "dbt_project" / contract(theme)).read_text()
    found = re.search(rf"      - name: {column}\n(?: {{8}}.*\n)+", text)
    assert found is not None
    return found[0]


def unit_tests_of(model: str) -> str:
    """The model's part of the unit tests."""
    text = (ROOT / "dbt_project" / "models" / "features" / "_unit_tests.yml").read_text()
    found = re.search(rf"  - name: \w+\n    model: {model}\n(?: {{4}}.*\n)+", text)
    assert found is not None
    return found[0]


COUNT = "jsonb_array_length(movies.genres)::bigint as genre_count\n"
COUNT_YAML = column_yaml("genre", "genre_count")
NEW_YAML = """      - name: genre_new_count
        data_type: bigint
        description: New.
        config: {meta: {family: genre, sentence: New}}
"""
# one column renamed, one retyped, one dropped
IN_SQL: Change = {
    macro("genre"): ("as genre_count\n", "as genre_number\n"),
    macro("production"): ("companies)::bigint", "companies)::integer"),
    macro("text"): (
        "-- length\n    {%- for text in told_texts() %}",
        "-- length\n    {%- for text in ['title', 'overview'] %}",
    ),
}
IN_YAML: Change = {
    contract("genre"): ("name: genre_count", "name: genre_number"),
    contract("production"): (
        "name: production_studios_count\n        data_type: bigint",
        "name: production_studios_count\n        data_type: integer",
    ),
    contract("text"): (column_yaml("text", "text_tagline_words_count"), ""),
}
RENAMED_IN_YAML_ALONE: Change = {contract("crew"): ("name: crew_members_count", "name: crew_size_count")}


def run(*themes: str) -> tuple[str, ...]:
    """A dbt run of what the change is about: a part of the project is held to its part."""
    return ("run", "--select", *(f"ftr_movie_{theme}" for theme in themes), "live_movie_features")


GENRE = run("genre")
LIVE = "macros/live_movie_features.sql"
SHAPE = """
    select table_schema, table_name, column_name, data_type
    from information_schema.columns
    where table_schema in ('features', 'live')
    order by table_schema, table_name, ordinal_position
"""
ANSWERS = """
    select genre_count, production_studios_count, text_tagline_words_count, crew_members_count
    from {0}
    where movie_id = 1
"""
TABLES = """
    features.ftr_movie_genre
    inner join features.ftr_movie_production using (movie_id)
    inner join features.ftr_movie_text using (movie_id)
    inner join features.ftr_movie_crew using (movie_id)
"""
SERVICES_ON_FILMS = ["movie_bechdel_anytime_v1", "movie_bechdel_history_v1", "movie_bechdel_v1"]
READ_BY = "select feature_service from online.service_columns where column_name = %s order by 1"


@pytest.fixture(scope="module")
def project(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Hand-made films, built and registered, with a dbt project of their own that may be changed."""
    fill_raw_tables(module_database_url)
    folder = shutil.copytree(
        ROOT / "dbt_project",
        tmp_path_factory.mktemp("project") / "dbt_project",
        ignore=shutil.ignore_patterns("target", "logs"),
    )
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"), folder)
    built.run()
    built.publish()
    return built


@contextmanager
def changed(project: Project, change: Change) -> Iterator[None]:
    """The project with other texts, and afterwards as it was."""
    kept = {name: (project.folder / name).read_text() for name in change}
    for name, (old, new) in change.items():
        assert kept[name].count(old) == 1, name
        (project.folder / name).write_text(kept[name].replace(old, new))
    try:
        yield
    finally:
        for name, text in kept.items():
            (project.folder / name).write_text(text)


def refusal(project: Project, change: Change, *command: str) -> str:
    """What dbt says to a change that it must refuse; what was published answers as before."""
    before = project.rows(SHAPE)
    with changed(project, change):
        done = project.dbt(*command)
    assert done.returncode == 1, done.stdout
    assert project.rows(SHAPE) == before
    for tables in (TABLES, "live.live_movie_features"):
        (answers,) = project.rows(ANSWERS.format(tables))
        assert list(answers.values()) == [2, 2, 3, 2]
    return " ".join(done.stdout.split())


def test_change_on_one_side_breaks_the_contract_before_anything_is_published(project: Project) -> None:
    said = refusal(project, {**IN_SQL, **RENAMED_IN_YAML_ALONE}, *run("genre", "production", "text", "crew"))
    assert said.count("This model has an enforced contract that failed") == 4
    for column in ("genre_count", "production_studios_count", "text_tagline_words_count", "crew_size_count"):
        assert column in said
    assert "Nothing was published, the last good tables stay" in said


def test_change_on_both_sides_is_refused_with_the_service_that_reads_it_and_the_cure(project: Project) -> None:
    said = refusal(project, {**IN_SQL, **IN_YAML}, *run("genre", "production", "text"))
    assert (
        "Nothing was published, the last good tables stay: ftr_movie_genre.genre_count would be gone "
        "(features.ftr_movie_genre and live.live_movie_features, and 2 more columns), and the feature services "
        f"{', '.join(SERVICES_ON_FILMS)} read it. Keep it and add what is new beside it" in said
    )
    columns = "genre.genre_count", "production.production_studios_count", "text.text_tagline_words_count"
    assert f"--vars 'allow_breaking: [{', '.join(f'ftr_movie_{column}' for column in columns)}]'" in said


def test_whole_build_refuses_a_changed_type(project: Project) -> None:
    change = {name: text for name, text in {**IN_SQL, **IN_YAML}.items() if "production" in name}
    said = refusal(project, change, "build", "--exclude-resource-types", "test", "unit_test")
    assert "ftr_movie_production.production_studios_count would be integer instead of bigint" in said


def test_live_view_that_leaves_its_table_is_refused(project: Project) -> None:
    retyped = "genre_columns() | replace('genres)::bigint', 'genres)::integer')"
    said = refusal(project, {LIVE: ("genre_columns()", retyped)}, *GENRE)
    assert "ftr_movie_genre.genre_count would be integer instead of bigint (live.live_movie_features), and" in said


def test_model_that_leaves_the_project_is_refused_until_its_table_is_dropped(project: Project) -> None:
    model = "models/features/ftr_movie_after_release"
    texts = {name: (project.folder / name).read_text() for name in (f"{model}.sql", f"{model}.yml")}
    for name in texts:
        (project.folder / name).unlink()
    readers: Change = {
        "models/_exposures.yml": ("depends_on: [ref('ftr_movie_after_release')]", "depends_on: []"),
        "models/features/_unit_tests.yml": (unit_tests_of("ftr_movie_after_release"), ""),
    }
    said = refusal(project, readers, *GENRE)
    for name, text in texts.items():
        (project.folder / name).write_text(text)
    assert "ftr_movie_after_release.after_release_revenue_log would have left the project" in said
    assert "the feature services movie_bechdel_anytime_v1 read it. Bring the model back; or drop what it" in said


def test_new_column_is_free_is_promised_from_then_on_and_can_go_on_purpose(project: Project) -> None:
    addition: Change = {
        macro("genre"): (COUNT, COUNT.replace("\n", ",\n") + "        1::bigint as genre_new_count\n"),
        contract("genre"): (COUNT_YAML, COUNT_YAML + NEW_YAML),
    }
    with changed(project, addition):
        done = project.dbt(*GENRE)
        assert done.returncode == 0, done.stdout
        assert project.apply_by_hand().returncode == 0
        assert [row["feature_service"] for row in project.rows(READ_BY, ["genre_new_count"])] == SERVICES_ON_FILMS
    assert "ftr_movie_genre.genre_new_count would be gone" in refusal(project, {}, *GENRE)

    done = project.dbt(*GENRE, "--vars", "allow_breaking: [ftr_movie_genre.genre_new_count]")
    assert done.returncode == 0, done.stdout
    assert project.dbt(*GENRE).returncode == 0  # what is gone on purpose is not asked for again
    project.publish()
    assert project.rows(READ_BY, ["genre_new_count"]) == []


def test_apply_by_hand_takes_nothing_away_from_a_registered_service(project: Project) -> None:
    manifest = project.manifest.read_text()
    changed = json.loads(manifest)
    del changed["nodes"]["model.bechdel.ftr_movie_genre"]["columns"]["genre_count"]
    project.manifest.write_text(json.dumps(changed))
    done = project.apply_by_hand()
    project.manifest.write_text(manifest)
    assert done.returncode == 1
    assert "is registered with genre_count of movie_genre" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.rows("select genre_count from online.bechdel_movie_genre where movie_id = 1")


@pytest.fixture
def promised(project: Project) -> frozenset[ServiceColumn]:
    return service_columns(load_feature_models(project.manifest))


def refuse(project: Project, wanted: frozenset[ServiceColumn]) -> None:
    with psycopg.connect(project.database_url, autocommit=True) as connection:
        refuse_broken_services(connection, wanted)


def test_registered_service_cannot_be_edited_to_read_less(
    project: Project, promised: frozenset[ServiceColumn]
) -> None:
    edited = frozenset(
        column
        for column in promised
        if (column.feature_service, column.feature_view) != ("movie_bechdel_v1", "movie_genre")
    )
    with pytest.raises(FeatureStoreError, match=r"movie_bechdel_v1 is registered with .* of movie_genre and 22 more"):
        refuse(project, edited)


def test_registered_service_may_grow_and_may_go_as_a_whole(
    project: Project, promised: frozenset[ServiceColumn]
) -> None:
    grown = promised | {ServiceColumn("movie_bechdel_v1", "movie_genre", "features.x", "genre_new", "bigint")}
    refuse(project, grown)
    refuse(project, frozenset(column for column in promised if column.feature_service != "movie_reference_v1"))


def test_published_columns_are_those_of_the_contract(project: Project) -> None:
    contract = columns_of(project.manifest, "ftr_movie_genre")

    def shape(table: str) -> dict[str, str]:
        return {row["column_name"]: row["data_type"] for row in project.rows(SHAPE) if row["table_name"] == table}

    assert shape("ftr_movie_genre") == contract
    assert contract.items() <= shape("live_movie_features").items()
