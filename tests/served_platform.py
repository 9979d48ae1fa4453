"""A whole server in processes of its own, and what it stands on in the hands of a test: registry, network, TMDB."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import requests

from common.scoring import Scorer
from tests.conftest import free_port
from tests.feature_films import ROOT

MODEL = "bechdel-test-predictor"
START_SECONDS = 90


class FakeRegistry:
    """MLflow's registry as far as a server asks it: who is champion, and where its files are.

    Attributes:
        champion: the version that bears the alias; None for none.
        is_wrong: it answers with a page for people, as a proxy or another program at its address does.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.champion, self.is_wrong = folder, None, False
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                status, answer = registry.answer(address.path, parse_qs(address.query))
                body, kind = json.dumps(answer).encode(), "application/json"
                if registry.is_wrong:
                    status, body, kind = 200, b"<html>Sign in</html>", "text/html"
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    champion: str | None

    def add(self, version: str, scorer: Scorer, evaluation: dict[str, Any], *, broken: bool = False) -> None:
        """A version's files, and the evaluation in its run."""
        scorer.save(self.folder / version / "scorer")
        self._run_folder(f"run{version}").mkdir(parents=True)
        (self._run_folder(f"run{version}") / "evaluation.json").write_text(json.dumps(evaluation))
        if broken:
            (self.folder / version / "scorer" / "scorer.json").write_text("{")

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """MLflow's REST API, https://mlflow.org/docs/latest/api_reference/rest-api.html."""
        if path.endswith("/registered-models/alias") and self.champion:
            return 200, {"model_version": self._describe(self.champion)}
        if path.endswith("/registered-models/get"):
            return 200, {"registered_model": {"name": MODEL}}
        if path.endswith("/model-versions/get"):
            return 200, {"model_version": self._describe(query["version"][0])}
        if path.endswith("/model-versions/get-download-uri"):
            return 200, {"artifact_uri": str(self.folder / query["version"][0])}
        if path.endswith("/runs/get"):
            run = query["run_id"][0]
            return 200, {"run": {"info": {"run_id": run, "artifact_uri": str(self._run_folder(run))}}}
        return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "There is none."}

    def _run_folder(self, run_id: str) -> Path:
        return self.folder / "runs" / run_id

    def _describe(self, version: str) -> dict[str, Any]:
        return {
            "name": MODEL, "version": version, "run_id": f"run{version}", "creation_timestamp": 1_700_000_000_000,
            "last_updated_timestamp": 1_700_000_000_000, "status": "READY", "current_stage": "None",
            "source": str(self.folder / version),
        }  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Wire:
    """A TCP line to another port that can be cut (refused and closed) or silenced (taken, and never answered)."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.is_cut = self.is_silent = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        self.is_cut = True
        for pair in self._pairs:
            _hang_up(pair)
        self._pairs.clear()

    def silence(self) -> None:
        """Pass nothing on."""
        self.is_silent = True

    def mend(self) -> None:
        """As new."""
        self.is_cut = self.is_silent = False

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.is_cut:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while self.is_silent:
                    time.sleep(0.05)
                sink.sendall(data)
        _hang_up((source, sink))


def _hang_up(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


class RunningServer:
    """`python -m serving run` and what a client wants of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, question: dict[str, Any], *, session: Any = requests) -> requests.Response:
        answer: requests.Response = session.post(f"{self.url}/api/v1/predictions", json=question, timeout=30)
        return answer

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=30)

    def workers(self) -> set[int]:
        """Process ids, without that of multiprocessing's own helper; one that died and was replaced has another."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        living = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return {child.pid for child in living if "spawn_main" in " ".join(child.cmdline())}


@dataclass(frozen=True)
class Answer:
    """What a client was told of a film.

    Attributes:
        at: seconds of the monotonic clock, the same in all processes.
    """

    at: float
    film: int
    version: str
    probability: float


def wait_for(start: Barrier) -> None:
    """Until all the processes have started, which takes seconds."""
    start.wait(60)


def ask_until_all_hear(server_url: str, films: list[int], version: str, clients: int, seconds: float) -> list[Answer]:
    """Ask with many clients until a model version has given two answers to each in a row, at most for `seconds`.

    Meant for a process of its own: in that of the test the clients would slow the server's wires and registry.
    """
    deadline = time.monotonic() + seconds
    answers: list[Answer] = []

    def is_heard() -> bool:
        return [answer.version for answer in answers[-2 * clients :]].count(version) == 2 * clients

    def client(number: int) -> None:
        with requests.Session() as session:
            while time.monotonic() < deadline and not is_heard():
                answers.extend(_ask_films(session, server_url, films, number := number + 1))

    with ThreadPoolExecutor(clients) as pool:
        for run in [pool.submit(client, 25 * number) for number in range(clients)]:
            run.result()
    return answers


def _ask_films(session: requests.Session, server_url: str, films: list[int], number: int) -> list[Answer]:
    """One film, or each third time a batch of which every film has the same model."""
    few = [{"tmdb_id": films[(number + place) % len(films)]} for place in range(3)]
    question = {"movies": few} if number % 3 == 0 else few[0]
    response = session.post(f"{server_url}/api/v1/predictions", json=question, timeout=30)
    assert response.status_code == 200, response.text
    predictions = response.json().get("predictions") or [response.json()]
    assert len({one["model"]["version"] for one in predictions}) == 1
    at = time.monotonic()
    return [
        Answer(at, one["movie"]["tmdb_id"], one["model"]["version"], one["prediction"]["probability"])
        for one in predictions
    ]


@contextmanager
def running_server(folder: Path, *, workers: int = 2, **environment: str) -> Iterator[RunningServer]:
    """A server from the moment when all its workers are ready until the block ends."""
    port, log = free_port(), folder / "server.log"
    settings = {"PORT": str(port), "HOST": "127.0.0.1", "STATE_DIR": str(folder / "state"), "LOG_LEVEL": "INFO"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving", "run", "--workers", str(workers)],
            cwd=ROOT,
            env={**os.environ, **settings, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = RunningServer(process, port, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_ready(server: RunningServer) -> None:
    """Twelve new connections in a row meet a ready worker."""
    deadline, good, said = time.monotonic() + START_SECONDS, 0, ""
    while good < 12:
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, said
        try:
            answer = server.get("/readyz")
        except requests.RequestException:
            good = 0
            time.sleep(0.3)
        else:
            good, said = (good + 1, "") if answer.status_code == 200 else (0, answer.text)
            time.sleep(0.05 if good else 0.3)
