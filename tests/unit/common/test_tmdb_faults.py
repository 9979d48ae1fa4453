"""Every fault kind of the hand-made TMDB, alone and in pairs, in both orders: the right answer or the right error."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from common.errors import MovieNotFoundError, TmdbUnavailableError
from common.tmdb import Deadline, TmdbClient
from common.tmdb import transport as transport_module
from common.tmdb.limits import CircuitBreaker, OwnLimits
from tests.fake_tmdb import KINDS, TOKEN, FakeTmdb, expected

THREADS = 20
SHORTER = 2.5  # all times together, so that what hangs costs two seconds, and a busy machine is still in time


@pytest.fixture
def fake() -> Iterator[FakeTmdb]:
    made = FakeTmdb()
    yield made
    made.close()


@pytest.fixture
def client(fake: FakeTmdb, monkeypatch: pytest.MonkeyPatch) -> Iterator[TmdbClient]:
    """One client for all cases, whose circuit breaker does not open for them."""
    monkeypatch.setattr(transport_module, "ATTEMPT_SECONDS", transport_module.ATTEMPT_SECONDS / SHORTER)
    monkeypatch.setattr(transport_module.random, "uniform", lambda *_: 0.0)
    made = TmdbClient(SecretStr(TOKEN), fake.url, limits=OwnLimits(10_000, THREADS))
    made.transport.breaker = CircuitBreaker(threshold=10_000)
    yield made
    made.close()


def ask(client: TmdbClient, film: int) -> tuple[int, bool]:
    """The status that the answer leads to, and whether it lacks the credits."""
    try:
        return 200, "credits" not in client.fetch_movie(film, Deadline(transport_module.TOTAL_SECONDS / SHORTER))
    except MovieNotFoundError:
        return 404, False
    except TmdbUnavailableError:
        return 503, False


def test_every_fault_alone_and_in_pairs_ends_in_the_right_answer_in_time(fake: FakeTmdb, client: TmdbClient) -> None:
    cases = [*((kind,) for kind in KINDS), *itertools.product(KINDS, KINDS)]
    limit = transport_module.TOTAL_SECONDS / SHORTER + 3.0  # for many threads on few cores

    def try_case(film: int, kinds: tuple[str, ...]) -> str:
        fake.inject(film, *kinds)
        started = time.monotonic()
        found = ask(client, film)
        seconds = time.monotonic() - started
        fine = found == expected(*kinds) and seconds < limit
        return "" if fine else f"{' then '.join(kinds)}: {found} instead of {expected(*kinds)} after {seconds:.1f} s"

    with ThreadPoolExecutor(THREADS) as pool:
        complaints = [complaint for complaint in pool.map(try_case, itertools.count(1), cases) if complaint]
    assert complaints == []
