"""How much memory a piece of work takes, in our process and in PostgreSQL's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

MEBIBYTE = 1024 * 1024
EVERY_SECONDS = 0.05


@dataclass
class PeakMemory:
    """Growth at its peak, in MB.

    `process_mb` is the resident memory of this process. `server_mb` is what the server's processes of this database
    hold for themselves, sorts and hash tables for example, without the cache that all of them share; None where the
    server's processes cannot be seen from here.
    """

    process_mb: float = 0.0
    server_mb: float | None = None


@contextmanager
def peak_memory(url: str) -> Iterator[PeakMemory]:
    """Watch this process and the server's while the block runs."""
    process = psutil.Process()
    peak = PeakMemory()
    done = threading.Event()
    with psycopg.connect(url, autocommit=True) as connection:
        start, server_start = process.memory_info().rss, _server_bytes(connection)

        def watch() -> None:
            while not done.wait(EVERY_SECONDS):
                peak.process_mb = max(peak.process_mb, (process.memory_info().rss - start) / MEBIBYTE)
                now = _server_bytes(connection)
                if now is not None and server_start is not None:
                    peak.server_mb = max(peak.server_mb or 0.0, (now - server_start) / MEBIBYTE)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield peak
        finally:
            done.set()
            watcher.join()


def _server_bytes(connection: psycopg.Connection) -> int | None:
    """Memory of the database's server processes that is not shared; None when /proc does not show them."""
    pids = connection.execute(
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    ).fetchall()
    if not Path(f"/proc/{connection.info.backend_pid}/status").exists():
        return None
    return sum(_anonymous_bytes(pid) for (pid,) in pids)


def _anonymous_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return 0
    [line] = [line for line in status.splitlines() if line.startswith("RssAnon:")] or ["RssAnon: 0 kB"]
    return int(line.split()[1]) * 1024
