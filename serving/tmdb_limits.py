"""TMDB's limits, shared by every process that uses one database: ten rows, each a connection (decision 0073).

Who asks TMDB takes a row and gives it back. A row starts at most every PACE_SECONDS, so that ten make 19 questions a
second. People come before jobs: they take rows that are free soon, a job only those that are free now, and never the
last two.
"""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from common.errors import PlatformError
from common.tmdb.limits import OwnLimits, Start
from common.tmdb.transport import ATTEMPT_SECONDS
from serving.database import Database

logger = logging.getLogger(__name__)

REQUESTS_PER_SECOND = 20
CONNECTIONS = 10
JOB_CONNECTIONS = 8  # of them, for a backfill
PACE_SECONDS = 0.525  # twice a second, and a little over for the network's jitter
LOST_SECONDS = ATTEMPT_SECONDS + 2.0  # then the process that took a connection has died
POLL_SECONDS = 0.03
ALONE_SECONDS = 5.0  # after a failure the database is not asked for so long

# set_config: nobody waits for the disk; what a crash of the server forgets is the last second
# too_far: no row is taken for so long; the database's clock has been set back
_TAKE = """
    with chosen as (
        select connection_id, case when free_at > too_far then now() else greatest(free_at, now()) end as starts_at
        from serving.tmdb_connections, lateral (select now() + %s * interval '1 second' as too_far) as limits
        where connection_id <= %s and (free_at <= now() + %s * interval '1 second' or free_at > too_far)
        order by 2, 1 desc
        limit 1
        for update of tmdb_connections skip locked
    )
    update serving.tmdb_connections as taken
    set starts_at = chosen.starts_at, free_at = chosen.starts_at + %s * interval '1 second'
    from chosen
    where taken.connection_id = chosen.connection_id
    returning
        taken.connection_id as connection, taken.starts_at,
        extract(epoch from taken.starts_at - now())::double precision as wait_seconds,
        set_config('synchronous_commit', 'off', true)
"""
_GIVE_BACK = """
    update serving.tmdb_connections
    set free_at = greatest(now(), starts_at + %s * interval '1 second')
    where connection_id = %s and starts_at = %s
    returning set_config('synchronous_commit', 'off', true)
"""


class SharedLimits:
    """Rows of `serving.tmdb_connections`; without the database, the limits of this process alone.

    Args:
        workers: processes like this one, among which the limits are divided while the database is away.
        is_job: whether people come first.
    """

    def __init__(self, database: Database, *, workers: int = 1, is_job: bool = False) -> None:
        self._database = database
        self._connections = JOB_CONNECTIONS if is_job else CONNECTIONS
        self._ahead_seconds = 0.0 if is_job else PACE_SECONDS
        self._own = OwnLimits(max(1, REQUESTS_PER_SECOND // workers), max(1, CONNECTIONS // workers))
        self._turn = threading.Lock()  # one thread waits for a connection, the others for it
        self._alone_until = 0.0
        self._giving_back = ThreadPoolExecutor(1, thread_name_prefix="tmdb-limits")  # no answer waits for it

    def take(self, latest: float) -> Start | None:
        if not self._turn.acquire(timeout=max(0.0, latest - time.monotonic())):
            return None
        try:
            if time.monotonic() >= self._alone_until:
                return self._wait_for_row(latest)
        except PlatformError as error:
            self._alone_until = time.monotonic() + ALONE_SECONDS
            logger.warning("tmdb limits not shared seconds=%.0f reason=%s", ALONE_SECONDS, error)
        finally:
            self._turn.release()
        return self._own.take(latest)

    def give_back(self, start: Start) -> None:
        if start.connection is None:
            self._own.give_back(start)
        else:
            try:
                self._giving_back.submit(self._free, start)
            except RuntimeError:  # after close(), or while Python ends
                self._free(start)

    def close(self) -> None:
        """Wait until everything is given back."""
        self._giving_back.shutdown()

    def _wait_for_row(self, latest: float) -> Start | None:
        while (left := latest - time.monotonic()) > 0:
            ahead = min(self._ahead_seconds, left)
            rows = self._database.fetch(_TAKE, [2 * LOST_SECONDS, self._connections, ahead, LOST_SECONDS])
            if rows:
                return Start(max(0.0, rows[0]["wait_seconds"]), rows[0]["connection"], rows[0]["starts_at"])
            time.sleep(min(POLL_SECONDS, left))
        return None

    def _free(self, start: Start) -> None:
        try:
            self._database.fetch(_GIVE_BACK, [PACE_SECONDS, start.connection, start.starts_at])
        except PlatformError as error:
            logger.warning("tmdb connection not given back connection=%s reason=%s", start.connection, error)
