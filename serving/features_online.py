"""Features of catalogue films, from Feast's online store by the service that the model names."""

import itertools
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common.errors import FeatureStoreError
from serving.features_live import FeatureRow

logger = logging.getLogger(__name__)

READ_SECONDS = 5.0  # Feast's stores wait for a connection for half a minute
PAUSE_SECONDS = 3.0  # nobody waits for a silent store again for so long
THREADS = 16
SILENT = f"The feature store did not answer in {READ_SECONDS:.0f} seconds. Check PostgreSQL, then try again."


class OnlineFeatures:
    """Reads Feast's online store. Feast takes seconds to import, so that happens when it is first needed."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._opened: _OpenedStore | None = None
        self._lock = threading.Lock()
        self._warm_ups = itertools.count(1)
        self._last_warm_up = 0
        self._readers = ThreadPoolExecutor(THREADS, "feast")
        self._silent_until = 0.0

    def warm_up(self, service: str) -> None:
        """Import Feast, read a service and ask the store once before a request does.

        The service is read anew, since it may have got the features that a new champion needs. Until the new store
        has answered, requests keep the one that they have; when it fails, the next request opens one.
        """
        number = self._last_warm_up = next(self._warm_ups)
        opened: _OpenedStore | None = None
        try:
            opened = _open_store(self._repository)
            opened.ask([0], service)
        except Exception as error:  # noqa: BLE001 - as in `_read()`
            logger.warning("feature store failed while warming up kind=%s", type(error).__name__)
            opened = None
        if number == self._last_warm_up:  # else a later champion has come meanwhile
            self._opened = opened

    def read(self, tmdb_ids: Sequence[int], service: str) -> dict[int, FeatureRow]:
        """Feature values by film; a film that was never materialized is absent, a value may be None.

        Raises:
            FeatureStoreError: Feast's registry or store cannot answer in time, or does not know the service.
        """
        if not tmdb_ids:
            return {}
        if time.monotonic() < self._silent_until:
            raise FeatureStoreError(SILENT)
        try:
            return self._readers.submit(self._read, tmdb_ids, service).result(READ_SECONDS)
        except TimeoutError as error:
            self._silent_until = time.monotonic() + PAUSE_SECONDS
            raise FeatureStoreError(SILENT) from error

    def _read(self, tmdb_ids: Sequence[int], service: str) -> dict[int, FeatureRow]:
        opened: _OpenedStore | None = None
        try:
            opened = self._open()
            answer = opened.ask(tmdb_ids, service)
        except Exception as error:  # Feast passes on whatever its stores and registry raise
            if self._opened is opened:  # else a new one has come meanwhile
                self.forget()
            raise _translated(error) from error
        names = [name for name in answer if name != "movie_id"]
        found = {
            tmdb_id: {name: answer[name][position] for name in names}
            for position, tmdb_id in enumerate(answer["movie_id"])
        }
        return {tmdb_id: row for tmdb_id, row in found.items() if any(value is not None for value in row.values())}

    def forget(self) -> None:
        """Open the store and read the services anew at the next question."""
        self._opened = None

    def _open(self) -> "_OpenedStore":
        with self._lock:
            opened = self._opened
            if opened is None:
                fresh = _open_store(self._repository)
                opened = self._opened = self._opened or fresh  # a warm-up may have been quicker
            return opened


class _OpenedStore:
    """A feature store and the services that it has been asked for, each read from the registry once."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self._services: dict[str, Any] = {}
        self._lock = threading.Lock()

    def ask(self, tmdb_ids: Sequence[int], service: str) -> dict[str, list[Any]]:
        """The films' values by column, `movie_id` among them; raises whatever Feast raises."""
        rows = [{"movie_id": tmdb_id} for tmdb_id in tmdb_ids]
        answer = self.store.get_online_features(features=self._service(service), entity_rows=rows)
        values: dict[str, list[Any]] = answer.to_dict()
        return values

    def _service(self, name: str) -> Any:
        service = self._services.get(name)
        if service is None:
            with self._lock:  # reading one takes many questions to the registry: once for all who wait
                service = self._services.get(name) or self.store.get_feature_service(name)
                self._services[name] = service
        return service


def _open_store(repository: Path) -> _OpenedStore:
    if not (repository / "feature_store.yaml").exists():
        raise FeatureStoreError(f"{repository / 'feature_store.yaml'} is missing. Start the server in the checkout.")
    from feast import FeatureStore  # imported late: it takes 2 to 5 seconds

    return _OpenedStore(FeatureStore(repo_path=str(repository)))


def _translated(error: Exception) -> FeatureStoreError:
    if isinstance(error, FeatureStoreError):
        return error
    logger.warning("feature store failed kind=%s", type(error).__name__)
    if type(error).__name__ == "FeatureServiceNotFoundException":
        return FeatureStoreError(f"{error}. Run: make up.")
    return FeatureStoreError(
        f"The feature store does not answer ({type(error).__name__}). Check PostgreSQL, then run: make up."
    )
