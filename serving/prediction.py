"""From films to answers: resolve, get features (live or online), score all films at once, explain each."""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from common.errors import AdultMovieError, MovieNotFoundError, PlatformError, UnexpectedError
from common.sentences import plain_value
from common.tmdb import Deadline, TmdbClient
from serving.champion import Champion, ChampionWatcher
from serving.explanations import explain, find_missing
from serving.features_live import FeatureRow, LiveFeatures
from serving.features_online import OnlineFeatures
from serving.film_states import FilmState, FilmStates
from serving.films import HOW_TO_GO_LIVE, Catalogue, Film, FilmFinder, film_from_payload
from serving.landing import Landed, Landing
from serving.metrics import Metrics
from serving.prediction_log import LoggedPrediction, PredictionLog, StageClock
from serving.request_context import request_id
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
from serving.scored_films import ScoredFilm, ScoredFilms

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
        is_live: whether that answer is of today.
        degraded: what was not at its best while finding out, in sentences.
    """

    film: Film
    landed: Landed | None = None
    is_live: bool = False
    degraded: tuple[str, ...] = ()

    @property
    def has_tmdb(self) -> bool:
        """Whether TMDB itself has answered, today or before: the features are then computed from that answer."""
        return self.landed is not None and self.landed.source == "api"


@dataclass(frozen=True)
class Scoring:
    """A subject, what the model says about it, the answer with both, and whether the model's part was remembered."""

    subject: Subject
    scored: ScoredFilm
    answer: PredictionAnswer
    is_cached: bool


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
        log: PredictionLog | None = None,
    ) -> None:
        self._champions = champions
        self._landing = landing
        self._live = live
        self._online = online
        self._tmdb = tmdb
        self._metrics = metrics
        self._log = log
        self._finder = FilmFinder(catalogue, tmdb)
        self._states = FilmStates(catalogue)
        self._scored = ScoredFilms()

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
        deadline, clock = Deadline(seconds), StageClock(self._metrics)
        with clock("resolve"):
            found = self._resolve(queries, deadline)
        tmdb_ids = list(dict.fromkeys(item for item in found if isinstance(item, int)))
        subjects = self._look_up(tmdb_ids, deadline, clock)
        scorings = self._score(subjects, champion, clock)
        self._write_down(scorings, champion, clock)
        answers: dict[int, PredictionAnswer | PlatformError] = {}
        for tmdb_id, scoring in scorings.items():
            if isinstance(scoring, Scoring):
                self._metrics.verdict(scoring.scored.verdict).inc()
            answers[tmdb_id] = scoring.answer if isinstance(scoring, Scoring) else scoring
        return [item if isinstance(item, PlatformError) else answers[item] for item in found]

    def describe(self, tmdb_id: int) -> MovieAnswer:
        """What is known about a film, without a prediction.

        Raises:
            MovieNotFoundError: no film has this id.
        """
        subject = self._look_up([tmdb_id], Deadline(SINGLE_SECONDS), StageClock(self._metrics))[tmdb_id]
        if isinstance(subject, PlatformError):
            raise subject
        return MovieAnswer(
            movie=movie_facts(subject.film), known_rating=known_rating(subject.film), degraded=list(subject.degraded)
        )

    # -- films ---------------------------------------------------------------------------------------------------

    def _resolve(self, queries: Sequence[Query], deadline: Deadline) -> list[int | PlatformError]:
        """The TMDB id of each film that is meant; whoever gave it is not looked up."""
        found: list[Any] = [query.tmdb_id if isinstance(query, ByTmdbId) else None for query in queries]
        named = [position for position, tmdb_id in enumerate(found) if tmdb_id is None]
        looked_up = self._for_each(named, lambda position: self._finder.resolve(queries[position], deadline))
        for position, result in zip(named, looked_up, strict=True):
            found[position] = result
        return found

    def _look_up(
        self, tmdb_ids: Sequence[int], deadline: Deadline, clock: StageClock
    ) -> dict[int, Subject | PlatformError]:
        """Films by id, after TMDB's answer has landed for each that needs one."""
        if not tmdb_ids:
            return {}
        with clock("catalogue"):
            found = self._states.read(tmdb_ids)
        states = {tmdb_id: state for tmdb_id, state in found.items() if isinstance(state, FilmState)}
        fetched = self._refresh(states, deadline, clock)
        unread = {tmdb_id: error for tmdb_id, error in found.items() if isinstance(error, PlatformError)}
        return unread | {i: self._subject(i, state, fetched.get(i)) for i, state in states.items()}

    def _refresh(
        self, states: dict[int, FilmState], deadline: Deadline, clock: StageClock
    ) -> dict[int, Landed | PlatformError]:
        """Land TMDB's answer for real films that have no fresh one; returns it or what went wrong, by film."""
        tmdb = self._tmdb
        if tmdb is None:
            return {}

        def fetch(tmdb_id: int) -> Landed:
            return self._landing.land(tmdb.fetch_movie(tmdb_id, deadline))

        stale = [tmdb_id for tmdb_id, state in states.items() if _is_stale(state)]
        if not stale:
            return {}
        with clock("tmdb"):
            results: dict[int, Landed | PlatformError] = dict(zip(stale, self._for_each(stale, fetch), strict=True))
        for tmdb_id, result in results.items():
            if isinstance(result, Landed):
                self._states.put(tmdb_id, result)
                states[tmdb_id] = FilmState(states[tmdb_id].film, result)
        return results

    def _subject(
        self, tmdb_id: int, state: FilmState, fetched: Landed | PlatformError | None
    ) -> Subject | PlatformError:
        known, landed = state.film, state.landed
        problem = fetched if isinstance(fetched, PlatformError) else None
        if isinstance(problem, AdultMovieError):
            return problem
        notes = (state.note,) if state.note else ()
        if self._tmdb is not None and not isinstance(problem, MovieNotFoundError) and landed and landed.is_fresh:
            self._metrics.lookup("fetched" if fetched else "fresh").inc()
            film = film_from_payload(landed.facts, known, is_synthetic=False)
            if not landed.has_credits:
                notes = (*notes, "TMDB left the cast and crew out of its answer.")
            return Subject(film, landed, is_live=True, degraded=notes)
        if known is None and landed is None:
            return problem or MovieNotFoundError(
                f"The catalogue has no film with TMDB id {tmdb_id}. {HOW_TO_GO_LIVE}"
            )
        if known is None and isinstance(problem, MovieNotFoundError):
            return problem
        self._metrics.lookup("stale" if problem else "none").inc()
        film = known or film_from_payload(landed.facts, None, is_synthetic=landed.is_synthetic)  # type: ignore[union-attr]
        return Subject(film, landed, degraded=(*notes, *_say_degraded(problem, landed)))

    # -- the model -----------------------------------------------------------------------------------------------

    def _score(
        self, subjects: Mapping[int, Subject | PlatformError], champion: Champion, clock: StageClock
    ) -> dict[int, Scoring | PlatformError]:
        """Films with what the model says: remembered where nothing has changed, all others together."""
        scorings: dict[int, Scoring | PlatformError] = {}
        unknown: dict[int, Subject] = {}
        published_at = self._states.published_at()
        keys = {i: _key(s, champion, published_at) for i, s in subjects.items() if isinstance(s, Subject)}
        for tmdb_id, subject in subjects.items():
            if isinstance(subject, PlatformError):
                scorings[tmdb_id] = subject
                continue
            scored = self._scored.get(keys[tmdb_id])
            if scored is None:
                unknown[tmdb_id] = subject
            else:
                scorings[tmdb_id] = self._scoring(subject, scored, champion, is_cached=True)
        self._metrics.cache.labels("hit").inc(len(keys) - len(unknown))
        if unknown:
            self._metrics.cache.labels("miss").inc(len(unknown))
            try:
                anew = self._score_anew(unknown, champion, clock)
            except PlatformError as error:
                if not any(isinstance(scoring, Scoring) for scoring in scorings.values()):
                    raise
                anew = dict.fromkeys(unknown, error)
            for tmdb_id, result in anew.items():
                scorings[tmdb_id] = result
                if isinstance(result, Scoring) and not result.scored.note:
                    self._scored.put(keys[tmdb_id], result.scored)
        return scorings

    def _score_anew(
        self, subjects: Mapping[int, Subject], champion: Champion, clock: StageClock
    ) -> dict[int, Scoring | PlatformError]:
        """Score films together; of many live ones some while PostgreSQL computes the features of others.

        Raises:
            DatabaseError, FeatureStoreError: no film could be scored.
        """
        results: dict[int, Scoring | PlatformError] = {}
        failure = unread = None
        try:
            for rows, failure in self._read_features(subjects, champion, clock):
                results.update(self._score_rows(subjects, rows, failure, champion, clock))
        except PlatformError as error:
            if not results:
                raise
            unread = error
        for tmdb_id in subjects.keys() - results.keys():
            subject = subjects[tmdb_id]
            not_computed = unread if subject.landed else None
            not_stored = None if subject.has_tmdb else failure
            results[tmdb_id] = not_computed or not_stored or _without_features(subject)
        return results

    def _read_features(
        self, subjects: Mapping[int, Subject], champion: Champion, clock: StageClock
    ) -> Iterator[tuple[Mapping[int, FeatureRow], PlatformError | None]]:
        """Features by film, from Feast's online store and, part by part, from the live view; and why Feast failed."""
        failure: PlatformError | None = None
        names = champion.scorer.feature_names
        live = [i for i, subject in subjects.items() if subject.has_tmdb]
        stored = [i for i, subject in subjects.items() if not subject.has_tmdb]
        if stored:
            rows: Mapping[int, FeatureRow] = {}
            try:
                with clock("online_features"):
                    rows = self._online.read(stored, champion.scorer.feature_service)
            except PlatformError as error:
                failure = error
            yield rows, failure
            live += [i for i in stored if i not in rows and subjects[i].landed is not None]
        for part in clock.each("live_features", self._live.read_in_parts(live, names)):
            yield part, failure

    def _score_rows(
        self,
        subjects: Mapping[int, Subject],
        rows: Mapping[int, FeatureRow],
        failure: PlatformError | None,
        champion: Champion,
        clock: StageClock,
    ) -> Iterator[tuple[int, Scoring]]:
        """Score films whose features are there in one pass."""
        if not rows:
            return
        scorer = champion.scorer
        with clock("model"):
            matrix = scorer.encode(list(rows.values()))
            ratings = scorer.probabilities(matrix).tolist()
            contributions = scorer.contributions(matrix).tolist()
        with clock("explain"):
            for (tmdb_id, values), probabilities, shares in zip(rows.items(), ratings, contributions, strict=True):
                subject = subjects[tmdb_id]
                scored = ScoredFilm(
                    vector=_vector(champion, values),
                    ratings=tuple(probabilities),
                    verdict=scorer.verdict(probabilities[3]),
                    reasons=explain(scorer.features, values, shares),
                    missing=find_missing(scorer.features, values),
                    note=f"{failure} Features were computed anew." if failure and not subject.has_tmdb else "",
                )
                yield tmdb_id, self._scoring(subject, scored, champion, is_cached=False)

    def _scoring(self, subject: Subject, scored: ScoredFilm, champion: Champion, *, is_cached: bool) -> Scoring:
        ratings = scored.ratings
        degraded = (*subject.degraded, scored.note) if scored.note else subject.degraded
        answer = PredictionAnswer(
            movie=movie_facts(subject.film),
            prediction=Prediction(
                passes=ratings[3] >= 0.5,
                probability=ratings[3],
                verdict=scored.verdict,
                rating_probabilities={"0": ratings[0], "1": ratings[1], "2": ratings[2], "3": ratings[3]},
            ),
            known_rating=known_rating(subject.film),
            reasons=list(scored.reasons),
            data=Data(
                live=subject.is_live,
                fetched_at=fetched_at(subject.landed),
                missing=list(scored.missing),
                degraded=list(degraded),
            ),
            model=ModelName(
                name=champion.version.name,
                version=champion.version.version,
                feature_service=champion.scorer.feature_service,
            ),
        )
        return Scoring(subject, scored, answer, is_cached)

    def _write_down(
        self, scorings: Mapping[int, Scoring | PlatformError], champion: Champion, clock: StageClock
    ) -> None:
        """A row of the prediction log for each film."""
        if self._log is None:
            return
        moment = datetime.now(UTC)
        for tmdb_id, scoring in scorings.items():
            if isinstance(scoring, PlatformError):
                continue
            landed = scoring.subject.landed
            self._log.put(
                LoggedPrediction(
                    request_id=request_id.get(),
                    predicted_at=moment,
                    movie_id=tmdb_id,
                    payload_hash=landed.payload_hash if landed else None,
                    model_name=champion.version.name,
                    model_version=champion.version.version,
                    feature_service=champion.scorer.feature_service,
                    vector=scoring.scored.vector,
                    rating_probabilities=scoring.scored.ratings,
                    verdict=scoring.scored.verdict,
                    is_live=scoring.subject.is_live,
                    is_cached=scoring.is_cached,
                    degraded=tuple(scoring.answer.data.degraded),
                    stage_seconds=clock.seconds,
                )
            )

    def _for_each(self, items: Sequence[Any], call: Any) -> list[Any]:
        """Apply a call to each item, several at a time when there are many; an error takes its item's place."""

        number = request_id.get()  # the pool's threads do not see it

        def guarded(item: Any) -> Any:
            try:
                return call(item)
            except PlatformError as error:
                return error
            except Exception:  # a bug that one film brings up must not take the others' answers
                logger.exception("film failed unexpectedly request_id=%s", number)
                return UnexpectedError("Something failed inside the server. The log holds the details.")

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


