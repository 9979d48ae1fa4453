"""What the benchmarks of the server make of their numbers."""

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import requests

from benchmarks.serving.endurance import BOUND_MB, growth, judge, wishes
from benchmarks.serving.report import as_page, as_table
from benchmarks.serving.servers import free_port, platform, server
from common.errors import ServiceError
from common.settings import Settings

FIGURES = {"p50_ms": 1.25, "p99_ms": 20.0, "rps": 1234.5}


def test_memory_counts_after_the_warm_tenths_and_of_the_worst_worker() -> None:
    assert growth({1: [100, 180, 200, 201], 2: [100, 150, 160, 175]}) == 15


@pytest.mark.parametrize(
    ("readings", "failures", "complaint"),
    [
        ({1: [100.0, 100.0, 100.0, 101.0 + BOUND_MB]}, Counter[str](), "memory grew by 31"),
        ({1: [100.0, 100.0, 100.0, 100.0]}, Counter({"GET / answered 500": 2}), "2 x GET / answered 500"),
        ({}, Counter[str](), "no worker"),
    ],
)
def test_growth_and_failures_end_the_run_with_a_sentence(
    readings: dict[int, list[float]], failures: Counter[str], complaint: str
) -> None:
    with pytest.raises(ServiceError, match=complaint):
        judge(readings, failures)


def test_wishes_hold_good_and_bad_requests_and_are_the_same_each_time() -> None:
    first, second = (list(itertools.islice(wishes(list(range(1, 50))), 2000)) for _ in range(2))

    assert first == second
    assert {wish.status for wish in first} == {200, 400, 404, 405, 422}


def test_table_has_a_line_for_each_path_that_a_peer_has() -> None:
    peer = {"cold": {"c1": FIGURES}, "batch_100_ms": 51.2}
    machine = {"cores": 2, "workers": 2, "films": 2000, "source": "made-up films", "load_before": 0.1}
    report = {"ours": peer, "mlflow": {"cached": {"c8": FIGURES}}, "machine": machine}

    lines = as_table(report).splitlines()

    assert [line.split("|")[1].strip() for line in lines[2:4]] == ["everything cold, 1", "asked before, 8"]
    assert "1.2 / 20.0, 1,234/s" in lines[2]
    assert "2 cores, 2 workers" in as_page(report)


def test_a_measurement_that_fails_on_a_running_platform_fails_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    ready = requests.Response()
    ready.status_code = 200
    monkeypatch.setattr(requests, "get", lambda *_, **__: ready)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: started.append(command))

    with pytest.raises(requests.ConnectionError), platform(Settings(_env_file=None)):
        raise requests.ConnectionError

    assert started == []  # neither brought up again nor taken down


LATE_WORKERS = """
import http.server, pathlib, sys, threading, time
http.server.SimpleHTTPRequestHandler.log_message = lambda *_: None
def become_ready():
    print("ready 1", flush=True)
    time.sleep(3)
    pathlib.Path(sys.argv[2]).touch()
    print("ready 2", flush=True)
threading.Thread(target=become_ready).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_a_server_of_which_one_worker_answers_all_is_not_ready_before_the_other_says_so(
    tmp_path: Path,
) -> None:
    port, second_is_ready = free_port(), tmp_path / "ready"
    command = [sys.executable, "-c", LATE_WORKERS, str(port), str(second_is_ready)]
    with server(command, port, "/", words=b"ready", workers=2):
        assert second_is_ready.exists()


def test_a_server_that_ends_at_its_start_is_told() -> None:
    with pytest.raises(RuntimeError, match="does not answer"), server([sys.executable, "-c", ""], free_port(), "/"):
        pass
