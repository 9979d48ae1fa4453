"""A column that is renamed, retyped or dropped without its consumers stops the build before anything is published."""

import shutil

import pytest

from tests.feature_films import ROOT, Project, columns_of, fill_raw_tables

SHAPE = (
    "select column_name, data_type from information_schema.columns "
    "where table_schema = 'features' and table_name = 'ftr_movie_genre' order by ordinal_position"
)


@pytest.fixture(scope="module")
def project(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Hand-made films, built, with a dbt project of their own that may be changed."""
    fill_raw_tables(module_database_url)
    folder = shutil.copytree(
        ROOT / "dbt_project",
        tmp_path_factory.mktemp("project") / "dbt_project",
        ignore=shutil.ignore_patterns("target", "logs"),
    )
    built = Project(module_database_url, tmp_path_factory.mktemp("dbt"), folder)
    built.run()
    return built


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        ("renamed", "as genre_count\n", "as genre_number\n"),
        ("retyped", "jsonb_array_length(genres)::bigint", "jsonb_array_length(genres)::integer"),
        ("dropped", "        jsonb_array_length(genres)::bigint as genre_count\n", "        1 as one\n"),
    ],
)
def test_changed_column_fails_before_anything_is_published(project: Project, change: str, old: str, new: str) -> None:
    before = project.rows(SHAPE)
    macro = project.folder / "macros" / "movie_genre_features.sql"
    text = macro.read_text()
    assert text.count(old) == 1, change
    macro.write_text(text.replace(old, new))
    done = project.dbt("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
    macro.write_text(text)
    assert done.returncode == 1
    assert "This model has an enforced contract that failed" in done.stdout
    assert "genre_count" in done.stdout
    assert "Nothing was published" in done.stdout
    assert project.rows(SHAPE) == before
    assert project.rows("select genre_count from live.live_movie_genre where movie_id = 1") == [{"genre_count": 2}]


def test_published_columns_are_those_of_the_contract(project: Project) -> None:
    assert {row["column_name"]: row["data_type"] for row in project.rows(SHAPE)} == columns_of(
        project.manifest, "ftr_movie_genre"
    )
