"""The parts of the server, made once per process from the settings. Making them connects to nothing."""

import threading
from dataclasses import dataclass
from pathlib import Path

from common.environment import export
from common.settings import ROOT, Settings
from common.tmdb import TmdbClient
from serving.champion import Champion, ChampionWatcher, MlflowRegistry
from serving.database import Database
from serving.features_live import LiveFeatures
from serving.features_online import OnlineFeatures
from serving.feedback import Feedback
from serving.films import Catalogue, FilmFinder
from serving.health import Health
from serving.landing import Landing
from serving.metrics import Metrics
from serving.prediction import Predictor
from serving.prediction_log import PredictionLog

TMDB_REQUESTS_PER_SECOND = 20
TMDB_CONNECTIONS = 10


@dataclass(frozen=True)
class Services:
    """What request handlers use."""

    settings: Settings
    metrics: Metrics
    database: Database
    champions: ChampionWatcher
    finder: FilmFinder
    predictor: Predictor
    health: Health
    log: PredictionLog
    feedback: Feedback


def make_services(settings: Settings, *, workers: int = 1) -> Services:
    """Wire the parts together.

    Args:
        workers: processes that share the machine's limits towards TMDB.
    """
    export(settings)  # Feast and MLflow read the environment, not .env
    metrics = Metrics(metrics_folder(settings) if workers > 1 else None)
    database = Database(settings.database_url, settings.serving_threads)
    log = PredictionLog(database, metrics)
    online = OnlineFeatures(ROOT / "feature_repo")
    tmdb = make_tmdb(settings, workers)
    catalogue = Catalogue(database)

    def prepare(champion: Champion) -> None:
        metrics.note_champion(champion.version.version, champion.loaded_at.timestamp())
        service = champion.scorer.feature_service
        threading.Thread(target=online.warm_up, args=[service], name="feast", daemon=True).start()

    champions = ChampionWatcher(
        MlflowRegistry(settings.tracking_uri),
        settings.state_dir / "serving" / "champions",
        settings.tracking_uri,
        on_load=prepare,
    )
    predictor = Predictor(
        champions=champions,
        catalogue=catalogue,
        landing=Landing(database),
        live=LiveFeatures(database),
        online=online,
        tmdb=tmdb,
        metrics=metrics,
        log=log,
    )
    return Services(
        settings=settings,
        metrics=metrics,
        database=database,
        champions=champions,
        finder=FilmFinder(catalogue, tmdb),
        predictor=predictor,
        health=Health(champions, database, tmdb),
        log=log,
        feedback=Feedback(database),
    )


def metrics_folder(settings: Settings) -> Path:
    """Where the workers of one server share their numbers."""
    return settings.state_dir / "serving" / "metrics"


def make_tmdb(settings: Settings, workers: int) -> TmdbClient | None:
    """The TMDB client, None when no token is set.

    Raises:
        TmdbCredentialError: the token holds characters that no token has.
    """
    token = settings.tmdb_api_token
    if token is None or not token.get_secret_value().strip():
        return None
    return TmdbClient(
        token,
        settings.tmdb_api_base_url,
        requests_per_second=max(1, TMDB_REQUESTS_PER_SECOND // workers),
        connections=max(1, TMDB_CONNECTIONS // workers),
    )
