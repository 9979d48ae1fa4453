"""The API for programs. The models in `schemas` validate its requests, build its answers and document both."""

from collections.abc import Sequence
from typing import Any

from flask import Response, current_app, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException

from common.errors import PlatformError
from common.tmdb import Deadline
from serving.champion import Champion
from serving.films import candidate_facts
from serving.problems import INVALID, Kind, describe_validation_errors, make_problem, problem_of, problem_response
from serving.schemas import (
    Batch,
    BatchAnswer,
    Candidate,
    ModelCard,
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

_PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _problems(*statuses: int) -> dict[Any, Any]:
    """Documents that these statuses carry a problem."""
    titles = {
        300: "Several films fit the title; `candidates` lists them",
        404: "No such film",
        409: "The title is not in the catalogue and TMDB is not configured",
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
    responses={200: PredictionResponse, **_problems(300, 404, 409, 422, 502, 503)},
)
def predict(body: PredictionRequest) -> Response:
    """Answer for one film or for a batch."""
    predictor = services().predictor
    if not isinstance(body.root, Batch):
        return answer(predictor.predict(body.root))
    found = predictor.predict_all(body.root.movies)
    return answer(BatchAnswer(predictions=[_item(item) for item in found]))


@api.get(
    "/movies/search",
    tags=[Tag(name="movies")],
    summary="Find films by title",
    operation_id="search_movies",
    responses={200: SearchAnswer, **_problems(422, 503)},
)
def search(query: SearchQuery) -> Response:
    """Films whose title fits."""
    films = services().finder.search(query.q, query.limit, Deadline())
    movies = [
        Candidate(poster_url=poster_url(film.poster_path), **_without_poster(candidate_facts(film))) for film in films
    ]
    return answer(SearchAnswer(query=query.q, movies=movies))


@api.get(
    "/movies/<int:tmdb_id>",
    tags=[Tag(name="movies")],
    summary="What is known about a film",
    operation_id="get_movie",
    responses={200: MovieAnswer, **_problems(404, 422, 502, 503)},
)
def movie(path: MoviePath) -> Response:
    """A film and its known rating, without a prediction."""
    return answer(services().predictor.describe(path.tmdb_id))


@api.get(
    "/model",
    tags=[Tag(name="model")],
    summary="The model that answers now",
    operation_id="get_model",
    responses={200: ModelCard, **_problems(503)},
)
def model() -> Response:
    """The champion's card."""
    return answer(model_card(services().champions.current()))


def model_card(champion: Champion) -> ModelCard:
    """A model in words and numbers."""
    scorer = champion.scorer
    return ModelCard(
        name=champion.version.name,
        version=champion.version.version,
        feature_service=scorer.feature_service,
        loaded_at=champion.loaded_at,
        too_close_to_call=scorer.band,
        features=len(scorer.feature_names),
        facts=dict(scorer.facts),
        tags=dict(champion.version.tags),
        limits=MODEL_LIMITS,
    )


def answer(model: BaseModel) -> Response:
    """A good answer as JSON."""
    return Response(model.model_dump_json(), mimetype="application/json")


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
