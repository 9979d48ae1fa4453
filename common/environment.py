"""What libraries read from the process environment and nowhere else."""

import os

from common.settings import Settings

# Nothing of ours or of our libraries phones home unless somebody asks for it.
NO_TELEMETRY = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}

# MLflow's chatter; its warnings come through.
QUIET_MLFLOW = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def library_environment(settings: Settings) -> dict[str, str]:
    """The variables that dbt, Feast and MLflow look at, filled from our settings."""
    return {
        **NO_TELEMETRY,
        **QUIET_MLFLOW,
        "DB_CONNECTION_STRING": settings.database_url,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
    }


def export(settings: Settings) -> None:
    """Put them into this process; call it before MLflow is imported, which decides on telemetry at that moment."""
    os.environ.update(library_environment(settings))
