"""What the API takes and gives: these models validate requests, build answers and make the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, RootModel, Tag

MAX_BATCH = 100
MAX_TMDB_ID = 2**31 - 1
TITLE_LENGTH = 200
POSTERS = "https://image.tmdb.org/t/p/w342"


def _refuse_bool_and_text(value: Any) -> Any:
    """JSON knows numbers, booleans and texts apart; pydantic alone would take `true` as 1 and "7" as 7."""
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


Integer = Annotated[int, BeforeValidator(_refuse_bool_and_text)]
TmdbId = Annotated[int, Field(ge=1, le=MAX_TMDB_ID, description="TMDB's number of the film")]
Year = Annotated[int, Field(ge=1870, le=2100, description="Year of release, one more or less is tolerated")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ByTmdbId(_Request):
    """A film by TMDB's number."""

    tmdb_id: Annotated[TmdbId, BeforeValidator(_refuse_bool_and_text)]


class ByImdbId(_Request):
    """A film by IMDb's id."""

    imdb_id: str = Field(pattern=r"^tt[0-9]{7,10}$", description="IMDb's id")


class ByTitle(_Request):
    """A film by its title; case, accents and punctuation do not matter."""

    title: str = Field(min_length=1, max_length=TITLE_LENGTH)
    year: Annotated[Year, BeforeValidator(_refuse_bool_and_text)] | None = None


