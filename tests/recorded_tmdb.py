"""TMDB's recorded answers, replayed by their own server: they may not be redistributed and lie elsewhere."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.fake_tmdb import TOKEN


@contextmanager
def recorded_tmdb(shared_data: Path, *options: str) -> Iterator[int]:
    """The port at which it answers until the block ends."""
    stub = shared_data.parent / "tmdb" / "stub_server.py"
    if not stub.exists():
        pytest.skip(f"{stub.name} with TMDB's recorded answers is not here: they may not be redistributed")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(stub), "--port", str(port), "--token", TOKEN, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nothing listens at {port}")
