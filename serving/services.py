"""The parts of the server, made once per process from the settings. Making them connects to nothing."""

import gc
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.environment import export
from common.settings import ROOT, Settings
from common.tmdb import Deadline, TmdbClient
from common.tmdb.limits import Limits
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
from serving.tmdb_limits import SharedLimits

FEAST_THREAD = "feast"  # its import; who takes over from another worker waits for it
WARM_SECONDS = 20.0  # a database that hangs must not keep a champion from answering


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
        workers: processes like this one, whose metrics add up and who divide TMDB's limits when they have to.
    """
    export(settings)  # Feast and MLflow read the environment, not .env
    metrics = Metrics(metrics_folder(settings) if workers > 1 else None)
    database = Database(settings.database_url)
    log = PredictionLog(database, metrics)
    online, live = OnlineFeatures(ROOT / "feature_repo"), LiveFeatures(database)
    tmdb = make_tmdb(settings, SharedLimits(database, workers=workers))
    catalogue = Catalogue(database)
    champions = ChampionWatcher(
        MlflowRegistry(settings.tracking_uri),
        settings.state_dir / "serving" / "champions",
        settings.tracking_uri,
        on_load=partial(_prepare, online=online, live=live, metrics=metrics),
    )
    predictor = Predictor(
        champions=champions,
        catalogue=catalogue,
        landing=Landing(database),
        live=live,
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
        health=Health(champions, database, online, tmdb),
        log=log,
        feedback=Feedback(database),
    )


def _prepare(champion: Champion, *, online: OnlineFeatures, live: LiveFeatures, metrics: Metrics) -> None:
    """All that would make the first film after a start wait for seconds: Feast's import, plans, connections.

    Raises:
        UnknownFeaturesError: no film could be answered by this champion.
    """
    scorer = champion.scorer
    live.refuse_unknown(scorer.feature_names)
    metrics.note_champion(champion.version.version, champion.loaded_at.timestamp())
    steps = (
        threading.Thread(target=online.warm_up, args=[scorer.feature_service], name=FEAST_THREAD, daemon=True),
        threading.Thread(target=live.warm_up, args=[scorer.feature_names], name="plan", daemon=True),
    )
    for step in steps:
        step.start()
    deadline = Deadline(WARM_SECONDS)
    for step in steps:
        step.join(deadline.remaining)
    if steps[0].is_alive():
        online.forget()  # the store of before does not know what this champion reads; requests open one of their own
    # what is loaded by now stays: without this a full collection looks at all of it, 250 ms within some request
    gc.unfreeze()  # the champion before may go
    gc.collect()
    gc.freeze()


def metrics_folder(settings: Settings) -> Path:
    """Where the workers of one server share their numbers."""
    return settings.state_dir / "serving" / "metrics"


def make_tmdb(settings: Settings, limits: Limits | None = None) -> TmdbClient | None:
    """The TMDB client, None when no token is set.

    Raises:
        TmdbCredentialError: the token holds characters that no token has.
    """
    token = settings.tmdb_api_token
    if token is None or not token.get_secret_value().strip():
        return None
    return TmdbClient(token, settings.tmdb_api_base_url, limits=limits)