def _kind_of_query(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((name for name in ("movies", "tmdb_id", "imdb_id", "title") if name in value), None)
    kinds: dict[type, str] = {Batch: "movies", ByTmdbId: "tmdb_id", ByImdbId: "imdb_id", ByTitle: "title"}
    return kinds.get(type(value))


MovieQuery = Annotated[
    Annotated[ByTmdbId, Tag("tmdb_id")] | Annotated[ByImdbId, Tag("imdb_id")] | Annotated[ByTitle, Tag("title")],
    Discriminator(
        _kind_of_query,
        custom_error_type="film_missing",
        custom_error_message="name the film with tmdb_id, imdb_id or title",
    ),
]


class Batch(_Request):
    """Up to 100 films in one request."""

    movies: list[MovieQuery] = Field(min_length=1, max_length=MAX_BATCH)


class PredictionRequest(RootModel[Any]):
    """One film by `tmdb_id`, `imdb_id` or `title` (and `year`), or up to 100 of them in `movies`."""

    root: Annotated[
        Annotated[ByTmdbId, Tag("tmdb_id")]
        | Annotated[ByImdbId, Tag("imdb_id")]
        | Annotated[ByTitle, Tag("title")]
        | Annotated[Batch, Tag("movies")],
        Discriminator(
            _kind_of_query,
            custom_error_type="film_missing",
            custom_error_message="send a JSON object that names a film with tmdb_id, imdb_id or title, "
            "or up to 100 of them in movies",
        ),
    ]


class SearchQuery(_Request):
    """A search for films by title."""

    q: str = Field(min_length=1, max_length=TITLE_LENGTH, description="Part of a title")
    limit: int = Field(10, ge=1, le=20, description="At most so many films")


class FeedbackRequest(_Request):
    """How a user would rate a film; it is stored beside the known rating, which stays as it is."""

    tmdb_id: Annotated[TmdbId, BeforeValidator(_refuse_bool_and_text)]
    rating: Annotated[
        int, Field(ge=0, le=3, description="0 to 3, as bechdeltest.com rates"), BeforeValidator(_refuse_bool_and_text)
    ]
    comment: str | None = Field(None, max_length=1000, description="Why, in the user's words")


class MoviePath(BaseModel):
    """The film in the address."""

    tmdb_id: TmdbId


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


Degraded = Annotated[
    list[str], Field(description="What was not at its best while answering; empty when all was well")
]


class Movie(_Answer):
    """Which film an answer is about."""

    tmdb_id: int = Field(description="TMDB's number of the film")
    imdb_id: str | None = Field(description="IMDb's id, null when it is not known")
    title: str
    year: int | None = Field(description="Year of release, null when it is not known")
    poster_url: str | None = Field(description="Poster on TMDB's image server, null when there is none")
    synthetic: bool = Field(description="True for a film that the sample generator made up")


class Prediction(_Answer):
    """What the model says."""

    passes: bool = Field(description="Whether passing (rating 3) is the likelier outcome")
    probability: float = Field(ge=0, le=1, description="Calibrated probability that the film passes (rating 3)")
    verdict: Literal["pass", "fail", "too_close_to_call"]
    rating_probabilities: dict[Literal["0", "1", "2", "3"], float] = Field(
        description="Probability of each rating: 0 fewer than two named women, 1 they do not talk to each other, "
        "2 they talk only about a man, 3 passes. They sum to 1."
    )


class KnownRating(_Answer):
    """What people have said about the film; it is never fed to the model."""

    rating: int = Field(ge=0, le=3)
    dubious: bool | None = Field(description="Whether the rating is disputed, null when that is not known")
    source: str = Field(examples=["bechdeltest.com"])


class Reason(_Answer):
    """What one feature contributed."""

    feature: str
    value: bool | int | float | str | None = Field(
        description="The feature's value, null when it is unknown; a long text is cut"
    )
    contribution: float = Field(description="Share in the log-odds of passing; positive speaks for passing")
    text: str


class Data(_Answer):
    """What the answer was made from."""

    live: bool = Field(description="Whether the film's data came from TMDB within the last day")
    fetched_at: datetime | None = Field(description="When TMDB gave the film's data, null when it never did")
    missing: list[str] = Field(description="What could not be known")
    degraded: Degraded


class ModelName(_Answer):
    """Which model answered."""

    name: str
    version: str
    feature_service: str


class PredictionAnswer(_Answer):
    """The answer for one film."""

    movie: Movie
    prediction: Prediction
    known_rating: KnownRating | None
    reasons: list[Reason]
    data: Data
    model: ModelName


class Candidate(_Answer):
    """A film to choose."""

    tmdb_id: int
    imdb_id: str | None = None
    title: str
    year: int | None = None
    poster_url: str | None = None


class Problem(_Answer):
    """An error, as RFC 9457 describes it (application/problem+json)."""

    type: str = Field(description="Which kind of problem, as an address on this server")
    title: str = Field(description="The kind of problem in a few words")
    status: int = Field(description="The HTTP status")
    detail: str = Field(description="What happened here, with the value, and what to do")
    request_id: str | None = Field(None, description="To be quoted when asking about it; also in the log")
    candidates: list[Candidate] | None = Field(None, description="Films to choose from, best first")
    errors: list[str] | None = Field(None, description="What is wrong with the request, field by field")
    checks: dict[str, Any] | None = Field(None, description="State of each part that the server depends on")


class BatchAnswer(_Answer):
    """One answer or problem per film, in the order of the request."""

    predictions: list[PredictionAnswer | Problem]


class PredictionResponse(RootModel[PredictionAnswer | BatchAnswer]):
    """The answer for one film, or for each film of a batch."""


class MovieAnswer(_Answer):
    """What is known about a film, without a prediction."""

    movie: Movie
    known_rating: KnownRating | None
    degraded: Degraded


class FeedbackAnswer(_Answer):
    """A rating that was stored."""

    feedback_id: int
    given_at: datetime
    movie: Movie
    rating: int = Field(ge=0, le=3)
    known_rating: KnownRating | None = Field(description="The rating on record, which the user's does not replace")


class SearchAnswer(_Answer):
    """Films whose title fits, best first."""

    query: str
    movies: list[Candidate]
    degraded: Degraded


class ModelMetric(_Answer):
    """One figure of the model on films it had not seen."""

    split: str = Field(description="time: the newest films; random: 30% of all films")
    name: str = Field(examples=["auc"])
    value: float
    interval: tuple[float, float] | None = Field(description="95% interval of a bootstrap over the films")


class ModelCard(_Answer):
    """The model that answers now."""

    name: str
    version: str
    feature_service: str
    trained_at: datetime | None = Field(description="When it was registered, null when the registry does not say")
    loaded_at: datetime = Field(description="When this server began to answer with it")
    too_close_to_call: tuple[float, float] = Field(description="Probabilities between these two get no verdict")
    features: int = Field(description="How many features it reads")
    metrics: list[ModelMetric] = Field(description="How well it tells films that pass (rating 3) from the others")
    facts: dict[str, Any] = Field(description="What training recorded: counts, dates, hashes")
    tags: dict[str, str] = Field(description="The model version's tags in MLflow")
    limits: list[str] = Field(description="What it must not be used for")


def poster_url(path: str | None) -> str | None:
    """Address of a poster on TMDB's image server; only paths as TMDB writes them."""
    return f"{POSTERS}{path}" if path and path.startswith("/") else None
