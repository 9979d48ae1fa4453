"""The commands behind the Makefile: `python -m orchestration --help`."""

from common import cli
from orchestration.commands import main

if __name__ == "__main__":
    cli.run(main)
