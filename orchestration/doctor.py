"""`python -m orchestration.doctor`: look for the usual problems, and say what to do about each.

Looks only: nothing is started, changed or sent, except questions to our own database, MLflow and server.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from common import cli
from common.errors import PlatformError, SettingsError
from common.settings import Settings, load_settings
from orchestration.console import console
from orchestration.doctor_checks import DATABASE_CHECKS, MACHINE_CHECKS, SERVICE_CHECKS, SETTINGS_CHECKS
from orchestration.doctor_findings import NotApplicableError, Problem
from orchestration.runtime import Runtime


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: what was looked at.
        fact: what is there, in a few words.
        cure: what to do; None when all is well.
    """

    name: str
    fact: str
    cure: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check; 1 when something needs to be done."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.doctor", description=(__doc__ or "").split(":")[1])
    parser.add_argument("--quiet", action="store_true", help="only what needs to be done")
    quiet = parser.parse_args(arguments).quiet
    findings = []
    for finding in examine():
        findings.append(finding)
        if finding.cure or not quiet:
            console.print(f"{'!!' if finding.cure else 'ok'}  {finding.name:12} {finding.fact}", markup=False)
        if finding.cure:
            console.print(f"    {'':12} -> {finding.cure}", markup=False)
    problems = sum(finding.cure is not None for finding in findings)
    console.print(f"{len(findings)} checks, {problems or 'no'} {'problem' if problems == 1 else 'problems'}.")
    return 1 if problems else 0


def examine() -> Iterator[Finding]:
    """Every check that applies here, each as soon as it is done."""
    return (finding for finding in _examine_all() if finding.fact)


def _examine_all() -> Iterator[Finding]:
    yield from (_look(name, check) for name, check in MACHINE_CHECKS.items())
    try:
        settings = load_settings()
    except SettingsError as error:
        yield Finding("settings", "cannot be read", str(error))
        return
    yield Finding("settings", "all can be read")
    yield from _examine_platform(settings)


def _examine_platform(settings: Settings) -> Iterator[Finding]:
    runtime = Runtime(settings)
    yield from (_look(name, partial(check, settings)) for name, check in SETTINGS_CHECKS.items())
    services = {}
    for name, check in SERVICE_CHECKS.items():
        services[name] = _look(name, partial(check, runtime))
        yield services[name]
    if services["database"].fact and not services["database"].cure:  # else each would wait for it in vain
        yield from (_look(name, partial(check, runtime)) for name, check in DATABASE_CHECKS.items())


def _look(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, check())
    except Problem as problem:
        return Finding(name, problem.fact, problem.cure)
    except NotApplicableError:
        return Finding(name, "")
    except PlatformError as error:
        return Finding(name, "cannot be looked at", str(error))


if __name__ == "__main__":
    cli.run(lambda: main(sys.argv[1:]))
