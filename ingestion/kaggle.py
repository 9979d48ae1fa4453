"""Kaggle's data set, through opendatasets, which asks for what it does not find and reads only ./kaggle.json.

opendatasets and the `kaggle` package below it take credentials from a prompt, the environment and the home folder,
and make folders there when they are imported. So they run in an empty folder of their own: prompts are answered with
the credentials that were found before, the environment is put back afterwards, and what they print goes nowhere.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import requests
from pydantic import SecretStr

from common.errors import SourceError

logger = logging.getLogger(__name__)

DATASET = "vinifm/female-representation-in-cinema"
DATASET_URL = f"https://www.kaggle.com/datasets/{DATASET}"
MOVIES = "movies.csv"
HOW_TO_GET_A_KEY = "Make a key at https://www.kaggle.com/settings (API, Create New Token)"
HTTP_UNAUTHORIZED, HTTP_FORBIDDEN, HTTP_NOT_FOUND = 401, 403, 404


@dataclass(frozen=True)
class Credentials:
    """A Kaggle account; the key never shows in a repr."""

    username: str
    key: SecretStr


def find_credentials(username: str | None, key: SecretStr | None, *, folder: Path) -> Credentials | None:
    """Credentials from the settings, else from kaggle.json in a folder; None when there are neither.

    Args:
        username: KAGGLE_USERNAME.
        key: KAGGLE_KEY.
        folder: where kaggle.json is looked for: the root of the checkout.

    Raises:
        SourceError: only one of the two settings is there, or kaggle.json cannot be used.
    """
    if username and key:
        return Credentials(username, key)
    if username or key:
        given, lacking = ("KAGGLE_USERNAME", "KAGGLE_KEY") if username else ("KAGGLE_KEY", "KAGGLE_USERNAME")
        raise SourceError(f"{given} is set but {lacking} is not. Set both, or neither.")
    path = folder / "kaggle.json"
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        return Credentials(_text(values["username"]), SecretStr(_text(values["key"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f'{path} cannot be used: it must read {{"username": "...", "key": "..."}}. {HOW_TO_GET_A_KEY}.'
        ) from error


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value


def download(folder: Path, credentials: Credentials | None) -> Path:
    """Have movies.csv of the data set in a folder, downloaded now unless it is there.

    Raises:
        SourceError: no credentials, no network, a refused key, or a data set that is not there any more.
    """
    target = folder / MOVIES
    if target.exists():
        logger.info("kaggle data is there path=%s", target)
        return target
    if credentials is None:
        raise SourceError(
            "Kaggle asks for an account. Put kaggle.json into the root, or set KAGGLE_USERNAME and KAGGLE_KEY. "
            f"{HOW_TO_GET_A_KEY}. Without one, MOVIES_SOURCE=sample uses synthetic films."
        )
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="partial-") as partial:
        found = _run_opendatasets(Path(partial), credentials)
        found.replace(target)
    logger.info("kaggle downloaded bytes=%d seconds=%.1f", target.stat().st_size, time.monotonic() - started)
    return target


def _run_opendatasets(folder: Path, credentials: Credentials) -> Path:
    """Download and unpack into an empty folder; returns the path of movies.csv in it."""
    with _apart_from_home(folder, credentials), _explaining_errors():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports cgi, which Python 3.13 drops (legacy-cgi brings it back)
            import opendatasets  # here, because importing it may touch the home folder and the network

        opendatasets.download(DATASET_URL, data_dir=str(folder))
    found = next(folder.rglob(MOVIES), None)
    if found is None:
        raise SourceError(
            f"Kaggle's data set {DATASET} has no {MOVIES} any more. "
            "Set MOVIES_SOURCE to a csv file in its layout, or to sample."
        )
    return found


@contextlib.contextmanager
def _apart_from_home(folder: Path, credentials: Credentials) -> Iterator[None]:
    """Let opendatasets see our credentials and nothing else, and leave nothing of it behind."""
    before = dict(os.environ)
    kept = {name: value for name, value in before.items() if not name.startswith("KAGGLE_")}
    answers = iter((credentials.username, credentials.key.get_secret_value()))
    home = folder / "home"
    home.mkdir()
    prompt = click.prompt
    try:
        os.environ.clear()
        os.environ.update(kept, HOME=str(home), KAGGLE_CONFIG_DIR=str(home))
        click.prompt = lambda *_args, **_options: next(answers)  # type: ignore[assignment]
        with contextlib.chdir(home), contextlib.redirect_stdout(io.StringIO()), _no_bar_without_terminal():
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        click.prompt = prompt
        shutil.rmtree(home, ignore_errors=True)


def _no_bar_without_terminal() -> contextlib.AbstractContextManager[object]:
    """Keep kaggle's progress bar out of logs."""
    return contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())


@contextlib.contextmanager
def _explaining_errors() -> Iterator[None]:
    """Turn what opendatasets and kaggle raise into one sentence each, none of which holds a credential."""
    try:
        yield
    except requests.HTTPError as error:
        raise SourceError(_explain_status(error.response.status_code if error.response is not None else 0)) from None
    except requests.RequestException as error:
        raise SourceError(
            f"Kaggle cannot be reached ({type(error).__name__}). Check the network, or set MOVIES_SOURCE=sample."
        ) from None
    except SystemExit:
        raise SourceError(f"Kaggle does not accept the credentials. {HOW_TO_GET_A_KEY}.") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(
            f"The download from Kaggle failed ({type(error).__name__}). Try again; "
            f"if it fails again, download {MOVIES} from {DATASET_URL} by hand and set MOVIES_SOURCE to its path."
        ) from None


def _explain_status(status: int) -> str:
    if status == HTTP_FORBIDDEN:  # Kaggle's answer for what is private as well as for what is gone
        return (
            f"Kaggle denies access to the data set {DATASET} (HTTP 403): the key is refused "
            f"or the data set has moved. {HOW_TO_GET_A_KEY}, or set MOVIES_SOURCE to a csv file."
        )
    if status == HTTP_UNAUTHORIZED:
        return f"Kaggle refuses the credentials (HTTP {status}). {HOW_TO_GET_A_KEY}."
    if status == HTTP_NOT_FOUND:
        return (
            f"Kaggle has no data set {DATASET} any more (HTTP 404). "
            "Set MOVIES_SOURCE to a csv file in its layout, or to sample."
        )
    return f"Kaggle answers with an error (HTTP {status}). Try again later, or set MOVIES_SOURCE=sample."
