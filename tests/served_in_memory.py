"""The server with films in memory, run as the real one is: two processes of RollingServer on a port.

`python -c "from tests.served_in_memory import main; main()" PORT VERSION_FILE`; the file's text is sent as X-Version.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests
from flask import Flask, Response

from serving.rolling import RollingServer
from tests.conftest import ROOT, free_port
from tests.serving_parts import Platform

WORKERS = 2


def make_app(version_file: Path, *, warm: bool = False) -> Flask:
    """The application of one worker; a version called `broken` cannot start.

    One called `half` starts once; the second worker fails when the first has answered somebody.
    """
    version = version_file.read_text()
    answered, is_first = version_file.with_name(f"{version}-answered"), not started(version_file, version)
    if version == "half" and not is_first:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not answered.exists():
            time.sleep(0.1)
    if version == "broken" or (version == "half" and not is_first):
        raise RuntimeError("this version does not start")
    version_file.with_name(f"{version}-started-{os.getpid()}").touch()
    app = Platform().app

    @app.after_request
    def name_version(response: Response) -> Response:
        answered.touch()
        response.headers["X-Version"] = version
        response.headers["X-Warm"] = str(warm)
        return response

    return app


def started(version_file: Path, version: str) -> int:
    """How many workers have begun to make this version."""
    return len(list(version_file.parent.glob(f"{version}-started-*")))


def main() -> None:
    port, version_file = int(sys.argv[1]), Path(sys.argv[2])
    make = partial(make_app, version_file)
    report = version_file.with_name("reload.json")
    RollingServer(make, host="127.0.0.1", port=port, workers=WORKERS, threads=4, report=report).run()


@dataclass
class Served:
    """A running one."""

    process: subprocess.Popen[bytes]
    port: int
    version_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def report(self) -> Path:
        return self.version_file.with_name("reload.json")

    def reload(self, version: str) -> None:
        self.version_file.write_text(version)
        self.report.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGHUP)

    def has_reloaded(self) -> bool:
        return self.report.exists()


@contextmanager
def serve(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run it until the block ends."""
    port, version_file = free_port(), folder / "version"
    version_file.write_text("1")
    command = [sys.executable, "-c", "from tests.served_in_memory import main; main()", str(port), str(version_file)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        )
    served = Served(process, port, version_file)
    try:
        _wait_for(served)
        yield served
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(served: Served) -> None:
    """Until it answers and every worker has read its version: a late one would start with the next."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and served.process.poll() is None:
        try:
            requests.get(f"{served.url}/healthz", timeout=5)
        except requests.RequestException:
            time.sleep(0.1)
            continue
        if started(served.version_file, "1") == WORKERS:
            return
        time.sleep(0.1)
    raise AssertionError(f"the server does not answer: {served.version_file.with_name('server.log').read_text()}")
