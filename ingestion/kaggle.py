"""Kaggle's data set, through opendatasets, which prompts for what it does not find and reads only ./kaggle.json."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from common.errors import SourceError


@dataclass(frozen=True)
class Credentials:
    username: str
    key: SecretStr


def find_credentials(username: str | None, key: SecretStr | None) -> Credentials | None:
    return Credentials(username, key) if username and key else None


def download(folder: Path, credentials: Credentials | None) -> Path:
    raise SourceError("Kaggle is not built yet.")
