"""The limits of a process whose database is away."""

import time

from common.errors import DatabaseError
from common.tmdb.limits import Start
from serving.tmdb_limits import CONNECTIONS, SharedLimits


class Away:
    """A database that makes everybody wait before it fails."""

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, *_: object) -> None:
        self.asked += 1
        time.sleep(0.2)
        raise DatabaseError("PostgreSQL does not answer.")


def test_database_that_is_away_is_asked_once_and_the_workers_divide_the_limits() -> None:
    database = Away()
    limits = SharedLimits(database, workers=2)  # type: ignore[arg-type]
    started = time.monotonic()

    starts = [limits.take(time.monotonic() + 0.3) for _ in range(CONNECTIONS // 2 + 1)]

    assert starts == [*[Start(0.0)] * (CONNECTIONS // 2), None]
    assert database.asked == 1
    assert time.monotonic() - started < 1.0
