"""A feature store that says nothing costs seconds, not half a minute."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import FeatureStoreError
from serving import features_online, services
from serving.features_online import OnlineFeatures, _OpenedStore
from serving.metrics import Metrics


class OnlineAnswer(dict[str, list[float]]):
    """What Feast's store answers with."""

    def to_dict(self) -> dict[str, list[float]]:
        return self


def test_silent_store_is_given_up_and_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_online, "READ_SECONDS", 0.1)
    answered, asked = threading.Event(), []

    class Store:
        def get_feature_service(self, name: str) -> str:
            return name

        def get_online_features(self, features: str, **_: object) -> None:
            asked.append(features)
            answered.wait(10)
            raise ConnectionError

    monkeypatch.setattr(features_online, "_open_store", lambda _: _OpenedStore(Store()))
    online = OnlineFeatures(Path())

    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(FeatureStoreError, match="did not answer"):
            online.read([1], "movie_bechdel_v1")

    assert time.monotonic() - started < 2
    assert len(asked) == 1
    answered.set()


def test_champion_finds_the_features_that_its_service_has_got_since(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = ["women"]

    class Store:
        def get_feature_service(self, _: str) -> tuple[str, ...]:
            return tuple(registered)

        def get_online_features(self, features: tuple[str, ...], entity_rows: list[dict[str, int]]) -> OnlineAnswer:
            ids = [row["movie_id"] for row in entity_rows]
            return OnlineAnswer({"movie_id": ids, **{name: [1.0] * len(ids) for name in features}})

    monkeypatch.setattr(features_online, "_open_store", lambda _: _OpenedStore(Store()))
    online = OnlineFeatures(Path())
    online.warm_up("movie_bechdel_v1")
    assert set(online.read([1], "movie_bechdel_v1")[1]) == {"women"}

    registered.append("pairs")
    online.warm_up("movie_bechdel_v1")  # as a new champion does

    assert set(online.read([1], "movie_bechdel_v1")[1]) == {"women", "pairs"}


class Named:
    """A feature store that says which it is, and may fail or wait for a sign."""

    def __init__(self, number: float, *, fails: bool = False, sign: threading.Event | None = None) -> None:
        self._number, self._fails, self._sign = number, fails, sign
        self.is_asked = threading.Event()

    def get_feature_service(self, name: str) -> str:
        return name

    def get_online_features(self, entity_rows: list[dict[str, int]], **_: object) -> OnlineAnswer:
        self.is_asked.set()
        if self._sign is not None:
            self._sign.wait(10)
        if self._fails:
            raise ConnectionError
        return OnlineAnswer({"movie_id": [row["movie_id"] for row in entity_rows], "store": [self._number]})


def open_in_turn(monkeypatch: pytest.MonkeyPatch, *stores: Named) -> OnlineFeatures:
    coming = iter(stores)
    monkeypatch.setattr(features_online, "_open_store", lambda _: _OpenedStore(next(coming)))
    return OnlineFeatures(Path())


def test_requests_keep_their_store_until_the_new_one_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = threading.Event()
    new = Named(2.0, sign=sign)
    online = open_in_turn(monkeypatch, Named(1.0), new)
    online.warm_up("movie_bechdel_v1")

    swap = threading.Thread(target=online.warm_up, args=["movie_bechdel_v1"])
    swap.start()
    assert new.is_asked.wait(10)
    assert online.read([1], "movie_bechdel_v1")[1] == {"store": 1.0}
    sign.set()
    swap.join(10)

    assert online.read([1], "movie_bechdel_v1")[1] == {"store": 2.0}


def test_store_that_fails_while_a_champion_warms_up_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    online = open_in_turn(monkeypatch, Named(1.0), Named(2.0, fails=True), Named(3.0))

    for _ in range(2):
        online.warm_up("movie_bechdel_v1")

    assert online.read([1], "movie_bechdel_v1")[1] == {"store": 3.0}


def test_request_that_fails_on_the_store_of_before_leaves_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = threading.Event()
    old = Named(1.0, fails=True, sign=sign)
    online = open_in_turn(monkeypatch, old, Named(2.0))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(online.read, [1], "movie_bechdel_v1")
        assert old.is_asked.wait(10)
        online.warm_up("movie_bechdel_v1")
        sign.set()
        with pytest.raises(FeatureStoreError):
            slow.result(10)

    assert online.read([1], "movie_bechdel_v1")[1] == {"store": 2.0}


def test_warm_up_that_outlives_the_next_one_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = threading.Event()
    old = Named(1.0, sign=sign)
    online = open_in_turn(monkeypatch, old, Named(2.0))
    slow = threading.Thread(target=online.warm_up, args=["movie_bechdel_v1"])
    slow.start()
    assert old.is_asked.wait(10)
    online.warm_up("movie_bechdel_v1")
    sign.set()
    slow.join(10)

    assert online.read([1], "movie_bechdel_v1")[1] == {"store": 2.0}


def test_champion_whose_warm_up_takes_too_long_gets_a_store_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = threading.Event()
    online = open_in_turn(monkeypatch, Named(1.0), Named(2.0, sign=sign), Named(3.0))
    online.warm_up("movie_bechdel_v1")
    monkeypatch.setattr(services, "WARM_SECONDS", 0.05)
    live = SimpleNamespace(warm_up=lambda _: None, refuse_unknown=lambda _: None)
    champion = SimpleNamespace(
        version=SimpleNamespace(version="2"),
        loaded_at=datetime.now(UTC),
        scorer=SimpleNamespace(feature_service="movie_bechdel_v1", feature_names=()),
    )
    services._prepare(champion, online=online, live=live, metrics=Metrics())  # type: ignore[arg-type]

    assert online.read([1], "movie_bechdel_v1")[1] == {"store": 3.0}
    sign.set()
