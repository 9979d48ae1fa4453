"""Secrets in files: `<NAME>_FILE` names the file that Docker, Kubernetes or a password manager has put there."""

from collections.abc import Mapping
from pathlib import Path

from common.errors import SettingsError


def read_secret(name: str, environment: Mapping[str, str | None]) -> str | None:
    """A secret: the variable `name` itself, else the content of the file that `<name>_FILE` names.

    Args:
        name: of the variable, in upper case.
        environment: variables by name.

    Returns:
        The secret without the white space around it; None when neither is set.

    Raises:
        SettingsError: both are set, or the file cannot be read or is empty; it never shows what is in it.
    """
    value, file = environment.get(name), environment.get(f"{name}_FILE")
    if not file:
        return value or None
    if value:
        raise SettingsError(f"{name} and {name}_FILE are both set. Keep one of them.")
    try:
        content = Path(file).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{name}_FILE names {file}, which cannot be read: {reason}. Correct the path.") from error
    if not content:
        raise SettingsError(f"{name}_FILE names {file}, which is empty. Write the secret into it.")
    return content
