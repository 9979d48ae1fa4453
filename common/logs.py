"""Logging as every entry point configures it: facts as key=value, one line each, on stderr."""

import logging
import time


def configure_logging(level: str = "INFO") -> None:
    """Send our log lines to stderr with UTC times.

    Args:
        level: a standard level name, as in LOG_LEVEL.
    """
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
