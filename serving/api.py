"""The API for programs. The models in `schemas` validate its requests, build its answers and document both."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, current_app, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.http import generate_etag

from common.errors import PlatformError
from common.tmdb import Deadline
from serving.champion import Champion
from serving.films import candidate_facts, clean_title
from serving.problems import INVALID, Kind, describe_validation_errors, make_problem, problem_of, problem_response
from serving.request_context import request_id
from serving.schemas import (
    Batch,
    BatchAnswer,
    Candidate,
    FeedbackAnswer,
    FeedbackRequest,
    ModelCard,
    ModelMetric,
    MovieAnswer,
    MoviePath,
    PredictionAnswer,
    PredictionRequest,
    PredictionResponse,
    Problem,
    SearchAnswer,
    SearchQuery,
    poster_url,
)
from serving.services import Services

MODEL_LIMITS = [
    "It predicts what raters would say; it does not watch the film. A known rating always goes before it.",
    "The Bechdel test says whether two women talk to each other, not whether a film is good or feminist.",
    "Genders are TMDB's codes of the actors, with gaps; they are not the characters' genders.",
    "Do not use it to decide about people, money or distribution.",
]

FILM_SECONDS = 60  # a rating corrected in a load is seen after a minute
MODEL_SECONDS = 10
METRICS = ("auc", "average_precision", "brier", "ece", "accuracy")

# by address; flask-openapi3 leaves the models' own examples out of the document
EXAMPLES: dict[str, dict[str, Any]] = {
    "/api/v1/predictions": {
        "by TMDB id": {"tmdb_id": 109445},
        "by IMDb id": {"imdb_id": "tt2294629"},
        "by title": {"title": "Frozen", "year": 2013},
        "several": {"movies": [{"tmdb_id": 109445}, {"title": "Frozen", "year": 2010}]},
    },
    "/api/v1/feedback": {"a rating": {"tmdb_id": 109445, "rating": 3, "comment": "Anna and Elsa talk at length."}},
}

PARAMETER_EXAMPLES: dict[str, dict[str, Any]] = {
    "/api/v1/movies/search": {"q": "Frozen"},
    "/api/v1/movies/{tmdb_id}": {"tmdb_id": 109445},
}

_UNCHANGED: dict[Any, Any] = {304: {"description": "Unchanged since the answer whose ETag came as If-None-Match"}}
_PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _problems(*statuses: int) -> dict[Any, Any]:
    """Documents that these statuses carry a problem."""
    titles = {
        300: "Several films fit the title; `candidates` lists them",
        400: "The body is not valid JSON",
        404: "No such film",
        409: "The title is not in the catalogue and TMDB is not configured",
        413: "The body is too large",
        415: "The body is not sent as JSON",
        422: "The request cannot be used; `errors` says why",
        502: "TMDB refuses the server's credential",
        503: "The model, the database or TMDB is not available; `detail` says which",
    }
    return {status: {"description": titles[status], **_PROBLEM} for status in statuses}


api = APIBlueprint("api", __name__, url_prefix="/api/v1")


def services() -> Services:
    """The parts that the app was made with."""
    found = current_app.extensions["bechdel"]
    assert isinstance(found, Services)  # noqa: S101 - narrows the type of Flask's dictionary
    return found


@api.post(
    "/predictions",
    tags=[Tag(name="predictions")],
    summary="Predict whether films pass the Bechdel test",
    description="One film by `tmdb_id`, `imdb_id` or `title` (and `year`); or up to 100 in `movies`, "
    "where each gets its answer or its problem, in order, with status 200 for the whole.",
    operation_id="predict",
    responses={200: PredictionResponse, **_problems(300, 400, 404, 409, 413, 415, 422, 502, 503)},
)
def predict(body: PredictionRequest) -> Response:
    """Answer for one film or for a batch."""
    predictor = services().predictor
    if not isinstance(body.root, Batch):
        return answer(predictor.predict(body.root))
    found = predictor.predict_all(body.root.movies)
    return answer(BatchAnswer(predictions=[_item(item) for item in found]))


@api.post(
    "/feedback",
    tags=[Tag(name="feedback")],
    summary="Rate a film yourself",
    description="Stored beside the known rating, never over it, and not fed to the model.",
    operation_id="give_feedback",
    responses={201: FeedbackAnswer, **_problems(400, 404, 413, 415, 422, 502, 503)},
)
def give_feedback(body: FeedbackRequest) -> Response:
    """Store a user's rating."""
    parts = services()
    film = parts.predictor.describe(body.tmdb_id)
    feedback_id, given_at = parts.feedback.give(
        body.tmdb_id,
        body.rating,
        clean_title(body.comment or "") or None,
        request_id=request_id.get(),
        model_version=parts.champions.version,
    )
    parts.metrics.feedback.labels(str(body.rating)).inc()
    stored = FeedbackAnswer(
        feedback_id=feedback_id,
        given_at=given_at,
        movie=film.movie,
        rating=body.rating,
        known_rating=film.known_rating,
    )
    return answer(stored, 201)


