"""A server whose workers are replaced without losing a request: `RollingServer`, on top of granian.

What granian's own reload does not do, and a client that keeps its connection notices:

- Every worker listens by itself, so that connections that wait to be accepted die with it. Here all share one
  listening socket: what one leaves, another takes.
- A new worker gets four seconds to start. Here the old ones go when all the new ones have their model, and stay when
  one of the new cannot start: then the other new ones go.
- Kept connections are cut between two requests. Here a worker first says `Connection: close` in its answers, for a
  while, so that its clients come back on connections to the others.
"""

import json
import logging
import multiprocessing
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from flask import Flask
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketSpec
from granian.server import Server

from serving.buffered import BufferedApplication

logger = logging.getLogger(__name__)

READY_SECONDS = 120.0  # a busy machine needs long to import and to fetch the champion
DRAIN_SECONDS = 2.0  # clients that ask more often than this never meet a closed connection
END_SECONDS = 15  # for requests in flight, TMDB's slowest answer included
HEAD_SECONDS = 10  # a client that needs longer for its request line and headers is cut
HEAD_BYTES = 64 * 1024  # request line and headers together; also how much of a body is read at once
RELOAD_MARGIN_SECONDS = 30  # what a reload takes beside its workers
CONNECTIONS = 1000  # of each worker, most of them idle or slow; those beyond wait to be accepted

_draining = threading.Event()


class RollingServer(Server):  # type: ignore[misc]
    """Processes that serve one application; SIGHUP replaces them by new ones, with the code and `.env` of then.

    Args:
        make_app: makes the application in each worker, importable by name; asked with `warm=True` by one that takes
            over from another, which is then to answer as quickly as that one did.
        report: where each reload says how it went, for the one who asked for it.
    """

    def __init__(
        self, make_app: Callable[..., Flask], *, host: str, port: int, workers: int, threads: int, report: Path
    ) -> None:
        # a forked worker would go on with the modules that this process has imported, old code among them
        multiprocessing.set_start_method("spawn", force=True)
        super().__init__(
            "serving",
            interface=Interfaces.RSGI,
            address=host,
            port=port,
            workers=workers,
            backpressure=CONNECTIONS,
            websockets=False,
            # HTTP/1 alone: a connection that may still become HTTP/2 is dropped when its worker ends
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=HEAD_SECONDS * 1000, max_buffer_size=HEAD_BYTES),
            respawn_failed_workers=True,
            workers_kill_timeout=END_SECONDS,
            log_level=LogLevels.warning,
        )
        self._load = partial(load_worker, make_app, threads)
        self._report = report

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        _raise_file_limit()
        self.serve(target_loader=self._load, wrap_loader=False)

    def _init_shared_socket(self) -> None:
        """One listening socket for all workers, as granian has it where a port cannot be shared otherwise."""
        self._shd = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._sfd = self._shd.get_fd()
        self._sso = socket.socket(fileno=self._sfd)
        self._sso.set_inheritable(True)

    def _reload(self, spawn_target: Any, _: Any) -> None:
        self.reload_signal = False
        self.main_loop_interrupt.clear()
        logger.info("reload started workers=%d", self.workers)
        started = time.monotonic()
        failure = self._replace_all(spawn_target)
        seconds = time.monotonic() - started
        if failure:
            logger.error("reload failed reason=%r seconds=%.1f: the workers from before go on", failure, seconds)
        else:
            logger.info("reload done workers=%d seconds=%.1f", self.workers, seconds)
        self._tell({"failure": failure, "seconds": round(seconds, 1)})

    def _replace_all(self, spawn_target: Any) -> str | None:
        """Start a new worker for each, then end the old ones; returns why that was given up, else None."""
        fresh: list[Any] = []
        for index in range(self.workers):
            ready = multiprocessing.Event()
            worker = self._spawn_worker(
                idx=index, target=spawn_target, callback_loader=partial(self._load, ready=ready)
            )
            worker.interrupt_by_parent = True  # its end is no failure of the server as long as the old ones serve
            worker.start()
            fresh.append(worker)
            if not _wait(ready, worker):
                self._end(fresh)
                return f"new worker {index + 1} of {self.workers} does not start; the log says why"
        for worker in fresh:
            worker.interrupt_by_parent = False  # from now on granian replaces one that ends
        if not all(worker.is_alive() for worker in fresh):
            self._end(fresh)
            return "a new worker ended while the others started; the log says why"
        old, self.wrks[:] = list(self.wrks), fresh
        self._end(old)
        return None

    def _stop_workers(self) -> None:
        self._end(self.wrks)
        self.wrks.clear()

    def _end(self, workers: Sequence[Any]) -> None:
        """Let workers send their clients elsewhere, then end them; kill what does not end."""
        living = [worker for worker in workers if worker.is_alive()]
        for worker in living:
            worker.interrupt_by_parent = True
            os.kill(worker.inner.pid, signal.SIGUSR1)
        time.sleep(DRAIN_SECONDS if living else 0)
        for worker in living:
            worker.terminate()
        deadline = time.monotonic() + END_SECONDS
        for worker in living:
            # not is_alive(): granian's own thread also waits for the process, and may have taken its exit code
            if not connection.wait([worker.inner.sentinel], max(deadline - time.monotonic(), 0.1)):
                logger.warning("worker killed pid=%d: it did not end in %d s", worker.inner.pid, END_SECONDS)
                worker.kill()
            worker.join()

    def _tell(self, outcome: dict[str, Any]) -> None:
        self._report.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._report.with_suffix(".partial")
        unfinished.write_text(json.dumps(outcome))
        unfinished.replace(self._report)


def longest_reload(workers: int) -> float:
    """Seconds after which a reload has succeeded or been given up: the workers start one after the other."""
    return workers * READY_SECONDS + DRAIN_SECONDS + END_SECONDS + RELOAD_MARGIN_SECONDS


def load_worker(make_app: Callable[..., Flask], threads: int, ready: Event | None = None) -> BufferedApplication:
    """Make the application of one worker, before it accepts connections.

    Args:
        threads: requests that it answers at a time.
        ready: set when it can answer; None at the first start, when there is nobody to take over from.
    """
    signal.signal(signal.SIGUSR1, lambda *_: _draining.set())
    app = make_app(warm=ready is not None)
    if ready is not None:
        ready.set()
    return BufferedApplication(app.wsgi_app, threads, app.config["MAX_CONTENT_LENGTH"], _draining.is_set)


def _wait(ready: Event, worker: Any) -> bool:
    """Whether a new worker gets ready before it ends or its time is over."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and worker.is_alive():
        if ready.wait(0.2):
            return True
    return ready.is_set()


def _raise_file_limit() -> None:
    """Every connection is an open file, and many systems start programs with a limit of 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 4 * CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
