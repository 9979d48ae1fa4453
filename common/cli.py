"""The border between our commands and the people who type them."""

import sys
from collections.abc import Callable
from importlib.util import find_spec

from common.errors import PlatformError


def run(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and exit: one line on stderr and 1 for a PlatformError, 130 after Ctrl-C.

    Any other exception keeps its traceback: it is a bug.
    """
    try:
        sys.exit(main() or 0)
    except PlatformError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def require_tools(*modules: str) -> None:
    """Refuse where modules are not installed that only developing needs.

    Args:
        modules: top-level names, imported where they are used and not when a program's `--help` is asked.

    Raises:
        PlatformError: names the missing ones and the command that installs them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise PlatformError(
            f"Not installed here: {', '.join(missing)}. Install what developing needs: make install-dev"
        )
