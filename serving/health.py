"""Is the process alive, and can it answer? Readiness names each part that it depends on."""

from typing import Any

from common.errors import PlatformError
from common.tmdb import TmdbClient
from serving.champion import ChampionWatcher
from serving.database import Database
from serving.features_online import OnlineFeatures


class Health:
    """Looks at the parts that answers depend on. Only the model and the database are needed to be ready."""

    def __init__(
        self, champions: ChampionWatcher, database: Database, online: OnlineFeatures, tmdb: TmdbClient | None
    ) -> None:
        self._champions = champions
        self._database = database
        self._online = online
        self._tmdb = tmdb

    def check(self) -> tuple[list[str], dict[str, Any]]:
        """What stands in the way of answering, in sentences (empty: ready), and the state of each part."""
        checks: dict[str, Any] = {"tmdb": self._tmdb_state()}
        obstacles: list[str] = []
        for name, look in (("model", self._look_at_model), ("database", self._look_at_database)):
            try:
                checks[name] = look()
            except PlatformError as error:
                checks[name] = {"ok": False, "detail": str(error)}
                obstacles.append(str(error))
        checks["feature_store"] = _not_asked("without model and database") if obstacles else self._store_state()
        checks["mlflow"] = self._mlflow_state()
        return obstacles, checks

    def _look_at_model(self) -> dict[str, Any]:
        champion = self._champions.current()
        facts: dict[str, Any] = {
            "ok": True,
            "version": champion.version.version,
            "loaded_at": champion.loaded_at.isoformat(),
        }
        if self._champions.state.refused:
            facts["detail"] = f"A newer champion is not served: {self._champions.state.refused}"
        return facts

    def _look_at_database(self) -> dict[str, Any]:
        self._database.fetch("select 1 from marts.dim_movies limit 1")
        return {"ok": True}

    def _store_state(self) -> dict[str, Any]:
        """Asked for a film that nobody has."""
        try:
            self._online.read([0], self._champions.current().scorer.feature_service)
        except PlatformError as error:
            return {"ok": False, "detail": f"{error} Meanwhile features are computed anew."}
        return {"ok": True}

    def _mlflow_state(self) -> dict[str, Any]:
        state = self._champions.state
        if state.registry_problem:
            return {"ok": False, "detail": f"{state.registry_problem}; the loaded model stays"}
        if state.looked_at is None:
            return _not_asked("yet")
        return {"ok": True}

    def _tmdb_state(self) -> dict[str, Any]:
        if self._tmdb is None:
            return {"ok": True, "detail": "not configured: films come from the catalogue"}
        if self._tmdb.transport.breaker.is_open:
            return {"ok": False, "detail": "failed several times in a row; films come from what is stored"}
        if self._tmdb.transport.is_refused:
            return {"ok": False, "detail": "refuses TMDB_API_TOKEN; films come from what is stored"}
        return {"ok": True}


def _not_asked(why: str) -> dict[str, Any]:
    return {"ok": False, "detail": f"not asked {why}"}
