"""Background services: found again, left alone when unchanged, restarted when changed, stopped whole."""

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from common.errors import ServiceError
from orchestration.services import Service

PARENT = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Service(
        name="files",
        command=(sys.executable, "-c", PARENT, str(port)),
        environment={},
        port=port,
        port_setting="FILES_PORT",
        health_path="/",
        state_dir=tmp_path,
    )
    yield made
    made.stop()


def test_a_second_start_leaves_the_running_one_alone(service: Service) -> None:
    assert service.start()
    service.wait(20)
    first = service.process()
    assert not service.start()
    assert service.process() == first


def test_a_changed_version_is_restarted(service: Service) -> None:
    service.start()
    service.wait(20)
    first = service.process()
    newer = replace(service, version="2")
    assert newer.start()
    newer.wait(20)
    assert newer.process() != first


def test_stop_ends_the_children_too(service: Service) -> None:
    service.start()
    service.wait(20)
    process = service.process()
    assert process is not None
    family = [process, *process.children(recursive=True)]
    assert len(family) == 2
    assert service.stop()
    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    assert not service.stop()


def test_children_that_outlived_a_killed_parent_are_ended(service: Service) -> None:
    service.start()
    service.wait(20)
    process = service.process()
    assert process is not None
    (child,) = process.children()
    process.kill()
    process.wait()
    assert service.start()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_taken_port_names_the_setting_that_moves_it(service: Service) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", service.port))
        other.listen()
        with pytest.raises(ServiceError, match=r"is taken by another program.*FILES_PORT"):
            service.start()


def test_a_move_to_a_taken_port_leaves_the_running_one_alone(service: Service) -> None:
    service.start()
    service.wait(20)
    first = service.process()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        moved = replace(service, port=other.getsockname()[1])
        with pytest.raises(ServiceError, match=rf"taken by another program; files goes on at port {service.port}\."):
            moved.start()
    assert service.process() == first
    assert service.answers()
    assert not service.start()  # its record is as it was


def test_a_move_to_a_free_port_ends_the_running_one(service: Service) -> None:
    service.start()
    service.wait(20)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    moved = replace(service, port=port, command=(*service.command[:-1], str(port)))
    assert moved.start()
    moved.wait(20)
    assert not service.answers()


def test_a_program_that_ends_shows_its_last_words(service: Service) -> None:
    broken = replace(service, command=(sys.executable, "-c", "raise SystemExit('no such film')"))
    broken.start()
    with pytest.raises(ServiceError, match="no such film"):
        broken.wait(20)


RELOADABLE = """
import http.server, json, pathlib, signal, sys, threading
def reload(*_):
    pathlib.Path(sys.argv[2]).write_text(json.dumps({"failure": sys.argv[3] or None, "seconds": 0.5}))
signal.signal(signal.SIGHUP, reload)
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    signal.pause()
"""


def reloadable(service: Service, failure: str = "") -> Service:
    report = service.state_dir / "reload.json"
    command = (sys.executable, "-c", RELOADABLE, str(service.port), str(report), failure)
    return replace(service, command=command, reload_report=report)


def test_a_reloaded_service_is_the_same_process_and_of_the_new_version(service: Service) -> None:
    running = reloadable(service)
    running.start()
    running.wait(30)
    process = running.process()
    newer = replace(running, version="2")

    assert newer.reload(20) == 0.5
    assert newer.process() == process
    assert not newer.start()  # it is of this version already


def test_a_reload_that_failed_leaves_the_old_version_on_record(service: Service) -> None:
    running = reloadable(service, "a new worker does not start")
    running.start()
    running.wait(30)
    newer = replace(running, version="2")

    with pytest.raises(ServiceError, match="goes on as before: a new worker does not start"):
        newer.reload(20)
    assert newer.start()  # still to be done


def test_what_a_reload_cannot_change_says_to_restart(service: Service) -> None:
    running = reloadable(service)
    running.start()
    running.wait(30)
    with pytest.raises(ServiceError, match=r"not another address.*make up"):
        replace(running, fixed="16 threads").reload(20)


def test_there_is_nothing_to_reload_where_nothing_runs(service: Service) -> None:
    with pytest.raises(ServiceError, match=r"does not run.*make up"):
        reloadable(service).reload(20)
