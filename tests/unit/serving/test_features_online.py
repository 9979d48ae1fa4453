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
            asked.append(name)
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
