"""Jobs beside the server: fetch TMDB's answers for the whole catalogue, and delete what may not be kept longer."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from common.errors import (
    MovieNotFoundError,
    TmdbCredentialError,
    TmdbError,
    TmdbNotAskedError,
    TmdbNotConfiguredError,
    TmdbUnavailableError,
)
from common.settings import Settings
from common.tmdb import Deadline, TmdbClient
from serving.database import Database
from serving.films import HOW_TO_GO_LIVE
from serving.landing import Landing
from serving.services import make_tmdb
from serving.tmdb_limits import JOB_CONNECTIONS, SharedLimits

logger = logging.getLogger(__name__)

KEEP = timedelta(days=180)  # TMDB's terms of 2023-10-20, section 1.C: not longer than 6 months
FETCH_SECONDS = 60.0
PATIENCE = 10  # films in a row that TMDB fails: with the pauses between them, a minute and a half
SECONDS_BETWEEN_LINES = 5.0
ANSWERS_AT_A_TIME = 1_000  # 40 kB each; a statement may take 5 s (database.SESSION)
PREDICTIONS_AT_A_TIME = 10_000  # 2 kB each: the slowest such part of 600,000 rows took 0.7 s

_WITHOUT_FRESH_ANSWER = """
    select movies.movie_id
    from marts.dim_movies as movies
    left join raw.tmdb_movies as landed on landed.tmdb_id = movies.movie_id
    where not movies.is_synthetic
        and (landed.tmdb_id is null or landed.source <> 'api' or landed.fetched_at < now() - interval '1 day')
    order by movies.popularity_rank, movies.movie_id
    limit %s
"""

# From where the part before ended: a scan from the start would read again what is deleted already, which stays in the
# index while anybody (a backup) still sees it.
_DELETE_OLD_PREDICTIONS = """
    with gone as (
        delete from serving.prediction_log
        where prediction_id in (
            select prediction_id from serving.prediction_log
            where predicted_at >= %s and predicted_at < now() - %s
            order by predicted_at
            limit %s
        )
        returning predicted_at
    )
    select count(*) as rows, max(predicted_at) as last from gone
"""


def backfill(settings: Settings, *, limit: int | None = None) -> None:
    """Fetch and land every catalogue film without a fresh answer; what has landed is skipped the next time.

    Raises:
        TmdbNotConfiguredError: no token is set.
        TmdbCredentialError: TMDB refuses the token.
    """
    database = Database(settings.database_url, connections=JOB_CONNECTIONS + 1)
    tmdb = make_tmdb(settings, SharedLimits(database, is_job=True))
    if tmdb is None:
        raise TmdbNotConfiguredError(f"There is no TMDB_API_TOKEN. {HOW_TO_GO_LIVE}")
    try:
        wanted = [row["movie_id"] for row in database.fetch(_WITHOUT_FRESH_ANSWER, [limit])]
        fetched, gone, failed = fetch_all(wanted, tmdb, Landing(database))
    finally:
        tmdb.close()
        database.close()
    print(
        f"{fetched:,} of {len(wanted):,} films fetched, {gone:,} are not on TMDB, {failed:,} failed"
        f"{' (repeat to fetch them)' if failed else ''}."
    )


def fetch_all(tmdb_ids: list[int], tmdb: TmdbClient, landing: Landing) -> tuple[int, int, int]:
    """Fetch films within TMDB's limits; returns how many landed, are not on TMDB, and failed.

    Raises:
        TmdbCredentialError: TMDB refuses the token; nothing more is asked then.
        TmdbUnavailableError: it failed PATIENCE films in a row; neither then.
    """
    ended = threading.Event()
    counts = {"fetched": 0, "gone": 0, "failed": 0}
    failed_in_a_row = 0
    with ThreadPoolExecutor(JOB_CONNECTIONS) as pool:
        try:
            asked = [pool.submit(_fetch_one, tmdb_id, tmdb, landing, ended) for tmdb_id in tmdb_ids]
            for result in _shown((future.result() for future in as_completed(asked)), len(tmdb_ids)):
                counts[result] += 1
                failed_in_a_row = failed_in_a_row + 1 if result == "failed" else 0
                if failed_in_a_row == PATIENCE:
                    raise TmdbUnavailableError(
                        f"TMDB failed {PATIENCE} films in a row. {counts['fetched']:,} films were fetched and stay; "
                        "repeat to fetch the others."
                    )
        except BaseException:
            ended.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return counts["fetched"], counts["gone"], counts["failed"]


def _fetch_one(tmdb_id: int, tmdb: TmdbClient, landing: Landing, ended: threading.Event) -> str:
    """Land a film's answer; while TMDB must not be asked, wait."""
    while not ended.is_set():
        try:
            landing.land(tmdb.fetch_movie(tmdb_id, Deadline(FETCH_SECONDS)))
            return "fetched"
        except MovieNotFoundError:
            return "gone"
        except TmdbCredentialError:
            raise
        except TmdbNotAskedError as pause:
            ended.wait(pause.wait_seconds)
        except TmdbError as error:
            logger.warning("backfill failed tmdb_id=%d reason=%s", tmdb_id, error)
            return "failed"
    return "ended"


def _shown(results: Iterator[str], total: int) -> Iterator[str]:
    """The results as they come, with a bar on a terminal and a line now and then elsewhere."""
    console = Console()
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            yield from progress.track(results, total=total, description="films from TMDB")
        return
    said_at = time.monotonic()
    for number, result in enumerate(results, start=1):
        if time.monotonic() - said_at > SECONDS_BETWEEN_LINES:
            said_at = time.monotonic()
            print(f"{number:,} of {total:,} films from TMDB", flush=True)
        yield result


def expire(settings: Settings) -> None:
    """Delete TMDB's answers, and the logged predictions made from them, that are older than KEEP.

    Each part is a transaction of its own: what ends this in the middle undoes none of the parts before.
    """
    database = Database(settings.database_url, connections=1)
    try:
        answers = _add_up(_delete_old_answers(Landing(database)), "old TMDB answers")
        predictions = _add_up(_delete_old_predictions(database), "old logged predictions")
    finally:
        database.close()
    print(f"{answers:,} TMDB answers and {predictions:,} logged predictions older than {KEEP.days} days deleted.")


def _delete_old_answers(landing: Landing) -> Iterator[int]:
    """Part by part; how many went with each."""
    part = ANSWERS_AT_A_TIME
    while part == ANSWERS_AT_A_TIME:
        part = landing.expire(KEEP, limit=ANSWERS_AT_A_TIME)
        yield part


def _delete_old_predictions(database: Database) -> Iterator[int]:
    """Part by part; how many went with each."""
    part, since = PREDICTIONS_AT_A_TIME, "-infinity"
    while part == PREDICTIONS_AT_A_TIME:
        [gone] = database.fetch(_DELETE_OLD_PREDICTIONS, [since, KEEP, PREDICTIONS_AT_A_TIME])
        part, since = gone["rows"], gone["last"]
        yield part


def _add_up(parts: Iterator[int], what: str) -> int:
    """The sum of the parts, with a line now and then when they take long."""
    deleted = 0
    said_at = time.monotonic()
    for part in parts:
        deleted += part
        if time.monotonic() - said_at > SECONDS_BETWEEN_LINES:
            said_at = time.monotonic()
            print(f"{deleted:,} {what} deleted so far", flush=True)
    return deleted
