"""Entry point of `python -m training`; see `--help`."""

from common.cli import run
from common.environment import export
from common.logs import configure_logging
from common.settings import load_settings


def main() -> int:
    """Read the settings, then import the rest: MLflow decides on telemetry while it is imported."""
    settings = load_settings()
    configure_logging(settings.log_level)
    export(settings)

    from training.cli import main as run_command
    from training.cli import parse_arguments

    return run_command(settings, parse_arguments())


if __name__ == "__main__":
    run(main)
