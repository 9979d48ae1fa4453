"""Entry point of `python -m training`; see `--help`."""

from common.cli import run
from common.environment import export
from common.logs import configure_logging
from common.settings import load_settings
from training.cli import parse_arguments


def main() -> int:
    """Read command line and settings, then import the rest: MLflow decides on telemetry while it is imported."""
    arguments = parse_arguments()
    settings = load_settings()
    configure_logging(settings.log_level)
    export(settings)

    from training.commands import run_command

    return run_command(settings, arguments)


if __name__ == "__main__":
    run(main)
