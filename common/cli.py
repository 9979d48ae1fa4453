"""The border between our commands and the people who type them."""

import sys
from collections.abc import Callable

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
