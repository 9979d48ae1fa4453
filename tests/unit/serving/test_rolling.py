"""Which workers serve after a reload; with real processes in tests/integration/test_restart.py."""

from functools import partial
from typing import Any

import pytest
from flask import Flask

from serving.rolling import RollingServer, load_worker


class Worker:
    """A process that is ready at once."""

    def __init__(self, *, survives: bool = True, callback_loader: Any = None) -> None:
        self.survives, self.is_started, self.ready = survives, False, callback_loader
        self.interrupt_by_parent = False

    def start(self) -> None:
        self.is_started = True
        self.ready.keywords["ready"].set()

    def is_alive(self) -> bool:
        return self.is_started and self.survives


class Server(RollingServer):
    """Two workers that are no processes; `survive` says which of the new ones live on."""

    def __init__(self, *survive: bool) -> None:
        self.workers, self.wrks, self._load = 2, [Worker(), Worker()], partial(load_worker, Flask, 1)
        self.survive, self.ended = survive, list[Any]()

    def _spawn_worker(self, *, idx: int, target: Any, callback_loader: Any) -> Worker:
        del target
        return Worker(survives=self.survive[idx], callback_loader=callback_loader)

    def _end(self, workers: Any) -> None:
        self.ended += workers


def test_after_a_reload_the_new_workers_serve_and_granian_watches_them() -> None:
    server = Server(True, True)
    before = list(server.wrks)

    assert server._replace_all(None) is None
    assert server.ended == before
    assert not set(server.wrks) & set(before)
    assert [worker.interrupt_by_parent for worker in server.wrks] == [False, False]


@pytest.mark.parametrize("survive", [(False, True), (True, False)])
def test_when_a_new_worker_ends_before_the_change_the_old_ones_stay(survive: tuple[bool, bool]) -> None:
    server = Server(*survive)
    before = list(server.wrks)

    assert "ended" in str(server._replace_all(None))
    assert server.wrks == before
    assert not set(server.ended) & set(before)
    assert len(server.ended) == 2
