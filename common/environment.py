"""What libraries read from the process environment and nowhere else.

`python -m common.environment PROGRAM ...` runs a program with it: dbt and Feast read neither `.env` nor files.
"""

import argparse
import os
from collections.abc import Sequence

from common import cli
from common.errors import SettingsError
from common.settings import Settings, load_settings

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
        "DB_CONNECTION_STRING_FILE": "",  # it has been read: the two together would be refused
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        **_mlflow_login(settings),
    }


def _mlflow_login(settings: Settings) -> dict[str, str]:
    if settings.mlflow_login is None:
        return {}
    name, password = settings.mlflow_login
    return {
        "MLFLOW_TRACKING_USERNAME": name,
        "MLFLOW_TRACKING_PASSWORD": password,
        "MLFLOW_TRACKING_PASSWORD_FILE": "",
    }


def export(settings: Settings) -> None:
    """Put them into this process; call it before MLflow is imported, which decides on telemetry at that moment."""
    os.environ.update(library_environment(settings))


def main(arguments: Sequence[str] | None = None) -> None:
    """Become the program that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m common.environment", description="Run a program with the settings in its environment."
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="PROGRAM ...", help="with its own arguments")
    command = parser.parse_args(arguments).command
    if not command:
        raise SettingsError("Name the program to run: python -m common.environment dbt build ...")
    export(load_settings())
    try:
        os.execvp(command[0], command)  # noqa: S606 - what the command line says, without a shell
    except FileNotFoundError as error:
        raise SettingsError(f"There is no program {command[0]} on the PATH.") from error


if __name__ == "__main__":
    cli.run(main)
