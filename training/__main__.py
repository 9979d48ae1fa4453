"""Entry point of `python -m training`; see `--help`."""

import os

from common.cli import run
from common.logs import configure_logging
from common.settings import load_settings


def main() -> int:
    """Read the settings, then import the rest: MLflow decides on telemetry while it is imported."""
    settings = load_settings()
    configure_logging(settings.log_level)
    # Feast and MLflow read the environment themselves; what .env says has to be there for them too.
    os.environ["DB_CONNECTION_STRING"] = settings.database_url
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "FEAST_USAGE": "False"})
    # MLflow's own chatter; its warnings come through
    os.environ.update(
        {
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
        }
    )

    from training.cli import main as run_command
    from training.cli import parse_arguments

    return run_command(settings, parse_arguments())


if __name__ == "__main__":
    run(main)
