"""Ask programs for `--help`, one after the other in one process: `python -m tests.help_of_programs MODULE ...`.

As in an environment without the developing tools, and where nothing may be done: a program that starts another or
opens a connection while it is asked fails. Prints one JSON object: for each module its exit code, or the exception
that ended it, and what it printed.
"""

import io
import json
import re
import runpy
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACTS = {"os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "socket.bind"}


def main() -> None:
    modules = sys.argv[1:]
    for name in developing_tools():
        sys.modules[name] = None  # type: ignore[assignment] - how Python marks what cannot be imported
    sys.addaudithook(_refuse_acts)
    print(json.dumps({module: ask(module) for module in modules}))


def developing_tools() -> Iterator[str]:
    """Top-level names of what `make install-dev` installs beside the packages for running."""
    running, developing = _locked("requirements.lock"), _locked("requirements-dev.lock")
    for name, packages in packages_distributions().items():
        if {_normal(package) for package in packages} <= developing - running:
            yield name


def ask(module: str) -> tuple[object, str]:
    """How `python -m MODULE --help` ends, and its output."""
    sys.argv = [module, "--help"]
    ended: object = "did not exit"
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # runpy says that some were imported before
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as end:
            ended = end.code
        except BaseException as error:  # noqa: BLE001 - told, and the next one is asked
            ended = repr(error)
    return ended, output.getvalue()


def _refuse_acts(event: str, arguments: tuple[object, ...]) -> None:
    if event in ACTS:
        raise RuntimeError(f"asked for help, it does {event} {arguments}")


def _locked(file: str) -> set[str]:
    return {_normal(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / file).read_text(), re.MULTILINE)}


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


if __name__ == "__main__":
    main()
