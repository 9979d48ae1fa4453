"""The checks of the doctor. Each returns what is well in a few words, or raises Problem with what to do."""

import hashlib
import os
import platform
import re
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg
import requests
from alembic.config import Config
from alembic.script import ScriptDirectory

import common.migrations
from common.database import address, connect
from common.errors import DatabaseError
from common.settings import ROOT, Settings
from orchestration.doctor_findings import NotApplicableError, Problem
from orchestration.environment import SUPPORTED
from orchestration.runtime import Runtime
from orchestration.services import Service

GIGABYTE = 1024**3
OLDEST_POSTGRESQL = 14
CONNECT_SECONDS = 3  # to a database; one that is silent for longer is a finding
CHAMPION = "api/2.0/mlflow/registered-models/alias?name=bechdel-test-predictor&alias=champion"


# --- the machine ---


def check_python() -> str:
    if sys.version_info[:2] not in SUPPORTED:
        raise Problem(f"Python {platform.python_version()}", "make clean; make up PYTHON=/path/to/python3.12")
    return f"Python {platform.python_version()}"


def check_environment(venv: Path = ROOT / ".venv") -> str:
    stamps = [venv / f"{lock.stem}.installed" for lock in ROOT.glob("requirements*.lock")]
    if not any(stamp.exists() for stamp in stamps):
        raise NotApplicableError  # an image, or an environment made by hand
    for lock in ROOT.glob("requirements*.lock"):
        parts = lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()
        stamp = venv / f"{lock.stem}.installed"
        if stamp.exists() and stamp.read_text() == hashlib.sha256(parts).hexdigest():
            return f"{lock.name} is installed"
    raise Problem("the environment is older than the lock file", "make install")


def check_disk(folder: Path = ROOT) -> str:
    free = shutil.disk_usage(folder).free / GIGABYTE
    if free < 2:
        raise Problem(f"{free:.1f} GB free", f"Free at least 2 GB on the disk of {folder}.")
    return f"{free:.0f} GB free"


def check_memory() -> str:
    free = psutil.virtual_memory().available / GIGABYTE
    if free < 1.5:
        raise Problem(f"{free:.1f} GB free", "Close something: training needs about 1.5 GB, the server 0.5 GB.")
    return f"{free:.1f} GB free"


def check_clock() -> str:
    written = (ROOT / "requirements.lock").stat().st_mtime
    if time.time() < written - 60:
        raise Problem("the clock is behind the files of this checkout", "Set the clock: event times depend on it.")
    return "the clock is not behind"


# --- the settings ---


def check_env_file(_: Settings, file: Path = ROOT / ".env") -> str:
    return _check_private(file)


def check_kaggle(settings: Settings, file: Path = ROOT / "kaggle.json") -> str:
    if bool(settings.kaggle_username) != bool(settings.kaggle_key):
        raise Problem("one of KAGGLE_USERNAME and KAGGLE_KEY", "Set both, or put kaggle.json into the root.")
    if settings.movies_source == "kaggle" and not settings.has_kaggle_credentials:
        raise Problem("MOVIES_SOURCE=kaggle without credentials", "Set KAGGLE_USERNAME and KAGGLE_KEY.")
    return _check_private(file)


def check_tmdb_token(settings: Settings) -> str:
    if settings.tmdb_api_token is None:
        return "no TMDB_API_TOKEN: only loaded films are answered"
    token = settings.tmdb_api_token.get_secret_value().strip()
    if re.fullmatch(r"[0-9a-f]{32}", token):
        raise Problem(
            "this is TMDB's API key", "Set TMDB_API_TOKEN to the API Read Access Token (it starts with eyJ)."
        )
    if not re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", token):
        raise Problem(
            "not the form of a TMDB token", "Copy the whole API Read Access Token from TMDB's settings page."
        )
    return "has the form of a TMDB token"


def check_source(settings: Settings) -> str:
    source = settings.movies_source
    files = [] if source in {"auto", "kaggle", "sample"} else [Path(source).expanduser()]
    files += [settings.tmdb_payloads] if settings.tmdb_payloads else []
    for file in files:
        if not file.is_file() or not os.access(file, os.R_OK):
            raise Problem(f"{file} cannot be read", "Correct MOVIES_SOURCE or TMDB_PAYLOADS.")
    return source


def check_state_dir(settings: Settings) -> str:
    folder = settings.state_dir
    if not folder.exists():
        return f"{folder} is not there yet"
    if not os.access(folder, os.W_OK):
        raise Problem(f"{folder} cannot be written", "Set STATE_DIR to a folder of yours.")
    strangers = [path for path in folder.glob("*/*") if path.parent.name in {"run", "logs"} and _is_foreign(path)]
    if strangers:
        raise Problem(
            f"{strangers[0]} belongs to another user (run with sudo before?)",
            f"sudo chown -R {settings.username} {folder}",
        )
    return str(folder)


