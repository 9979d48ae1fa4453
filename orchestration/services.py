"""Background services: started once, found again by pid and start time, stopped whole."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from common.errors import ServiceError

STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Service:
    """A server that runs in the background.

    Attributes:
        name: for people, and for its files below `state_dir`.
        command: the program and its arguments.
        environment: its whole environment.
        port: the TCP port on 127.0.0.1 that it takes.
        port_setting: the setting that moves it to another port.
        health_path: answers 200 when the service is up.
        state_dir: its pid goes to `run/<name>.json`, its output to `logs/<name>.log`.
        version: changes when a running one no longer does what the settings and the code say.
        fixed: the part of it that `reload()` cannot bring to a running one.
        reload_report: where it says how a reload went; None when it knows none.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    port_setting: str
    health_path: str
    state_dir: Path
    version: str = ""
    fixed: str = ""
    reload_report: Path | None = None

    @property
    def url(self) -> str:
        """Where it answers on this machine."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.state_dir / "logs" / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.state_dir / "run" / f"{self.name}.json"

    def process(self) -> psutil.Process | None:
        """The running process that we started, if it lives."""
        leader = self._leader()
        return leader if leader is not None and _lives(leader) else None

    def start(self) -> bool:
        """Start it in the background, or leave a running one of the same version; returns whether it was started.

        Raises:
            ServiceError: when another program holds the port; a running one that has another port goes on then.
        """
        running, record = self.process() is not None, self._read_record()
        if running and record.get("version") == self._fingerprint:
            return False
        own_port = record.get("port", self.port)  # while it holds the port itself, nobody else can
        if running and own_port != self.port:
            self._check_port(f"; {self.name} goes on at port {own_port}")
        self.stop()
        self._check_port()
        self._spawn()
        return True

    def wait(self, seconds: float, *, healthy: Callable[[], bool] | None = None) -> None:
        """Wait until it answers.

        Args:
            seconds: how long at most.
            healthy: asked instead of the health path.

        Raises:
            ServiceError: when it ends or does not answer in time; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (healthy or self.answers)():
                return
            if self.process() is None:
                raise ServiceError(f"{self.name} ended at its start: {self._last_words()} Its log: {self.log}")
            time.sleep(0.2)
        raise ServiceError(f"{self.name} does not answer within {seconds:.0f} s. Its log: {self.log}")

    def reload(self, seconds: float) -> float:
        """Have a running one take over the code and the settings of now, without a pause (SIGHUP).

        Args:
            seconds: how long at most.

        Returns:
            The seconds that it took.

        Raises:
            ServiceError: when it does not run, cannot take over such a change, or says that it failed.
        """
        process, record = self.process(), self._read_record()
        if process is None or self.reload_report is None:
            raise ServiceError(f"{self.name} does not run, so there is nothing to reload. Start it: make up")
        if record.get("fixed") != _hash(self.fixed):
            raise ServiceError(
                f"{self.name} takes new code and .env while it runs, but not another address, number of workers or "
                "threads, database, MLflow, or variable of the environment. Restart it: make up"
            )
        self.reload_report.unlink(missing_ok=True)
        process.send_signal(signal.SIGHUP)
        report = self._await_report(self.reload_report, seconds)
        if report["failure"]:
            raise ServiceError(f"{self.name} goes on as before: {report['failure']}. Its log: {self.log}")
        self._record.write_text(json.dumps({**record, "version": self._fingerprint}))
        return float(report["seconds"])

    def _await_report(self, file: Path, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if file.exists():
                report: dict[str, Any] = json.loads(file.read_text())
                return report
            if self.process() is None:
                raise ServiceError(f"{self.name} ended: {self._last_words()} Its log: {self.log}")
            time.sleep(0.1)
        raise ServiceError(f"{self.name} has not reloaded within {seconds:.0f} s. Its log: {self.log}")

    def answers(self) -> bool:
        """Whether the health path answers 200."""
        try:
            return requests.get(self.url + self.health_path, timeout=2).ok
        except requests.RequestException:
            return False

    def stop(self) -> bool:
        """Stop it with all its children, also those that outlived it; returns whether there was anything to stop."""
        process = self.process()
        family = self._family()
        self._record.unlink(missing_ok=True)
        if process is not None:
            _end([process])
        _end([member for member in family if member.is_running()])
        return bool(process or family)

    def _check_port(self, consequence: str = "") -> None:
        if _port_answers(self.port):
            raise ServiceError(
                f"Port {self.port} for {self.name} is taken by another program{consequence}. "
                f"Stop that one, or choose another port: {self.port_setting}=5050 make up"
            )

    @property
    def _fingerprint(self) -> str:
        return _hash(json.dumps([self.command, self.port, self.version]))

    def _read_record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return {}
        return record

    def _leader(self) -> psutil.Process | None:
        """The process that we started, alive or a zombie; None when its number is free or somebody else's."""
        record = self._read_record()
        try:
            process = psutil.Process(record["pid"])
            return process if process.create_time() == record["create_time"] else None
        except (KeyError, psutil.Error):
            return None

    def _family(self) -> list[psutil.Process]:
        """The living processes of the session that we started, whose leader may be dead already."""
        pid = self._read_record().get("pid")
        if pid is None or (psutil.pid_exists(pid) and self._leader() is None):
            return []  # after a reboot the number may be somebody else's
        return [member for member in psutil.process_iter() if _session(member.pid) == pid and _lives(member)]

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._record.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        record = {
            "pid": child.pid,
            "create_time": psutil.Process(child.pid).create_time(),
            "version": self._fingerprint,
            "fixed": _hash(self.fixed),
            "port": self.port,
        }
        self._record.write_text(json.dumps(record))
        child.returncode = 0  # it is meant to outlive us: nobody waits for it, and Popen need not warn

    def _last_words(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it printed nothing."


def _hash(facts: str) -> str:
    return hashlib.sha256(facts.encode()).hexdigest()


def _port_answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _end(processes: list[psutil.Process]) -> None:
    """Ask them to end; kill what does not."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, STOP_SECONDS)
    for survivor in alive:
        survivor.kill()
    psutil.wait_procs(alive, STOP_SECONDS)