def _is_stale(state: FilmState) -> bool:
    """Whether TMDB has to be asked; it knows no made-up films."""
    film, landed = state.film, state.landed
    is_synthetic = (film and film.is_synthetic) or (landed and landed.is_synthetic)
    return not is_synthetic and not (landed and landed.is_fresh)


def _key(subject: Subject, champion: Champion, published_at: datetime | None) -> Hashable:
    """What a film's vector and score depend on."""
    landed = subject.landed
    payload = (landed.payload_hash, landed.has_credits, landed.loaded_at) if landed else None
    version = champion.version
    return subject.film.tmdb_id, subject.is_live, payload, published_at, version.version, version.run_id


def _vector(champion: Champion, values: FeatureRow) -> bytes:
    """Feature values by name for the log; texts stay where they are, in the catalogue and the landing table."""
    vector = {name: values[name] for name in champion.scorer.value_names}
    written = orjson.dumps(vector, default=plain_value, option=orjson.OPT_SERIALIZE_NUMPY)  # nan becomes null
    return bytes(memoryview(written))  # orjson's object keeps all the room that it was written in, here 32 kB for 3


def _without_features(subject: Subject) -> MovieNotFoundError:
    return MovieNotFoundError(
        f"{subject.film.title} ({subject.film.tmdb_id}) is in the catalogue but has no features yet. Run: make up"
    )
