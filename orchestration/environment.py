"""Make the virtual environment: `python3 orchestration/environment.py [--dev]`.

Runs before anything is installed, so it uses the standard library alone and syntax that an old Python can read.
A second run with the same lock file returns at once.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ((3, 11), (3, 12), (3, 13))
NEEDED_BYTES = 4 * 1024**3

# the certificates that this machine trusts, as pip uses them; the second name is for older uv
TRUST_THIS_MACHINE = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}

NO_COMPILER = "A package must be compiled here and that failed: install a C compiler (Debian: apt install gcc)."

CURES = (
    (
        "No space left on device",
        "The disk is full: the environment needs 1.3 GB, with the tools of `make test` 1.9 GB. "
        "Free some space and run it again.",
    ),
    ("dns error", "Packages cannot be downloaded: no network. Check the connection or the proxy settings."),
    (
        "Failed to fetch",
        "Packages cannot be downloaded. Check the connection, the proxy and the package index settings.",
    ),
    ("gcc' failed", NO_COMPILER),
    ("cc: command not found", NO_COMPILER),
    ("No such file or directory: 'cc'", NO_COMPILER),
    ("ensurepip is not available", "Python's venv module is incomplete. Debian: apt install python3-venv."),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="with the tools that `make test` needs")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where to make it")
    options = parser.parse_args()
    lock = ROOT / ("requirements-dev.lock" if options.dev else "requirements.lock")
    try:
        install(options.venv, lock)
    except EnvironmentProblemError as problem:
        print("Error: " + str(problem), file=sys.stderr)
        return 1
    return 0


class EnvironmentProblemError(Exception):
    """The environment cannot be made; the text says what to do."""


def install(venv: Path, lock: Path) -> None:
    """Install `lock` and this project into `venv`, unless that is what it holds."""
    stamp = venv / (lock.stem + ".installed")
    wanted = hashlib.sha256(
        lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()
    ).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    size = "1.9 GB" if lock.name == "requirements-dev.lock" else "1.3 GB"
    print(
        f"Environment: installing {lock.name} into {venv} (once, {size}; half a minute on a fast line)",
        flush=True,
    )
    check_disk(venv)
    interpreter = find_interpreter()
    found = shutil.which("uv")
    if not (venv / "bin" / "python").exists():
        run(
            [interpreter, "-m", "venv", venv]
            if found is None
            else [found, "venv", "--quiet", "--python", interpreter, venv]
        )
    pip = [found or install_uv(venv), "pip", "install", "--python", venv / "bin" / "python"]
    # bytecode once, here: without it the first dbt run alone takes six seconds longer
    run([*pip, "--compile-bytecode", "--require-hashes", "-r", lock])
    run([*pip, "--quiet", "--no-deps", "--no-build-isolation", "-e", ROOT])
    stamp.write_text(wanted)
    print(f"Environment: ready after {time.monotonic() - started:.0f} s", flush=True)


def install_uv(venv: Path) -> Path:
    """Install uv into the environment; one that uv made itself, when it was on the PATH, has no pip yet."""
    python = venv / "bin" / "python"
    if not any((venv / "lib").glob("python*/site-packages/pip")):
        run([python, "-m", "ensurepip"])
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"])
    return venv / "bin" / "uv"


def check_disk(venv: Path) -> None:
    """Refuse early where the environment would not fit."""
    free = shutil.disk_usage(venv.parent).free
    if free < NEEDED_BYTES and not venv.exists():
        raise EnvironmentProblemError(
            f"The disk of {venv.parent} has {free / 1e9:.1f} GB free and about 4 GB are needed. "
            "Free some space and run it again."
        )


def find_interpreter() -> str:
    """The Python that runs this if it is one we support, else the first supported one on the PATH."""
    if sys.version_info[:2] in SUPPORTED:
        return sys.executable
    for major, minor in SUPPORTED:
        found = shutil.which(f"python{major}.{minor}")
        if found:
            return found
    names = ", ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
    raise EnvironmentProblemError(
        f"Python {names} is needed and this is {sys.version.split()[0]}. "
        "Install one of them, or name it: make up PYTHON=/path/to/python3.11"
    )


def run(command: list[str | Path]) -> None:
    """Run one step, passing its output on; a failure becomes one sentence."""
    environment = {"UV_LINK_MODE": "copy", **TRUST_THIS_MACHINE, **os.environ}
    environment.pop("VIRTUAL_ENV", None)
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if not line.startswith(" + "):  # uv's list of some 200 packages
            print("  " + line.rstrip(), flush=True)
    if process.wait() != 0:
        raise EnvironmentProblemError(explain("".join(lines), command))


def explain(output: str, command: list[str | Path]) -> str:
    """What to do about a failed step, from what it printed."""
    for sign, cure in CURES:
        if sign in output:
            return cure
    return f"`{' '.join(str(part) for part in command)}` failed; its output is above."


if __name__ == "__main__":
    sys.exit(main())
