"""What runs where: the database, the background services and the environment that every step gets."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from common.embedded_postgres import EmbeddedPostgres
from common.environment import library_environment
from common.settings import ROOT, Settings
from orchestration.services import Service


@dataclass(frozen=True)
class Runtime:
    """The parts of a running platform, made from its settings."""

    settings: Settings

    @property
    def database(self) -> EmbeddedPostgres | None:
        """The embedded server, or None when DB_CONNECTION_STRING names another."""
        if self.settings.db_connection_string:
            return None
        return EmbeddedPostgres(self.settings.state_dir, self.settings.embedded_db_port)

    @property
    def environment(self) -> dict[str, str]:
        """What every step runs with: ours, plus one address for each part."""
        return {
            **os.environ,
            **library_environment(self.settings),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }

    @property
    def mlflow(self) -> Service | None:
        """The MLflow server, or None when MLFLOW_TRACKING_URI names another."""
        if self.settings.mlflow_tracking_uri:
            return None
        artifacts = self.settings.state_dir / "mlflow" / "artifacts"
        return Service(
            name="mlflow",
            command=(
                sys.executable, "-m", "orchestration.mlflow_server",
                "--host", "127.0.0.1", "--port", str(self.settings.mlflow_port), "--workers", "1",
                "--login-file", str(artifacts.with_name("login.ini")),
                "--artifacts-destination", str(artifacts),
                # without a login, a web page that resolves its own name to this machine is not to use it
                "--allowed-hosts", "127.0.0.1:*,localhost:*", "--x-frame-options", "DENY",
            ),
            # passwords go by environment, where `ps` does not show them
            environment=self.environment,
            port=self.settings.mlflow_port,
            port_setting="MLFLOW_PORT",
            health_path="/health",
            state_dir=self.settings.state_dir,
            version=repr((self.settings.database_url, self.settings.mlflow_login)),
        )  # fmt: skip

    @property
    def server(self) -> Service:
        """Our Flask server."""
        return Service(
            name="server",
            command=(sys.executable, "-m", "serving", "run"),
            environment=self.environment,
            port=self.settings.port,
            port_setting="PORT",
            health_path="/healthz",
            state_dir=self.settings.state_dir,
            version=hash_of_files(ROOT / "serving", ROOT / "common") + self._settings_text(),
            fixed=self._fixed_text(),
            reload_report=self.settings.state_dir / "serving" / "reload.json",
        )

    def _fixed_text(self) -> str:
        """What a running server keeps: what its first process was started with. Its workers read `.env` anew."""
        settings = self.settings
        started_with = (settings.host, settings.port, settings.serving_workers, settings.serving_threads)
        inherited = {
            name: os.environ[name.upper()] for name in type(settings).model_fields if name.upper() in os.environ
        }
        return repr((started_with, settings.database_url, settings.tracking_uri, inherited))

    def _settings_text(self) -> str:
        """Every setting, secrets included: it is only hashed, so that a changed token restarts the server."""
        values = self.settings.model_dump()
        return repr({name: getattr(value, "get_secret_value", lambda v=value: v)() for name, value in values.items()})


def hash_of_files(*folders: Path) -> str:
    """One hash over the names and contents of all source files below `folders`."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*") if _is_source(path)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _is_source(path: Path) -> bool:
    made = {"__pycache__", "target", "logs"}
    return path.is_file() and not made.intersection(path.relative_to(ROOT).parts) and not path.name.startswith(".")
