"""Servers beside each other: started on free ports, waited for, and stopped with all their children."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
import requests

from common.settings import ROOT, Settings

START_SECONDS = 180.0
LOADED = b" champion loaded version="  # in the log of each worker of ours


@contextmanager
def platform(settings: Settings) -> Iterator[None]:
    """Database, features and champion are there; what was not running is brought up, and down again afterwards."""
    address = f"http://{settings.host}:{settings.port}/readyz"
    if _is_ready(address):
        yield
        return
    print(f"No server is ready at {address}: `make up` first.", flush=True)
    environment = dict(os.environ)  # MLflow's client adds its address, and `down` would take it for somebody else's
    subprocess.run([sys.executable, "-m", "orchestration", "up"], cwd=ROOT, env=environment, check=True)
    try:
        yield
    finally:
        subprocess.run([sys.executable, "-m", "orchestration", "down"], cwd=ROOT, env=environment, check=False)


def _is_ready(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).status_code == 200
    except requests.RequestException:
        return False


@contextmanager
def server(
    command: Sequence[str],
    port: int,
    path: str,
    environment: Mapping[str, str] | None = None,
    *,
    words: bytes = b"",
    workers: int = 0,
) -> Iterator[psutil.Process]:
    """A server in the background until the block ends, from the moment it answers.

    Args:
        words: what each of so many workers writes into its log when it can answer. Asking is not enough to know it
            of all: on a busy machine the first to be ready takes every connection.
    """
    programs = Path(sys.executable).parent  # MLflow calls uvicorn by its name
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
            **(environment or {}),
        },
        start_new_session=True,
    )
    try:
        wait_for(port, path, process)
        _wait_until(lambda: _read(log).count(words) >= workers, process)
        yield psutil.Process(process.pid)
    except Exception:
        print(_read(log).decode(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        _stop(process)
        log.close()


def wait_for(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    """Until twelve new connections in a row meet no server error.

    Raises:
        RuntimeError: that does not happen in time.
    """
    good = 0

    def is_good() -> bool:
        nonlocal good
        try:
            status = requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code
            good = good + 1 if status < 500 else 0
        except requests.RequestException:
            good = 0
        return good == 12

    _wait_until(is_good, process)


def _wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if holds():
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not answer")


def _read(log: IO[bytes]) -> bytes:
    """What a server has written so far; its own place in the file stays."""
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and the session that it leads: some servers leave their workers behind."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The processes that answer: all children that hold more than a launcher does."""
    return [child for child in process.children(recursive=True) if child.memory_info().rss > 64 * 2**20]


def memory_of_workers(process: psutil.Process) -> int:
    """Resident memory of the largest worker, in MB."""
    return max((worker.memory_info().rss for worker in workers_of(process)), default=0) // 2**20


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
