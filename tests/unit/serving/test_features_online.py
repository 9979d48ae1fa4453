"""A feature store that says nothing costs seconds, not half a minute."""

import threading
import time
from pathlib import Path

import pytest

from common.errors import FeatureStoreError
from serving import features_online
from serving.features_online import OnlineFeatures


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

    monkeypatch.setattr(features_online, "_open_store", lambda _: Store())
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

    class OnlineAnswer(dict[str, list[float]]):
        def to_dict(self) -> dict[str, list[float]]:
            return self

    class Store:
        def get_feature_service(self, _: str) -> tuple[str, ...]:
            return tuple(registered)

        def get_online_features(self, features: tuple[str, ...], entity_rows: list[dict[str, int]]) -> OnlineAnswer:
            ids = [row["movie_id"] for row in entity_rows]
            return OnlineAnswer({"movie_id": ids, **{name: [1.0] * len(ids) for name in features}})

    monkeypatch.setattr(features_online, "_open_store", lambda _: Store())
    online = OnlineFeatures(Path())
    online.warm_up("movie_bechdel_v1")
    assert set(online.read([1], "movie_bechdel_v1")[1]) == {"women"}

    registered.append("pairs")
    online.warm_up("movie_bechdel_v1")  # as a new champion does

    assert set(online.read([1], "movie_bechdel_v1")[1]) == {"women", "pairs"}