def check_records(settings: Settings) -> str:
    stale = []
    for record in (settings.state_dir / "run").glob("*.json"):
        found = re.search(r'"pid": (\d+)', record.read_text())
        if found is None or not psutil.pid_exists(int(found[1])):
            stale.append(record.stem)
    if stale:
        raise Problem(
            f"{', '.join(sorted(stale))} ended without being stopped", "make up starts it again; see make logs"
        )
    return "none of a dead process"


# --- the services ---


def check_ports(runtime: Runtime) -> str:
    services = [service for service in (runtime.server, runtime.mlflow) if service]
    ports = {service.port: (service.name, f"{service.port_setting}=5050") for service in services}
    taken = [service.port for service in services if not service.process() and _is_open(service.port)]
    if runtime.database:
        ports[runtime.database.port] = ("PostgreSQL", "EMBEDDED_DB_PORT=5450")
        taken += [runtime.database.port] if runtime.database.port_is_of_another() else []
    if taken:
        raise Problem(
            f"{' and '.join(f'port {port} for {ports[port][0]}' for port in taken)} taken by another program",
            f"Stop that program, or choose another port: {' '.join(ports[port][1] for port in taken)} make up",
        )
    return ", ".join(map(str, ports))


def check_database_lock(runtime: Runtime) -> str:
    if runtime.database is None:
        raise NotApplicableError
    lock = runtime.database.data / "postmaster.pid"
    if not lock.exists():
        return "none"
    pid = int(lock.read_text().split()[0])
    if not psutil.pid_exists(pid):
        raise Problem(f"of a server that is gone (pid {pid})", "make up removes it and starts the server")
    return f"held by pid {pid}"


def check_mlflow(runtime: Runtime) -> str:
    settings = runtime.settings
    try:
        answer = requests.get(f"{settings.tracking_uri}/{CHAMPION}", auth=settings.mlflow_login, timeout=5)
    except requests.RequestException as error:
        raise Problem(
            f"{settings.tracking_uri} does not answer", "make up, or correct MLFLOW_TRACKING_URI"
        ) from error
    if answer.status_code == 401:
        raise Problem("MLflow refuses who asks", "Correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.")
    if answer.status_code == 403 and answer.text == "Permission denied":  # what a part is told of an absent model
        raise Problem("no champion is registered", "make train-model")
    if answer.status_code == 403:
        raise Problem("MLflow refuses this host name", "Add it to --allowed-hosts of the MLflow server.")
    if answer.status_code == 404:
        raise Problem("no champion is registered", "make train-model")
    if not answer.ok:
        raise Problem(f"MLflow answers {answer.status_code}", "make logs shows why")
    return f"champion is version {answer.json()['model_version']['version']}"


def check_server(runtime: Runtime) -> str:
    return _check_server(runtime.server)


def _check_server(server: Service) -> str:
    try:
        answer = requests.get(f"{server.url}/readyz", timeout=10)
    except requests.RequestException as error:
        raise Problem(f"{server.url} does not answer", "make up; why it ended: make logs") from error
    if answer.ok:
        return "ready"
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError):
        detail = f"something else answers {answer.status_code} at {server.url}"
    raise Problem("not ready", detail)


# --- the database ---


def check_database(runtime: Runtime) -> str:
    if runtime.database and runtime.database.port_is_of_another():
        raise NotApplicableError  # check_ports says it
    try:
        connect(runtime.settings.database_url, connect_timeout=CONNECT_SECONDS).close()
    except DatabaseError as error:
        raise Problem("does not answer", str(error)) from error
    return address(runtime.settings.database_url)


def check_database_server(runtime: Runtime) -> str:
    number = int(_one(runtime, "select current_setting('server_version_num')::int / 10000"))
    encoding, zone = _row(
        runtime, "select current_setting('server_encoding'), reset_val from pg_settings where name = 'TimeZone'"
    )
    if number < OLDEST_POSTGRESQL:
        raise Problem(f"PostgreSQL {number}", f"Use PostgreSQL {OLDEST_POSTGRESQL} or newer.")
    if encoding != "UTF8":
        raise Problem(
            f"encoding {encoding}", "Titles need UTF8: create database bechdel encoding 'UTF8' template template0"
        )
    return f"PostgreSQL {number}, {encoding}, {zone}"


