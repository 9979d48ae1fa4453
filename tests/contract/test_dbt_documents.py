"""What dbt's documentation says about who reads what is true."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from feature_repo.manifest import load_feature_models
from feature_repo.service_columns import service_columns
from tests.feature_films import ROOT, Project

RELATION = re.compile(
    r"\b(?:features|live|marts|staging|intermediate|monitoring|snapshots)\.((?:ftr|lbl|live|dim|fct|agg|stg|int|snp)_\w+)"
    r"|\"(agg_\w+)\""
)
READERS = {"training": {"bechdel_test_predictor"}, "serving": {"predictions_api", "page"}}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """dbt's manifest of the project as it is; parsing asks no database."""
    project = Project("postgresql://nobody@127.0.0.1:9/none", tmp_path_factory.mktemp("dbt"))
    done = project.dbt("parse", "--quiet")
    assert done.returncode == 0, done.stdout
    parsed: Mapping[str, Any] = json.loads(project.manifest.read_text(encoding="utf-8"))
    return {**parsed, "path": project.manifest}


def models(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    nodes = manifest["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] in ("model", "snapshot")}


def exposed(manifest: Mapping[str, Any]) -> dict[str, set[str]]:
    """By exposure: the names of the models that it reads."""
    return {
        exposure["name"]: {node.split(".")[2] for node in exposure["depends_on"]["nodes"]}
        for exposure in manifest["exposures"].values()
    }


def read_by(folder: str, known: Mapping[str, Any]) -> set[str]:
    """The models whose tables the code of a folder names."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / folder).glob("*.py"))
    return {name for match in RELATION.findall(code) for name in match if name in known}


def test_every_feast_view_is_an_exposure_of_its_model(manifest: Mapping[str, Any]) -> None:
    expected = {f"feast_{model.view_name}": {model.name} for model in load_feature_models(manifest["path"])}
    found = {name: read for name, read in exposed(manifest).items() if name.startswith("feast_")}
    assert found == expected


def test_sentences_of_features_write_per_cent_as_the_pages_do(manifest: Mapping[str, Any]) -> None:
    features = [feature for model in load_feature_models(manifest["path"]) for feature in model.features]
    assert any("%" in feature.tags["sentence"] for feature in features)
    assert [feature.name for feature in features if " %" in feature.tags["sentence"]] == []


def test_the_model_and_the_api_read_what_the_service_holds(manifest: Mapping[str, Any]) -> None:
    columns = service_columns(load_feature_models(manifest["path"]))
    views = {column.feature_view for column in columns if column.feature_service == "movie_bechdel_v1"}
    assert exposed(manifest)["bechdel_test_predictor"] == {
        *(f"ftr_{view}" for view in views),
        "lbl_movie_bechdel_rating",
        "live_movie_features",
    }
    assert "live_movie_features" in exposed(manifest)["predictions_api"]


@pytest.mark.parametrize("folder", READERS)
def test_what_the_code_reads_is_public_and_stands_in_an_exposure(manifest: Mapping[str, Any], folder: str) -> None:
    known = models(manifest)
    read = read_by(folder, known)
    assert read
    assert {name for name in read if known[name]["access"] != "public"} == set()
    declared = set().union(*(exposed(manifest)[name] for name in READERS[folder]))
    assert read - declared == set()


def test_every_model_has_a_group_and_only_intermediate_ones_are_private(manifest: Mapping[str, Any]) -> None:
    nodes = [node for node in models(manifest).values() if node["resource_type"] == "model"]
    assert [node["name"] for node in nodes if node["group"] != "feature_platform"] == []
    private = {node["name"] for node in nodes if node["access"] == "private"}
    assert private == {node["name"] for node in nodes if node["path"].startswith("intermediate")}


def test_every_feature_and_label_table_has_a_contract_that_forbids_rows_without_key_or_time(
    manifest: Mapping[str, Any],
) -> None:
    tables = {name: node for name, node in models(manifest).items() if name.startswith(("ftr_", "lbl_"))}
    assert len(tables) > 10
    for name, node in tables.items():
        assert node["config"]["contract"]["enforced"], name
        first = list(node["columns"].values())[:3]  # the key and both times: feature_repo/manifest.py
        constraints = [[constraint["type"] for constraint in column["constraints"]] for column in first]
        assert constraints == [["not_null"]] * 3, name


def test_every_docs_block_is_used_and_no_description_says_the_same_three_times(manifest: Mapping[str, Any]) -> None:
    blocks = {block["name"] for key, block in manifest["docs"].items() if key.startswith("doc.bechdel.")}
    yaml = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "dbt_project" / "models").rglob("*.yml"))
    blocks.discard("__overview__")  # the first page
    assert blocks == set(re.findall(r"\{\{ doc\('(\w+)'\) \}\}", yaml))
    plain = re.findall(r"^        description: ([^\"\n>].*)$", yaml, re.M)
    assert {text for text in plain if plain.count(text) > 2} == set()
