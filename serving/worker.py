"""The application of one worker process, as `python -m serving run` starts it."""

import atexit
import threading
import time
from multiprocessing.util import Finalize
from typing import Any

from common.logs import configure_logging
from common.settings import load_settings
from serving.app import create_app
from serving.champion import ChampionWatcher
from serving.services import FEAST_THREAD

WARM_SECONDS = 60.0


def make_app(*, workers: int = 1, warm: bool = False) -> Any:
    """Make it with the settings of this moment.

    Args:
        workers: processes like this one.
        warm: with the model and Feast in memory, if they are to be had: it takes over from another worker.
    """
    settings = load_settings()
    configure_logging(settings.log_level)
    app = create_app(settings, workers=workers)
    if warm:
        _warm_up(app.extensions["bechdel"].champions)
    log = app.extensions["bechdel"].log
    atexit.register(log.stop)
    Finalize(None, log.stop, exitpriority=10)  # a worker is a process of multiprocessing, which may skip atexit
    return app


def _warm_up(champions: ChampionWatcher) -> None:
    """Wait until there is a model or it is clear why not, and Feast is imported behind it."""
    deadline = time.monotonic() + WARM_SECONDS
    while champions.version is None and champions.is_loading and time.monotonic() < deadline:
        time.sleep(0.05)
    for thread in threading.enumerate():
        if thread.name == FEAST_THREAD:
            thread.join(max(deadline - time.monotonic(), 0))
