"""What Feast's commands do before they register: an apply makes ready, a plan changes nothing."""

import runpy
from typing import Any

import click
import pytest

from common.errors import FeatureStoreError
from feature_repo import manifest, publish, views


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The models that were made ready; there is neither a manifest nor a database."""
    found: list[Any] = []
    monkeypatch.setattr(manifest, "load_feature_models", lambda: ["model"])
    monkeypatch.setattr(publish, "prepare", found.append)
    monkeypatch.setattr(views, "feast_objects", lambda _: [])
    return found


def load_under(command: str) -> None:
    with click.Context(click.Command(command), info_name=command):
        runpy.run_module("feature_repo.definitions")


def test_apply_makes_ready_and_a_plan_changes_nothing(prepared: list[Any]) -> None:
    load_under("plan")
    assert prepared == []
    load_under("apply")
    assert prepared == [["model"]]


def test_without_feasts_command_it_is_made_ready_too(prepared: list[Any]) -> None:
    runpy.run_module("feature_repo.definitions")
    assert prepared == [["model"]]


def test_what_cannot_be_made_ready_ends_the_command_in_one_sentence(
    prepared: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise FeatureStoreError("The feature service is registered with it.")

    monkeypatch.setattr(publish, "prepare", refuse)
    with pytest.raises(SystemExit, match="Error: The feature service is registered"):
        load_under("apply")
    assert prepared == []
