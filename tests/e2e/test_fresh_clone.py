"""What a stranger does: clone, `make up`, ask, kill something, `make up` again, `make down`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from common.settings import Settings
from tests.conftest import free_port

pytestmark = pytest.mark.timeout(1800)

FILMS = 600
MAKE, GIT = shutil.which("make") or "make", shutil.which("git") or "git"


@dataclass(frozen=True)
class Clone:
    """A checkout of its own, with ports of its own."""

    folder: Path
    environment: dict[str, str]

    def make(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [MAKE, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['PORT']}"

    @property
    def database_url(self) -> str:
        return f"postgresql://bechdel@127.0.0.1:{self.environment['EMBEDDED_DB_PORT']}/bechdel"

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def predict(self, **body: object) -> requests.Response:
        return requests.post(f"{self.url}/api/v1/predictions", json=body, timeout=30)

    def processes(self) -> list[str]:
        """Command lines of the living processes that run from this checkout or hold its database."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = " ".join(process.info["cmdline"] or ())
            if str(self.folder) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(line)
        return found


def copy_checkout(root: Path, target: Path) -> None:
    """The files that git would clone, as they are in the working tree."""
    listed = subprocess.run(
        [GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    folder = tmp_path_factory.mktemp("stranger") / "bechdel"
    copy_checkout(root, folder)
    names = {name.upper() for name in Settings.model_fields} | {"VIRTUAL_ENV", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    ports = {name: str(free_port()) for name in ("PORT", "MLFLOW_PORT", "EMBEDDED_DB_PORT")}
    made = Clone(folder, {**environment, **ports, "MOVIES_SOURCE": "sample", "SAMPLE_FILMS": str(FILMS)})
    yield made
    made.make("clean", check=False)


def test_the_server_is_up_before_any_model_and_says_what_to_run(clone: Clone) -> None:
    clone.make("init-infra")
    ready = requests.get(f"{clone.url}/readyz", timeout=10)
    assert ready.status_code == 503
    assert "make train-model" in ready.text
    assert "make train-model" in requests.get(clone.url, timeout=10).text
    assert requests.get(f"{clone.url}/healthz", timeout=10).status_code == 200


def test_it_serves_within_ten_seconds_of_train_model(clone: Clone) -> None:
    before = requests.get(f"{clone.url}/healthz", timeout=10)
    assert before.status_code == 200
    clone.make("train-model")
    deadline = time.monotonic() + 10
    while requests.get(f"{clone.url}/readyz", timeout=10).status_code != 200:
        assert time.monotonic() < deadline, "no model within 10 s of make train-model"
        time.sleep(0.5)


def test_up_ends_with_a_page_that_answers(clone: Clone) -> None:
    printed = clone.make("up").stdout
    assert clone.url in printed
    assert clone.rows("select count(*) from raw.movies") == [(FILMS,)]
    (film,) = clone.rows("select movie_id, title, year from marts.dim_movies order by movie_id limit 1")
    answer = clone.predict(tmdb_id=film[0])
    assert answer.status_code == 200
    prediction = answer.json()["prediction"]
    assert sum(prediction["rating_probabilities"].values()) == pytest.approx(1)
    assert prediction["probability"] == pytest.approx(prediction["rating_probabilities"]["3"])
    page = requests.post(clone.url, data={"title": film[1]}, timeout=30)
    assert page.status_code in {200, 300}
    assert "synthetic" in page.text.lower()


def test_the_readmes_question_is_answered(clone: Clone) -> None:
    [question] = re.findall(r"/predictions .*-d '(.*)'", (clone.folder / "README.md").read_text(encoding="utf-8"))

    answer = clone.predict(**json.loads(question))

    assert answer.status_code == 200, answer.text
    assert answer.json()["movie"]["synthetic"]


def test_predict_prints_the_same_answer_in_the_terminal(clone: Clone) -> None:
    ((title, year),) = clone.rows(
        "select title, year from marts.dim_movies where title ~ '^[A-Za-z ]+$' and title in "
        "(select title from marts.dim_movies group by title having count(*) = 1) order by movie_id limit 1"
    )
    printed = clone.make("predict", f"TITLE={title}", f"YEAR={year}").stdout
    probability = clone.predict(title=title, year=year).json()["prediction"]["probability"]
    assert f"{probability:.0%}" in printed


def test_an_unknown_film_is_a_clear_answer(clone: Clone) -> None:
    answer = clone.predict(tmdb_id=999999999)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    printed = clone.make("predict", "TITLE=No Such Film At All", check=False)
    assert printed.returncode != 0
    assert "No Such Film At All" in printed.stderr


def test_a_second_up_changes_nothing(clone: Clone) -> None:
    before = clone.rows(
        "select max(load_id), (select json_agg(s order by step) from ops.step_runs s)::text from raw.loads"
    )
    servers = sorted(clone.processes())
    printed = clone.make("up").stdout
    assert printed.count("unchanged") == 4
    after = clone.rows(
        "select max(load_id), (select json_agg(s order by step) from ops.step_runs s)::text from raw.loads"
    )
    assert after == before
    assert sorted(clone.processes()) == servers


def test_up_mends_what_kill_9_broke(clone: Clone) -> None:
    option = f"-cport={clone.environment['EMBEDDED_DB_PORT']}"
    postmaster = next(
        process for process in psutil.process_iter(["cmdline"]) if option in (process.info["cmdline"] or ())
    )
    postmaster.kill()
    server = json.loads((clone.folder / ".local" / "run" / "server.json").read_text())["pid"]
    os.kill(server, signal.SIGKILL)
    clone.make("up")
    deadline = time.monotonic() + 10
    while {requests.get(f"{clone.url}/readyz", timeout=10).status_code for _ in range(8)} != {200}:
        assert time.monotonic() < deadline, "a worker is not ready"
        time.sleep(0.5)
    assert clone.rows("select count(*) from raw.movies") == [(FILMS,)]


def test_by_hand_commands_work_without_our_wrapper(clone: Clone) -> None:
    environment = {**clone.environment, "DB_CONNECTION_STRING": clone.database_url}
    for command in (
        ["dbt", "build", "--project-dir", "dbt_project", "--profiles-dir", "dbt_project", "--select", "dim_movies"],
        ["feast", "-c", "feature_repo", "apply"],
        ["feast", "-c", "feature_repo", "materialize-incremental", "2030-01-01T00:00:00"],
    ):
        program = clone.folder / ".venv" / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=clone.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_taken_port_is_one_sentence(clone: Clone) -> None:
    clone.make("down")
    taken = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", clone.environment["PORT"]],
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        done = clone.make("init-infra", check=False)
    finally:
        taken.terminate()
        taken.wait()
    assert done.returncode != 0
    assert "is taken by another program" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_leaves_no_process(clone: Clone) -> None:
    clone.make("down")
    assert clone.processes() == []
