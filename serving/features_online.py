"""Features of catalogue films, from Feast's online store by the service that the model names."""

import contextlib
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
        self._store: Any = None
        self._services: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(THREADS, "feast")
        self._silent_until = 0.0

    def warm_up(self, service: str) -> None:
        """Import Feast, read the service and ask the store once before a request does; it will tell what failed.

        The service is read anew: it may have got the features that a new champion needs.
        """
        self.forget()
        with contextlib.suppress(FeatureStoreError):
            self._read([0], service)

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
        rows = [{"movie_id": tmdb_id} for tmdb_id in tmdb_ids]
        try:
            answer = self._open().get_online_features(features=self._service(service), entity_rows=rows).to_dict()
        except FeatureStoreError:
            raise
        except Exception as error:  # Feast passes on whatever its stores and registry raise
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
        with self._lock:
            self._services.clear()
            self._store = None

    def _open(self) -> Any:
        with self._lock:
            if self._store is None:
                self._store = _open_store(self._repository)
            return self._store

    def _service(self, name: str) -> Any:
        service = self._services.get(name)
        if service is None:
            try:
                service = self._services[name] = self._open().get_feature_service(name)
            except Exception as error:  # as above
                self.forget()
                raise _translated(error) from error
        return service


def _open_store(repository: Path) -> Any:
    if not (repository / "feature_store.yaml").exists():
        raise FeatureStoreError(f"{repository / 'feature_store.yaml'} is missing. Start the server in the checkout.")
    from feast import FeatureStore  # imported late: it takes 2 to 5 seconds

    return FeatureStore(repo_path=str(repository))


def _translated(error: Exception) -> FeatureStoreError:
    if isinstance(error, FeatureStoreError):
        return error
    logger.warning("feature store failed kind=%s", type(error).__name__)
    if type(error).__name__ == "FeatureServiceNotFoundException":
        return FeatureStoreError(f"{error}. Run: make up.")
    return FeatureStoreError(
        f"The feature store does not answer ({type(error).__name__}). Check PostgreSQL, then run: make up."
    )
