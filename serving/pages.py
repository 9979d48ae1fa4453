"""The pages for people: a form, and an answer that one can read."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from pydantic import ValidationError
from werkzeug.wrappers import Response as WerkzeugResponse

from common.errors import ModelNotReadyError, PlatformError
from serving.api import services
from serving.problems import INVALID, describe_validation_errors, make_problem, problem_of
from serving.schemas import ByTitle, ByTmdbId, PredictionAnswer, Problem

pages = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")

VERDICTS = {
    "pass": "Probably passes",
    "fail": "Probably fails",
    "too_close_to_call": "Too close to call",
}
RATINGS = {
    "0": "fewer than two named women",
    "1": "two named women who do not talk to each other",
    "2": "two named women who talk to each other, but only about a man",
    "3": "two named women who talk to each other about something other than a man",
}


@pages.get("/")
def home() -> Response:
    """The form; with `tmdb_id` or `title` in the address, the answer too."""
    if "tmdb_id" in request.args:
        return _answer({"tmdb_id": _as_number(request.args["tmdb_id"])})
    if request.args.get("title", "").strip():
        return _answer(_title_query(request.args.get("title", ""), request.args.get("year", "")))
    return _render(200, notice=_no_model())


@pages.post("/")
def submit() -> Response | WerkzeugResponse:
    """A title typed into the form."""
    title = request.form.get("title", "").strip()
    if not title:
        return redirect(url_for("pages.home"), 303)
    return _answer(_title_query(title, request.form.get("year", "")))


def render_problem(problem: Problem) -> Response:
    """An error as a page, with the same sentence as in the API and the form to go on."""
    return _render(problem.status, problem=problem)


def _answer(query: dict[str, object]) -> Response:
    try:
        asked = ByTmdbId.model_validate(query) if "tmdb_id" in query else ByTitle.model_validate(query)
        found = services().predictor.predict(asked)
    except ValidationError as error:
        errors = describe_validation_errors(error.errors(include_url=False, include_input=False))
        return _render(422, problem=make_problem(INVALID, f"{'; '.join(errors)}."), query=query)
    except PlatformError as error:
        problem = problem_of(error)
        return _render(problem.status, problem=problem, query=query)
    return _render(200, answer=found, query=query)


def _render(
    status: int,
    *,
    answer: PredictionAnswer | None = None,
    problem: Problem | None = None,
    notice: str | None = None,
    query: dict[str, object] | None = None,
) -> Response:
    page = render_template(
        "home.html",
        answer=answer,
        problem=problem,
        notice=notice,
        query=query or {},
        verdicts=VERDICTS,
        ratings=RATINGS,
    )
    return Response(page, status, mimetype="text/html")


def _no_model() -> str | None:
    try:
        services().champions.current()
    except ModelNotReadyError as error:
        return str(error)
    return None


def _title_query(title: str, year: str) -> dict[str, object]:
    return {"title": title.strip(), "year": _as_number(year) if year.strip() else None}


def _as_number(text: str) -> object:
    """A typed number as a number; anything else stays text, for the model to refuse by name."""
    return int(text) if text.strip().isascii() and text.strip().isdigit() and len(text) < 12 else text
