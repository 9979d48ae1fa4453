"""From films to answers: resolve, get features (live or online), score all films at once, explain each."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from common.errors import MovieNotFoundError, PlatformError, TmdbError
from common.tmdb import Deadline, TmdbClient
from serving.champion import Champion, ChampionWatcher
from serving.explanations import explain, find_missing
from serving.features_live import FeatureRow, LiveFeatures
from serving.features_online import OnlineFeatures
from serving.films import HOW_TO_GO_LIVE, Catalogue, Film, FilmFinder, film_from_payload
from serving.landing import Landed, Landing
from serving.metrics import Metrics
from serving.schemas import (
    ByImdbId,
    ByTitle,
    ByTmdbId,
    Data,
    KnownRating,
    ModelName,
    Movie,
    MovieAnswer,
    Prediction,
    PredictionAnswer,
    poster_url,
)

logger = logging.getLogger(__name__)

Query = ByTmdbId | ByImdbId | ByTitle
SINGLE_SECONDS = 10.0
BATCH_SECONDS = 25.0
PARALLEL_LOOKUPS = 8


@dataclass(frozen=True)
class Subject:
    """A film that is to be predicted, with what is known about it.

    Attributes:
        landed: TMDB's answer, when there is one in the landing table.
        degraded: what was not at its best while finding out, in sentences.
    """

    film: Film
    landed: Landed | None = None
    values: FeatureRow = field(default_factory=dict)
    is_live: bool = False
    degraded: tuple[str, ...] = ()


class Predictor:
    """Answers for films. All its parts are shared by the threads of a process."""

    def __init__(
        self,
        *,
        champions: ChampionWatcher,
        catalogue: Catalogue,
        landing: Landing,
        live: LiveFeatures,
        online: OnlineFeatures,
        tmdb: TmdbClient | None,
        metrics: Metrics,
    ) -> None:
        self._champions = champions
        self._catalogue = catalogue
        self._landing = landing
        self._live = live
        self._online = online
        self._tmdb = tmdb
        self._metrics = metrics
        self._finder = FilmFinder(catalogue, tmdb)

    def predict(self, query: Query) -> PredictionAnswer:
        """Answer for one film.

        Raises:
            PlatformError: of the kind that says why there is no answer.
        """
        answer = self.predict_all([query], seconds=SINGLE_SECONDS)[0]
        if isinstance(answer, PlatformError):
            raise answer
        return answer

    def predict_all(
        self, queries: Sequence[Query], *, seconds: float = BATCH_SECONDS
    ) -> list[PredictionAnswer | PlatformError]:
        """Answer for many films in one pass; a film that cannot be answered gets its error in its place.

        Raises:
            ModelNotReadyError: there is no model, so no film can be answered.
            DatabaseError, FeatureStoreError: nothing can be looked up.
        """
        champion = self._champions.current()
        deadline = Deadline(seconds)
        with self._metrics.stage("resolve"):
            found = self._for_each(queries, lambda query: self._finder.resolve(query, deadline))
        tmdb_ids = list(dict.fromkeys(item for item in found if isinstance(item, int)))
        subjects = self._gather(tmdb_ids, champion, deadline)
        answers = self._score(subjects, champion)
        return [item if isinstance(item, PlatformError) else answers[item] for item in found]

    def describe(self, tmdb_id: int) -> MovieAnswer:
        """What is known about a film, without a prediction.

        Raises:
            MovieNotFoundError: no film has this id.
        """
        subject = self._look_up([tmdb_id], Deadline(SINGLE_SECONDS))[tmdb_id]
        if isinstance(subject, PlatformError):
            raise subject
        return MovieAnswer(movie=movie_facts(subject.film), known_rating=known_rating(subject.film))

    # -- films ---------------------------------------------------------------------------------------------------

    def _look_up(self, tmdb_ids: Sequence[int], deadline: Deadline) -> dict[int, Subject | PlatformError]:
        """Films by id, after TMDB's answer has landed for each that needs one."""
        with self._metrics.stage("catalogue"):
            known = self._catalogue.find(tmdb_ids)
            landed = self._landing.read(tmdb_ids)
        problems = self._refresh(tmdb_ids, known, landed, deadline)
        if self._tmdb is not None:
            landed = self._landing.read(tmdb_ids)
        return {
            tmdb_id: self._subject(tmdb_id, known.get(tmdb_id), landed.get(tmdb_id), problems.get(tmdb_id))
            for tmdb_id in tmdb_ids
        }

    def _refresh(
        self,
        tmdb_ids: Sequence[int],
        known: Mapping[int, Film],
        landed: Mapping[int, Landed],
        deadline: Deadline,
    ) -> dict[int, PlatformError]:
        """Land TMDB's answer for real films that have no fresh one; returns what went wrong, by film."""
        tmdb = self._tmdb
        if tmdb is None:
            return {}

        def is_stale(tmdb_id: int) -> bool:
            answer, film = landed.get(tmdb_id), known.get(tmdb_id)
            is_synthetic = (film and film.is_synthetic) or (answer and answer.is_synthetic)
            return not is_synthetic and not (answer and answer.is_fresh)

        def fetch(tmdb_id: int) -> bool:
            self._landing.land(tmdb.fetch_movie(tmdb_id, deadline))
            return True

        stale = [tmdb_id for tmdb_id in tmdb_ids if is_stale(tmdb_id)]
        with self._metrics.stage("tmdb"):
            results = dict(zip(stale, self._for_each(stale, fetch), strict=True))
        self._metrics.landed.labels("fresh").inc(len(tmdb_ids) - len(stale))
        return {tmdb_id: error for tmdb_id, error in results.items() if isinstance(error, PlatformError)}

    def _subject(
        self, tmdb_id: int, known: Film | None, landed: Landed | None, problem: PlatformError | None
    ) -> Subject | PlatformError:
        if self._tmdb is not None and not isinstance(problem, MovieNotFoundError) and landed and landed.is_fresh:
            self._metrics.landed.labels("fetched").inc()
            film = film_from_payload(landed.facts, known, is_synthetic=False)
            degraded = () if landed.has_credits else ("TMDB left the cast and crew out of its answer.",)
            return Subject(film, landed, is_live=True, degraded=degraded)
        if known is None and landed is None:
            return problem or MovieNotFoundError(
                f"The catalogue has no film with TMDB id {tmdb_id}. {HOW_TO_GO_LIVE}"
            )
        if known is None and isinstance(problem, MovieNotFoundError):
            return problem
        self._metrics.landed.labels("stale" if problem else "none").inc()
        film = known or film_from_payload(landed.facts, None, is_synthetic=landed.is_synthetic)  # type: ignore[union-attr]
        return Subject(film, landed, degraded=_say_degraded(problem, landed))

    # -- features ------------------------------------------------------------------------------------------------

    def _gather(
        self, tmdb_ids: Sequence[int], champion: Champion, deadline: Deadline
    ) -> dict[int, Subject | PlatformError]:
        """Films with their features: the live ones from the views, the others from Feast's online store."""
        if not tmdb_ids:
            return {}
        subjects = self._look_up(tmdb_ids, deadline)
        ready = {tmdb_id: subject for tmdb_id, subject in subjects.items() if isinstance(subject, Subject)}
        offline = [tmdb_id for tmdb_id, subject in ready.items() if not subject.is_live]
        rows: dict[int, FeatureRow] = {}
        failure: PlatformError | None = None
        try:
            with self._metrics.stage("online_features"):
                rows.update(self._online.read(offline, champion.scorer.feature_service))
        except PlatformError as error:
            failure = error
        landed = [tmdb_id for tmdb_id in ready if tmdb_id not in rows and ready[tmdb_id].landed is not None]
        with self._metrics.stage("live_features"):
            rows.update(self._read_live(landed, champion))
        for tmdb_id, subject in ready.items():
            subjects[tmdb_id] = _with_values(subject, rows.get(tmdb_id), failure)
        return subjects

    def _read_live(self, tmdb_ids: Sequence[int], champion: Champion) -> dict[int, FeatureRow]:
        return self._live.read(tmdb_ids, champion.scorer.feature_names) if tmdb_ids else {}

    # -- the model -----------------------------------------------------------------------------------------------

    def _score(
        self, subjects: Mapping[int, Subject | PlatformError], champion: Champion
    ) -> dict[int, PredictionAnswer | PlatformError]:
        """Score all films with one call of the model each way."""
        ready = [subject for subject in subjects.values() if isinstance(subject, Subject)]
        answers: dict[int, PredictionAnswer | PlatformError] = {
            tmdb_id: subject for tmdb_id, subject in subjects.items() if isinstance(subject, PlatformError)
        }
        if not ready:
            return answers
        with self._metrics.stage("model"):
            matrix = champion.scorer.encode([subject.values for subject in ready])
            probabilities = champion.scorer.probabilities(matrix).tolist()
            contributions = champion.scorer.contributions(matrix).tolist()
        with self._metrics.stage("explain"):
            for subject, ratings, shares in zip(ready, probabilities, contributions, strict=True):
                answers[subject.film.tmdb_id] = self._answer(subject, ratings, shares, champion)
        return answers

    def _answer(
        self, subject: Subject, ratings: Sequence[float], shares: Sequence[float], champion: Champion
    ) -> PredictionAnswer:
        scorer = champion.scorer
        verdict = scorer.verdict(ratings[3])
        self._metrics.verdicts.labels(verdict).inc()
        return PredictionAnswer(
            movie=movie_facts(subject.film),
            prediction=Prediction(
                passes=ratings[3] >= 0.5,
                probability=ratings[3],
                verdict=verdict,
                rating_probabilities={"0": ratings[0], "1": ratings[1], "2": ratings[2], "3": ratings[3]},
            ),
            known_rating=known_rating(subject.film),
            reasons=explain(scorer.features, subject.values, shares),
            data=Data(
                live=subject.is_live,
                fetched_at=fetched_at(subject.landed),
                missing=find_missing(scorer.features, subject.values),
                degraded=list(subject.degraded),
            ),
            model=ModelName(
                name=champion.version.name,
                version=champion.version.version,
                feature_service=scorer.feature_service,
            ),
        )

    def _for_each(self, items: Sequence[Any], call: Any) -> list[Any]:
        """Apply a call to each item, several at a time when there are many; an error takes its item's place."""

        def guarded(item: Any) -> Any:
            try:
                return call(item)
            except (MovieNotFoundError, TmdbError) as error:
                return error
            except PlatformError as error:
                if len(items) == 1:
                    raise
                return error

        if len(items) < 2:
            return [guarded(item) for item in items]
        with ThreadPoolExecutor(min(PARALLEL_LOOKUPS, len(items))) as pool:
            return list(pool.map(guarded, items))


