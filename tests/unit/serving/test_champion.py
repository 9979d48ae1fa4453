"""The champion is swapped whole or not at all."""

from pathlib import Path

import orjson
import pytest

from common.errors import ModelNotReadyError
from serving.api import model_card
from serving.champion import Champion, ChampionWatcher, ModelVersion
from tests.serving_parts import make_scorer

EVALUATION = {
    "time": {"rating_3": {"brier": 0.17, "auc": 0.81, "intervals": {"auc": [0.79, 0.83], "brier": [0.16, 0.18]}}},
    "random": {"rating_3": {"auc": 0.84, "n": 900, "intervals": {}}},
}
FIGURES = [
    {"split": "time", "name": "auc", "value": 0.81, "interval": (0.79, 0.83)},
    {"split": "time", "name": "brier", "value": 0.17, "interval": (0.16, 0.18)},
    {"split": "random", "name": "auc", "value": 0.84, "interval": None},
]


class FakeRegistry:
    """A registry whose champion a test changes."""

    def __init__(self) -> None:
        self.champion: ModelVersion | None = None
        self.is_away = False
        self.is_broken = False
        self.evaluation: bytes | None = None
        self.downloads = 0

    def find_champion(self) -> ModelVersion | None:
        if self.is_away:
            raise ConnectionError("no route")
        return self.champion

    def download(self, version: ModelVersion, directory: Path) -> None:
        assert version == self.champion
        self.downloads += 1
        make_scorer().save(directory / "artifacts" / "scorer")
        if self.evaluation is not None:
            (directory / "evaluation.json").write_bytes(self.evaluation)
        if self.is_broken:
            (directory / "artifacts" / "scorer" / "scorer.json").write_text("{")


def version(number: str) -> ModelVersion:
    return ModelVersion("bechdel-test-predictor", number, f"run{number}")


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def watcher(registry: FakeRegistry, tmp_path: Path) -> ChampionWatcher:
    return ChampionWatcher(registry, tmp_path, "http://registry")


def test_without_champion_the_error_says_what_to_run(watcher: ChampionWatcher) -> None:
    watcher.look()

    with pytest.raises(ModelNotReadyError, match=r"^No model yet\. Run: make train-model$"):
        watcher.current()


def test_before_the_registry_was_asked_the_model_is_being_loaded(watcher: ChampionWatcher) -> None:
    with pytest.raises(ModelNotReadyError, match="being loaded"):
        watcher.current()


def test_registry_away_at_the_start_is_named(watcher: ChampionWatcher, registry: FakeRegistry) -> None:
    registry.is_away = True
    watcher.look()

    with pytest.raises(ModelNotReadyError, match=r"MLflow does not answer \(ConnectionError\)"):
        watcher.current()


def test_champion_answers_only_when_all_is_warm(registry: FakeRegistry, tmp_path: Path) -> None:
    said = []

    def warm_up(_: Champion) -> None:
        with pytest.raises(ModelNotReadyError, match="being loaded"):
            watcher.current()
        said.append("warm")

    watcher = ChampionWatcher(registry, tmp_path, "http://registry", on_load=warm_up)
    registry.champion = version("1")
    watcher.look()

    assert said == ["warm"]
    assert watcher.current().version.version == "1"


def test_new_champion_is_served_and_downloaded_once(watcher: ChampionWatcher, registry: FakeRegistry) -> None:
    registry.champion = version("1")
    watcher.look()
    watcher.look()
    assert watcher.current().version.version == "1"
    assert registry.downloads == 1

    registry.champion = version("2")
    watcher.look()
    assert watcher.current().version.version == "2"


def test_broken_champion_is_refused_and_the_old_one_stays(watcher: ChampionWatcher, registry: FakeRegistry) -> None:
    registry.champion = version("1")
    watcher.look()

    registry.champion, registry.is_broken = version("2"), True
    watcher.look()
    watcher.look()

    assert watcher.current().version.version == "1"
    assert "version 2" in (watcher.state.refused or "")
    assert registry.downloads == 2


def test_going_back_to_the_old_champion_clears_the_refusal(watcher: ChampionWatcher, registry: FakeRegistry) -> None:
    registry.champion = version("1")
    watcher.look()
    registry.champion, registry.is_broken = version("2"), True
    watcher.look()

    registry.champion = version("1")
    watcher.look()

    assert watcher.state.refused is None


def test_registry_away_keeps_the_champion(watcher: ChampionWatcher, registry: FakeRegistry) -> None:
    registry.champion = version("1")
    watcher.look()

    registry.is_away = True
    watcher.look()

    assert watcher.current().version.version == "1"
    assert watcher.state.registry_problem == "MLflow does not answer (ConnectionError)"


def test_kept_champion_answers_after_a_restart_without_registry(
    watcher: ChampionWatcher, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.champion = version("1")
    watcher.look()
    registry.is_away = True

    restarted = ChampionWatcher(registry, tmp_path, "http://registry")
    restarted.load_kept()
    restarted.look()

    assert restarted.current().version.version == "1"


def test_kept_champion_of_another_registry_is_not_served(
    watcher: ChampionWatcher, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.champion = version("1")
    watcher.look()

    other = ChampionWatcher(registry, tmp_path, "http://other")
    other.load_kept()

    with pytest.raises(ModelNotReadyError):
        other.current()


def test_figures_of_the_version_are_on_its_card_and_kept_with_it(
    watcher: ChampionWatcher, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.champion, registry.evaluation = version("1"), orjson.dumps(EVALUATION)
    watcher.look()
    restarted = ChampionWatcher(registry, tmp_path, "http://registry")
    restarted.load_kept()

    for each in (watcher, restarted):
        assert [metric.model_dump() for metric in model_card(each.current()).metrics] == FIGURES


@pytest.mark.parametrize("evaluation", [None, b"", b"{", b"{}"])
def test_version_without_readable_figures_answers_and_its_card_has_none(
    watcher: ChampionWatcher, registry: FakeRegistry, evaluation: bytes | None
) -> None:
    registry.champion, registry.evaluation = version("1"), evaluation
    watcher.look()

    assert model_card(watcher.current()).metrics == []


def test_removed_alias_ends_serving(watcher: ChampionWatcher, registry: FakeRegistry) -> None:
    registry.champion = version("1")
    watcher.look()
    registry.champion = None
    watcher.look()

    with pytest.raises(ModelNotReadyError):
        watcher.current()
