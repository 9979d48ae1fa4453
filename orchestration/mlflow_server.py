"""`python -m orchestration.mlflow_server [arguments of mlflow server]`: MLflow, with a login where it needs one.

The environment names the passwords, each may stand in a file (`<NAME>_FILE`), and each is set anew at every start, so
that changing one is changing it there and starting again:

- `MLFLOW_TRACKING_PASSWORD` of MLFLOW_TRACKING_USERNAME, who may do everything. Without it MLflow has no login and
  answers on this machine only.
- `MLFLOW_TRAINING_PASSWORD` of `training`, who writes.
- `MLFLOW_SERVING_PASSWORD` of `serving`, who reads.

The users are kept in PostgreSQL beside MLflow's own tables, as hashes.
"""

import argparse
import configparser
import os
import secrets
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import cli
from common.database import connect, store_address
from common.errors import SettingsError
from common.secret_files import read_secret
from common.settings import ROOT, Settings, load_settings

if TYPE_CHECKING:
    from flask import Response
    from werkzeug.datastructures import Authorization

WRITER, READER = "training", "serving"
SHORTEST_PASSWORD = 12  # MLflow's own rule
REMEMBERED_SECONDS = 300  # how long a checked password need not be hashed again: 50 ms for each request
PASSWORDS = {part: f"MLFLOW_{part.upper()}_PASSWORD" for part in (WRITER, READER)}


@dataclass(frozen=True)
class Login:
    """Somebody who may use MLflow; an administrator may do everything."""

    name: str
    password: str
    is_admin: bool


def main(arguments: Sequence[str] | None = None) -> None:
    """Set the logins, then become `mlflow server`.

    Raises:
        SettingsError: others could reach a server without a login, or a password is too short.
        DatabaseError: the database of the logins cannot be reached.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[1], allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--login-file",
        type=Path,
        help="where MLflow's settings for the login are written (mode 600; default: mlflow/login.ini in STATE_DIR)",
    )
    options, passed_on = parser.parse_known_args(arguments)
    settings = load_settings()
    logins = find_logins(settings, os.environ)
    refuse_open_server(options.host, logins)
    store = store_address(settings.database_url)
    command = [sys.executable, "-m", "mlflow", "server", f"--host={options.host}", *passed_on]
    environment = {**environment_of_server(os.environ), "MLFLOW_BACKEND_STORE_URI": store}
    if logins:
        login_file = options.login_file or settings.state_dir / "mlflow" / "login.ini"
        connect(settings.database_url).close()  # says in one sentence what MLflow would try for minutes
        set_logins(store, logins)
        write_login_file(login_file, store, logins)
        command.append("--app-name=basic-auth")
        environment |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(login_file),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),  # of one form that only administrators see
        }
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter, without a shell


def find_logins(settings: Settings, environment: Mapping[str, str]) -> list[Login]:
    """Who may log in; nobody when there is no password, and then everybody may do everything.

    Raises:
        SettingsError: a part has a password and the administrator has none, or one is too short.
    """
    owner = settings.mlflow_login
    parts = {name: found for name, key in PASSWORDS.items() if (found := read_secret(key, environment))}
    if parts and owner is None:
        raise SettingsError(f"{PASSWORDS[next(iter(parts))]} is set, so MLFLOW_TRACKING_PASSWORD must be set too.")
    if owner is not None and owner[0] in PASSWORDS:
        raise SettingsError("MLFLOW_TRACKING_USERNAME is the name of a part of the platform. Take another: admin.")
    logins = [Login(name, password, is_admin=False) for name, password in parts.items()]
    if owner is not None:
        logins.insert(0, Login(*owner, is_admin=True))
    for login in logins:
        if len(login.password) < SHORTEST_PASSWORD:
            name = "MLFLOW_TRACKING_PASSWORD" if login.is_admin else PASSWORDS[login.name]
            raise SettingsError(f"{name} is too short: MLflow wants {SHORTEST_PASSWORD} characters or more.")
    return logins


def refuse_open_server(host: str, logins: Sequence[Login]) -> None:
    """Without a login nobody but this machine may reach MLflow.

    Raises:
        SettingsError: others could.
    """
    if logins or host == "localhost":
        return
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return
    raise SettingsError(
        f"MLflow would listen on {host} without a login. Set MLFLOW_TRACKING_PASSWORD, or listen on 127.0.0.1."
    )


def set_logins(store_uri: str, logins: Sequence[Login]) -> None:
    """Make MLflow's users what `logins` says; others that it has are left alone."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(store_uri)
    for login in logins:
        if not store.has_user(login.name):
            store.create_user(login.name, login.password)
        elif not store.authenticate_user(login.name, login.password):
            store.update_user(login.name, password=login.password)
        store.update_user(login.name, is_admin=login.is_admin)
        if login.name == WRITER and not login.is_admin:
            for kind in ("experiment", "registered_model"):  # those too that somebody else has made
                store.grant_user_permission(login.name, kind, "*", "EDIT")
    store.engine.dispose()


def write_login_file(file: Path, store_uri: str, logins: Sequence[Login]) -> None:
    """MLflow's settings for the login; they hold the database's password, so that nobody else may read them."""
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": "READ",
        "database_uri": store_uri.replace("%", "%%"),  # MLflow reads it with interpolation
        "admin_username": next(login.name for login in logins if login.is_admin),
        "authorization_function": "orchestration.mlflow_server:authenticate",
        "auth_cache_ttl_seconds": str(REMEMBERED_SECONDS),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    private = stat.S_IRUSR | stat.S_IWUSR
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private), "w") as opened:
        config.write(opened)


def environment_of_server(environment: Mapping[str, str]) -> dict[str, str]:
    """What MLflow itself runs with: nobody's password, and the modules of ours that it calls."""
    owner = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_URI", "DB_CONNECTION_STRING")
    dropped = {f"{name}{end}" for name in (*owner, *PASSWORDS.values(), "DB_PASSWORD") for end in ("", "_FILE")}
    kept = {name: value for name, value in environment.items() if name not in dropped}
    return {**kept, "PYTHONPATH": str(ROOT), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def authenticate() -> "Authorization | Response":
    """MLflow's own check of name and password, which it asks for at each request; the reader then only reads.

    MLflow lets everybody who has logged in make experiments and models, whatever they may do with those of others.
    """
    from flask import request
    from mlflow.server.auth import authenticate_request_basic_auth, make_forbidden_response

    found: Any = authenticate_request_basic_auth()
    if getattr(found, "username", None) == READER and not reads(request.method, request.path):
        found = make_forbidden_response()
    return found  # type: ignore[no-any-return]


def reads(method: str, path: str) -> bool:
    """Whether a request changes nothing: searches are POST; the path of an artifact to upload ends as it likes."""
    is_search = path.endswith("/search") and "/mlflow-artifacts/" not in path
    return method in {"GET", "HEAD"} or (method == "POST" and is_search)


if __name__ == "__main__":
    cli.run(main)
