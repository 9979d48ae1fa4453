"""How long a first visit takes: `python -m benchmarks.first_run [--movies CSV --payloads JSONL]`.

Copies the checkout into an empty folder, runs `make up` there twice with ports of its own, and takes everything down
again. With `--movies` it also times the steps on that file in the same copy: load, dbt build, training.
Writes reports/first_run.json.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--movies", type=Path, help="also time the steps on this csv in Kaggle's layout")
    parser.add_argument("--payloads", type=Path, help="TMDB-shaped JSON lines that belong to --movies")
    options = parser.parse_args()
    with fresh_copy() as folder:
        seconds = measure_sample(folder)
        if options.movies:
            seconds |= measure_films(folder, options.movies.resolve(), options.payloads)
    print_table(seconds)
    (ROOT / "reports").mkdir(exist_ok=True)
    (ROOT / "reports" / "first_run.json").write_text(json.dumps(seconds, indent=2) + "\n")


@contextmanager
def fresh_copy() -> Iterator[Path]:
    """An empty folder with the files that git tracks; what was started in it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="bechdel-first-run-") as name:
        folder = Path(name) / "clone"
        listed = _output(["git", "ls-files", "-z"], ROOT)
        for path in filter(None, listed.split("\0")):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
        try:
            yield folder
        finally:
            subprocess.run([_program("make"), "down"], cwd=folder, env=_environment(folder), check=False)


def measure_sample(folder: Path) -> dict[str, float]:
    """Seconds of the first and of the second `make up` on the synthetic sample."""
    settings = {"MOVIES_SOURCE": "sample"}
    return {
        "first make up, sample, environment included": _timed(["make", "up"], folder, settings),
        "second make up": _timed(["make", "up"], folder, settings),
    }


def measure_films(folder: Path, movies: Path, payloads: Path | None) -> dict[str, float]:
    """Seconds of each step on a file of films: its first load, a full dbt build, training with both splits."""
    settings = {"MOVIES_SOURCE": str(movies), "TMDB_PAYLOADS": str(payloads.resolve()) if payloads else ""}
    python, dbt = (str(folder / ".venv" / "bin" / name) for name in ("python", "dbt"))
    where = ["--project-dir", "dbt_project", "--profiles-dir", "dbt_project"]
    # by hand, dbt and Feast read the address itself
    port = _environment(folder)["EMBEDDED_DB_PORT"]
    settings["DB_CONNECTION_STRING"] = f"postgresql://bechdel@127.0.0.1:{port}/bechdel"
    return {
        "load into raw.movies": _timed([python, "-m", "ingestion", "load"], folder, settings),
        "dbt build": _timed([dbt, "build", "--quiet", *where], folder, settings),
        "publish into Feast": _timed([python, "feature_repo/publish.py"], folder, settings),
        "training, both splits": _timed([python, "-m", "training", "train"], folder, settings),
    }


def print_table(seconds: Mapping[str, float]) -> None:
    width = max(map(len, seconds))
    for name, value in seconds.items():
        print(f"{name:{width}}  {value:6.1f} s")


def _timed(command: list[str], folder: Path, settings: Mapping[str, str]) -> float:
    print(f"$ {' '.join(command)}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [_program(command[0]), *command[1:]], cwd=folder, env=_environment(folder) | settings, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"Error: `{' '.join(command)}` failed with exit code {done.returncode}, see above.")
    return time.monotonic() - started


def _environment(folder: Path) -> dict[str, str]:
    """The caller's environment with ports of this copy's own, the same for every command in it."""
    ports = folder / "ports.json"
    if not ports.exists():
        names = ("PORT", "MLFLOW_PORT", "EMBEDDED_DB_PORT")
        ports.write_text(json.dumps(dict(zip(names, _free_ports(len(names)), strict=True))))
    chosen = json.loads(ports.read_text())
    unset = dict.fromkeys(("DB_CONNECTION_STRING", "STATE_DIR", "MLFLOW_TRACKING_URI", "TMDB_PAYLOADS"), "")
    return {**os.environ, **unset, **chosen}


def _free_ports(count: int) -> list[str]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _program(name: str) -> str:
    return shutil.which(name) or name


def _output(command: list[str], folder: Path) -> str:
    return subprocess.run(
        [_program(command[0]), *command[1:]], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
