"""The server is restarted under load, and no request is lost."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import requests

from benchmarks.restart import Seen, ask_until, question
from serving import rolling
from tests.served_in_memory import Served, serve

FILM = question(b'{"tmdb_id": 109445}')


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path) as running:
        yield running


def workers_of(served: Served) -> set[int]:
    """The processes that hold connections: those of multiprocessing's spawn, without its resource tracker."""
    children = psutil.Process(served.process.pid).children()
    living = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return {child.pid for child in living if "spawn_main" in " ".join(child.cmdline())}


async def reload_under_load(served: Served, *versions: str, newcomers: bool = False) -> Seen:
    """What 8 clients see while the server takes over one version after the other; also others that come meanwhile."""
    stop = asyncio.Event()
    clients = [asyncio.create_task(ask_until(stop, served.port, [FILM], clients=8))]
    await asyncio.sleep(0.5)
    for version in versions:
        served.reload(version)
        async with asyncio.timeout(120):
            while not served.has_reloaded():
                await asyncio.sleep(0.4 if newcomers else 0.1)
                if newcomers:
                    clients.append(asyncio.create_task(ask_until(stop, served.port, [FILM], clients=1)))
    await asyncio.sleep(0.5)
    stop.set()
    return add_up(await asyncio.gather(*clients))


def add_up(parts: Sequence[Seen]) -> Seen:
    """What several groups of clients saw."""
    outcomes = sum((part.outcomes for part in parts), Counter[str]())
    return Seen(outcomes=outcomes, versions=sum((part.versions for part in parts), Counter[str]()))


def test_two_restarts_under_load_lose_no_request_and_cut_no_connection(served: Served) -> None:
    before = workers_of(served)
    seen = asyncio.run(reload_under_load(served, "2", "3"))

    assert len(before) == 2
    assert seen.failed == {}
    assert seen.outcomes["stale"] == 0  # not even what a client may ask again
    assert seen.outcomes["ok"] > 500
    assert set(seen.versions) == {"1", "2", "3"}
    assert workers_of(served).isdisjoint(before)
    assert len(workers_of(served)) == 2
    assert requests.get(f"{served.url}/healthz", timeout=5).headers["X-Warm"] == "True"


def test_a_version_that_does_not_start_leaves_the_old_one_serving(served: Served) -> None:
    before = workers_of(served)
    seen = asyncio.run(reload_under_load(served, "broken"))

    assert "does not start" in json.loads(served.report.read_text())["failure"]
    assert seen.failed == {}
    assert set(seen.versions) == {"1"}
    assert workers_of(served) == before


def test_when_the_second_worker_does_not_start_the_first_new_one_goes_too(served: Served) -> None:
    before = workers_of(served)
    seen = asyncio.run(reload_under_load(served, "half", newcomers=True))

    assert "new worker 2 of 2 does not start" in json.loads(served.report.read_text())["failure"]
    assert seen.failed == {}
    assert seen.outcomes["stale"] == 0
    assert "half" in seen.versions  # it did answer, before it was taken away
    assert workers_of(served) == before
    assert {requests.get(f"{served.url}/healthz", timeout=5).headers["X-Version"] for _ in range(20)} == {"1"}


def test_make_restart_waits_as_long_as_a_reload_may_take() -> None:
    assert rolling.longest_reload(64) > 64 * rolling.READY_SECONDS + rolling.DRAIN_SECONDS + rolling.END_SECONDS


def test_a_worker_that_dies_is_replaced(served: Served) -> None:
    victim = min(workers_of(served))
    os.kill(victim, signal.SIGKILL)
    asyncio.run(_until(lambda: len(workers_of(served) - {victim}) == 2))
    assert requests.get(f"{served.url}/healthz", timeout=30).ok


def test_stopping_answers_what_was_asked_and_leaves_nobody_behind(served: Served) -> None:
    workers = workers_of(served)

    async def stop_under_load() -> Seen:
        stop = asyncio.Event()
        load = asyncio.create_task(ask_until(stop, served.port, [FILM], clients=8))
        await asyncio.sleep(0.5)
        served.process.terminate()
        await asyncio.sleep(1)  # while it says goodbye to its clients it still answers
        stop.set()
        return await load

    seen = asyncio.run(stop_under_load())
    assert seen.failed == {}
    assert served.process.wait(30) == 0
    assert [pid for pid in workers if psutil.pid_exists(pid)] == []


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.2)
