"""`python -m orchestration.feast_ui`: Feast's own console of views and services, until it is interrupted."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common import cli
from common.environment import export
from common.settings import ROOT, load_settings

ADDRESS = ("--host", "127.0.0.1", "--port", "8888")  # where the page of the platform looks for it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it in the foreground on the platform's database."""
    argparse.ArgumentParser(
        prog="python -m orchestration.feast_ui", description=(__doc__ or "").split(":")[1]
    ).parse_args(arguments)
    export(load_settings())
    feast = Path(sys.executable).with_name("feast")
    return subprocess.call([feast, "--chdir", ROOT / "feature_repo", "ui", *ADDRESS])


if __name__ == "__main__":
    cli.run(main)