def known_rating(film: Film) -> KnownRating | None:
    """The rating that people gave, with where it comes from."""
    if film.rating is None:
        return None
    source = "synthetic sample" if film.is_synthetic else "bechdeltest.com"
    return KnownRating(rating=film.rating, dubious=film.is_dubious, source=source)


def movie_facts(film: Film) -> Movie:
    """The film as answers name it."""
    return Movie(
        tmdb_id=film.tmdb_id,
        imdb_id=film.imdb_id,
        title=film.title,
        year=film.year,
        poster_url=None if film.is_synthetic else poster_url(film.poster_path),
        synthetic=film.is_synthetic,
    )


def fetched_at(landed: Landed | None) -> datetime | None:
    """When TMDB itself gave the data; loading a file is not that."""
    return landed.fetched_at if landed is not None and landed.source == "api" else None


def _say_degraded(problem: PlatformError | None, landed: Landed | None) -> tuple[str, ...]:
    if problem is None:
        return ()
    if landed is not None and landed.source == "api":
        return (f"{problem} This answer uses TMDB's data of {landed.fetched_at:%Y-%m-%d %H:%M} UTC.",)
    return (f"{problem} This answer uses the data that was loaded with the catalogue.",)


def _with_values(
    subject: Subject, values: FeatureRow | None, failure: PlatformError | None
) -> Subject | PlatformError:
    if values is not None:
        note = () if failure is None or subject.is_live else (f"{failure} Features were computed anew.",)
        return replace(subject, values=values, degraded=(*subject.degraded, *note))
    if failure is not None:
        return failure
    return MovieNotFoundError(
        f"{subject.film.title} ({subject.film.tmdb_id}) is in the catalogue but has no features yet. "
        "Run: make init-infra"
    )
