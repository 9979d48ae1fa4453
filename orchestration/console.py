"""How a run shows itself: a line when a step starts, its time when it ends, a spinner between on a terminal."""

import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.status import Status

from common.errors import PlatformError

console = Console(highlight=False, soft_wrap=True)


class StepFailedError(PlatformError):
    """A step's command ended with an error."""


class Step:
    """One step of a run, while it runs."""

    def __init__(self, title: str, status: Status | None) -> None:
        self._title = title
        self._status = status
        self.result = ""

    def show(self, line: str) -> None:
        """Show the newest line of progress (on a terminal only)."""
        if self._status is not None:
            self._status.update(f"{self._title}  [dim]{line[-100:]}[/dim]")


class Progress:
    """Numbers the steps of one run."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time the body and print one line for it; the body may set `result`, what came out."""
        self._number += 1
        title = f"[{self._number}/{self._total}] {title}"
        started = time.monotonic()
        if console.is_terminal:
            with console.status(title) as status:
                step = Step(title, status)
                yield step
        else:
            console.print(f"{title} ...", markup=False)
            step = Step(title, None)
            yield step
        seconds = time.monotonic() - started
        console.print(f"{title}: {step.result or 'done'} ({seconds:.1f} s)", markup=False)


def run_command(command: Sequence[str], *, environment: Mapping[str, str], log: Path, step: Step) -> list[str]:
    """Run a step's command, its output going to `log` and its newest line to the screen.

    Returns:
        The last lines that it printed, at most 40.

    Raises:
        StepFailedError: when it ends with an error; its text is the command's own last words.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    last: deque[str] = deque(maxlen=40)
    with (
        log.open("w") as file,
        subprocess.Popen(
            command,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            if line.strip():
                last.append(line.rstrip())
                step.show(line.strip())
    if process.returncode != 0:
        raise StepFailedError(f"{_last_words(last)} The whole output: {log}")
    return list(last)


def _last_words(lines: Sequence[str]) -> str:
    """The line that says what is wrong: our own `Error:` line if there is one, else the end of the output."""
    for line in reversed(lines):
        if line.startswith("Error: "):
            return line.removeprefix("Error: ")
    return "\n".join(["the step failed; its last lines:", *list(lines)[-12:], ""])