@api.get(
    "/movies/search",
    tags=[Tag(name="movies")],
    summary="Find films by title",
    operation_id="search_movies",
    responses={200: SearchAnswer, **_UNCHANGED, **_problems(422, 503)},
)
def search(query: SearchQuery) -> Response:
    """Films whose title fits."""
    films, degraded = services().finder.search(query.q, query.limit, Deadline())
    movies = [
        Candidate(poster_url=poster_url(film.poster_path), **_without_poster(candidate_facts(film))) for film in films
    ]
    return film_answer(SearchAnswer(query=query.q, movies=movies, degraded=degraded))


@api.get(
    "/movies/<int:tmdb_id>",
    tags=[Tag(name="movies")],
    summary="What is known about a film",
    operation_id="get_movie",
    responses={200: MovieAnswer, **_UNCHANGED, **_problems(404, 422, 502, 503)},
)
def movie(path: MoviePath) -> Response:
    """A film and its known rating, without a prediction."""
    return film_answer(services().predictor.describe(path.tmdb_id))


@api.get(
    "/model",
    tags=[Tag(name="model")],
    summary="The model that answers now",
    operation_id="get_model",
    responses={200: ModelCard, **_UNCHANGED, **_problems(503)},
)
def model() -> Response:
    """The champion's card."""
    card = model_card(services().champions.current())
    response = answer(card)
    without_time = card.model_dump_json(exclude={"loaded_at"})  # which differs between workers
    response.set_etag(generate_etag(without_time.encode()), weak=True)
    return cacheable(response, MODEL_SECONDS)


def model_card(champion: Champion) -> ModelCard:
    """A model in words and numbers."""
    scorer = champion.scorer
    return ModelCard(
        name=champion.version.name,
        version=champion.version.version,
        feature_service=scorer.feature_service,
        trained_at=champion.version.registered_at or None,
        loaded_at=champion.loaded_at,
        too_close_to_call=scorer.band,
        features=len(scorer.feature_names),
        metrics=read_metrics(champion.evaluation),
        facts=dict(scorer.facts),
        tags=dict(champion.version.tags),
        limits=MODEL_LIMITS,
    )


def read_metrics(evaluation: Mapping[str, Any]) -> list[ModelMetric]:
    """The model's figures for rating 3, as far as training wrote them down."""
    metrics: list[ModelMetric] = []
    for split in ("time", "random"):
        figures = (evaluation.get(split) or {}).get("rating_3") or {}
        intervals = figures.get("intervals") or {}
        metrics.extend(
            ModelMetric(split=split, name=name, value=figures[name], interval=intervals.get(name))
            for name in METRICS
            if isinstance(figures.get(name), int | float)
        )
    return metrics


def answer(model: BaseModel, status: int = 200) -> Response:
    """A good answer as JSON."""
    response = Response(model.model_dump_json(), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def film_answer(model: MovieAnswer | SearchAnswer) -> Response:
    """An answer that may be kept for a minute, unless something was missing while it was made."""
    return cacheable(answer(model), 0 if model.degraded else FILM_SECONDS)


def cacheable(response: Response, seconds: int) -> Response:
    """The answer with its ETag, that of its body unless it has one; 304 when the caller has it already."""
    response.headers["Cache-Control"] = f"public, max-age={seconds}"
    response.add_etag()
    response.make_conditional(request)
    return response


@api.before_request
def refuse_text() -> Response | None:
    """A JSON text is no request, also when it holds the JSON of one (flask-openapi3 would decode it twice)."""
    if request.method != "POST" or not isinstance(request.get_json(silent=True), str):
        return None
    detail = "The body is a JSON text. Send the JSON object itself, not a text that holds it."
    return problem_response(make_problem(INVALID, detail, errors=[detail]))


def refuse_invalid(error: ValidationError) -> Response:
    """The problem of a request that does not fit its model, as exactly as HTTP can say it."""
    if request.method == "POST":
        if request.mimetype != "application/json":
            kind = Kind("unsupported-media-type", 415, "The body is not JSON")
            return problem_response(make_problem(kind, "Send JSON with the header Content-Type: application/json."))
        try:
            request.get_json()
        except HTTPException as broken:
            if broken.code == 413:
                return problem_response(problem_of(broken))
            kind = Kind("malformed-json", 400, "The body is not valid JSON")
            return problem_response(make_problem(kind, "The body cannot be read as JSON. Check quotes and commas."))
    errors = describe_validation_errors(error.errors(include_url=False, include_input=False, include_context=False))
    return problem_response(make_problem(INVALID, f"{_joined(errors)}.", errors=errors))


def _item(item: PredictionAnswer | PlatformError) -> PredictionAnswer | Problem:
    return problem_of(item) if isinstance(item, PlatformError) else item


def _joined(errors: Sequence[str]) -> str:
    return "; ".join(errors[:5])


def _without_poster(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != "poster_path"}