def check_time_zone(runtime: Runtime) -> str:
    user, zone = _row(runtime, "select current_user, current_setting('TimeZone')", options="")
    if zone not in {"UTC", "Etc/UTC", "GMT"}:
        raise Problem(
            f"sessions start in {zone}", f"alter role {user} set timezone to 'UTC' (else event times shift)"
        )
    return str(zone)


def check_connections(runtime: Runtime) -> str:
    used, most = _row(
        runtime,
        "select count(*), current_setting('max_connections')::int from pg_stat_activity "
        "where backend_type = 'client backend'",
    )
    if int(used) > 0.8 * int(most):
        raise Problem(f"{used} of {most} connections in use", "Stop idle clients, or raise max_connections.")
    return f"{used} of {most}"


def check_migrations(runtime: Runtime) -> str:
    config = Config()
    config.set_main_option("script_location", str(Path(common.migrations.__file__).parent))
    newest = ScriptDirectory.from_config(config).get_current_head()
    found = _one(runtime, "select version_num from ops.schema_version", missing="nothing")
    if found != newest:
        raise Problem(
            f"our tables are at version {found}, the code at {newest}", "python -m common.migrations, or make up"
        )
    return f"version {found}"


def check_films(runtime: Runtime) -> str:
    films, synthetic = _row(
        runtime, "select count(*), count(*) filter (where is_synthetic) from raw.movies", missing=(0, 0)
    )
    if not films:
        raise Problem("no film is loaded", "make up, or python -m ingestion load")
    return f"{films:,} films, {'synthetic' if synthetic else 'real'}"


def check_manifest(runtime: Runtime, file: Path = ROOT / "dbt_project" / "target" / "manifest.json") -> str:
    if not file.exists():
        # an image of ours, or another machine, beside a database that was built elsewhere
        if runtime.database is None and _one(runtime, "select count(*) from marts.dim_movies", missing=0):
            return "not here: dbt runs elsewhere"
        raise Problem("dbt has not been run in this checkout", "make up, or dbt build as in the README")
    return "dbt's manifest is there"


def check_features(runtime: Runtime) -> str:
    films = _one(runtime, "select count(*) from marts.dim_movies", missing=None)
    if not films:
        raise Problem("the feature tables are not built", "make up, or dbt build as in the README")
    return f"{int(films):,} films in marts.dim_movies"


def check_online_store(runtime: Runtime) -> str:
    views = _one(runtime, "select count(*) from online.published where row_count > 0", missing=0)
    tables = int(
        _one(runtime, "select count(*) from pg_tables where schemaname = 'features' and tablename like 'ftr_%'")
    )
    if int(views) < tables:
        raise Problem(f"{views} of {tables} views are published", "make up, or python feature_repo/publish.py")
    return f"{views} views published"


def _check_private(file: Path) -> str:
    if not file.exists():
        raise NotApplicableError
    if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise Problem(f"{file.name} can be read by others", f"chmod 600 {file}")
    return f"{file.name} is private"


def _is_foreign(path: Path) -> bool:
    return os.geteuid() != 0 and path.stat().st_uid != os.geteuid()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _row(runtime: Runtime, query: str, *, missing: tuple[Any, ...] | None = None, **options: Any) -> tuple[Any, ...]:
    """One row; `missing` when a table is not there."""
    try:
        with connect(runtime.settings.database_url, **{"connect_timeout": CONNECT_SECONDS, **options}) as connection:
            return connection.execute(query.encode()).fetchone() or missing or ()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return missing or ()
    except DatabaseError as error:
        raise NotApplicableError from error  # check_database says it


def _one(runtime: Runtime, query: str, *, missing: Any = None) -> Any:
    return _row(runtime, query, missing=(missing,))[0]


MACHINE_CHECKS: Mapping[str, Callable[[], str]] = {
    "python": check_python,
    "environment": check_environment,
    "disk": check_disk,
    "memory": check_memory,
    "clock": check_clock,
}
SETTINGS_CHECKS: Mapping[str, Callable[[Settings], str]] = {
    ".env": check_env_file,
    "kaggle": check_kaggle,
    "tmdb": check_tmdb_token,
    "films' source": check_source,
    "state": check_state_dir,
    "records": check_records,
}
SERVICE_CHECKS: Mapping[str, Callable[[Runtime], str]] = {
    "ports": check_ports,
    "lock": check_database_lock,
    "database": check_database,
    "mlflow": check_mlflow,
    "server": check_server,
}
DATABASE_CHECKS: Mapping[str, Callable[[Runtime], str]] = {
    "version": check_database_server,
    "time zone": check_time_zone,
    "connections": check_connections,
    "migrations": check_migrations,
    "films": check_films,
    "manifest": check_manifest,
    "features": check_features,
    "online store": check_online_store,
}
