"""A worker that takes over from another has its model first."""

import threading
from pathlib import Path

from serving.champion import ChampionWatcher, ModelVersion
from serving.worker import _warm_up
from tests.serving_parts import make_scorer


class Registry:
    """A registry with one champion, whose files come when a test lets them."""

    def __init__(self) -> None:
        self.is_asked, self.may_come = threading.Event(), threading.Event()

    def find_champion(self) -> ModelVersion:
        return ModelVersion("bechdel-test-predictor", "1", "run1")

    def download(self, _: ModelVersion, directory: Path) -> None:
        self.is_asked.set()
        assert self.may_come.wait(30)
        make_scorer().save(directory / "artifacts" / "scorer")


def test_it_waits_for_the_files_of_the_champion_that_the_registry_names(tmp_path: Path) -> None:
    registry = Registry()
    watcher = ChampionWatcher(registry, tmp_path, "http://registry")
    watcher.start()
    taking_over = threading.Thread(target=_warm_up, args=[watcher])
    taking_over.start()
    assert registry.is_asked.wait(30)

    taking_over.join(0.3)
    assert taking_over.is_alive()
    registry.may_come.set()
    taking_over.join(30)
    watcher.stop()

    assert watcher.version == "1"
