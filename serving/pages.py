"""The pages for people: a search, an answer that one can read, and the state of the platform behind it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from common.errors import ModelNotReadyError, PlatformError
from common.settings import ROOT
from common.tmdb import Deadline
from serving.api import model_card, services
from serving.charts import draw_reasons, place_on_scale
from serving.film_details import CODES, FilmDetails, Gender, read_details
from serving.model_report import ModelReports
from serving.platform_state import PlatformState
from serving.problems import INVALID, Kind, describe_validation_errors, make_problem, problem_of, problem_response
from serving.schemas import ByTitle, ByTmdbId, MovieAnswer, PredictionAnswer, Problem, poster_url
from serving.services import Services
from serving.similar import SimilarFilm, SimilarFilms
from serving.trends import TRENDS, Trends, write_csv
from serving.what_if import TOP, WhatIf, imagine

pages = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' https://image.tmdb.org; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
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
GENDERS = {"woman": "woman", "man": "man", "nonbinary": "non-binary", "unknown": "not known"}
PRESETS = ("", "swap", "women")
UNKNOWN_TREND = Kind("no-such-chart", 404, "No such chart")


@dataclass(frozen=True)
class PageParts:
    """What only pages use."""

    similar: SimilarFilms
    reports: ModelReports
    platform: PlatformState
    trends: Trends


@dataclass(frozen=True)
class Agreement:
    """Whether people and model say the same; `kind` is agree, differ, open or unrated."""

    kind: str
    text: str


@pages.record_once
def _make_parts(state: BlueprintSetupState) -> None:
    parts: Services = state.app.extensions["bechdel"]
    state.app.extensions["bechdel_pages"] = PageParts(
        similar=SimilarFilms(parts.database),
        reports=ModelReports(parts.settings.tracking_uri, parts.database),
        platform=PlatformState(parts.database),
        trends=Trends(parts.database),
    )


# -- search and films ----------------------------------------------------------------------------------------------


@pages.get("/")
def home() -> Response | WerkzeugResponse:
    """The search; with `title` or `tmdb_id` in the address, the way to that film's page."""
    if "tmdb_id" in request.args:
        return _go_to_film(lambda: {"tmdb_id": _as_number(request.args["tmdb_id"])})
    title = request.args.get("title", "").strip()
    if title:
        return _go_to_film(lambda: _title_query(title, request.args.get("year", "")))
    films = _or_empty(_films_to_try)
    return _render("home.html", notice=_no_model(), films=films, is_synthetic=any(f.tmdb_id > 9e8 for f in films))


@pages.post("/")
def submit() -> Response | WerkzeugResponse:
    """A title posted by a form of the reference project: answered at once."""
    title = request.form.get("title", "").strip()
    if not title:
        return redirect(url_for("pages.home"), 303)
    query = _title_query(title, request.form.get("year", ""))
    return _guard(query, lambda: _film_page(services().predictor.predict(ByTitle.model_validate(query))))


@pages.get("/movies/<int:tmdb_id>")
def movie(tmdb_id: int) -> Response | WerkzeugResponse:
    """A film's page."""
    return _guard({}, lambda: _film_page(_predict(tmdb_id)), tmdb_id=tmdb_id)


@pages.get("/movies/<int:tmdb_id>.json")
def movie_json(tmdb_id: int) -> Response:
    """The answer behind a film's page."""
    try:
        return Response(_predict(tmdb_id).model_dump_json(), mimetype="application/json")
    except ValidationError as error:
        return problem_response(_invalid(error))
    except PlatformError as error:
        return problem_response(problem_of(error))


@pages.post("/movies/<int:tmdb_id>/what-if")
def ask_what_if(tmdb_id: int) -> Response | WerkzeugResponse:
    """The film with other genders among its top-billed people, as a page or, when asked for, as JSON."""

    def answer() -> WhatIf:
        ByTmdbId(tmdb_id=tmdb_id)
        preset = request.form.get("preset", "")
        return imagine(
            services().database,
            services().champions.current(),
            tmdb_id,
            wished=_read_wishes(request.form),
            preset=preset if preset in PRESETS else "",
        )

    if request.accept_mimetypes.best != "application/json":
        return _guard({}, lambda: _film_page(_predict(tmdb_id), what_if=answer()), tmdb_id=tmdb_id)
    try:
        found = answer()
    except ValidationError as error:
        return problem_response(_invalid(error))
    except PlatformError as error:
        return problem_response(problem_of(error))
    facts = {
        "before": found.before,
        "after": found.after,
        "verdict": found.verdict,
        "changed": found.changed,
        "genders": {str(position): gender for position, gender in found.genders.items()},
        "text": _say_what_if(found),
    }
    return Response(orjson.dumps(facts), mimetype="application/json")


# -- the platform --------------------------------------------------------------------------------------------------


@pages.get("/trends")
def trends() -> Response:
    """Pass rates and women's shares over time and by kind of film."""
    drawn = _parts().trends
    return _render("trends.html", trends=drawn.read_all(), is_synthetic=drawn.are_synthetic())


@pages.get("/trends/<name>.csv")
def trend_csv(name: str) -> Response:
    """A chart's numbers."""
    if name not in TRENDS:
        known = ", ".join(TRENDS)
        return render_problem(make_problem(UNKNOWN_TREND, f"There is no chart {name[:80]!r}. There are: {known}."))
    try:
        rows = _parts().trends.read(name)
    except PlatformError as error:
        return render_problem(problem_of(error))
    mark = "synthetic-" if _parts().trends.are_synthetic() else ""
    headers = {"Content-Disposition": f'attachment; filename="{mark}{name}.csv"'}
    return Response(write_csv(name, rows), mimetype="text/csv", headers=headers)


@pages.get("/model")
def model() -> Response | WerkzeugResponse:
    """The champion's card."""

    def page() -> Response:
        champion = services().champions.current()
        return _render("model.html", card=model_card(champion), report=_parts().reports.read(champion))

    return _guard({}, page)


@pages.get("/platform")
def platform() -> Response:
    """The road from films to answers."""
    obstacles, checks = services().health.check()
    settings = services().settings
    return _render(
        "platform.html",
        stations=_parts().platform.stations(),
        obstacles=obstacles,
        checks=checks,
        mlflow=settings.tracking_uri if re.match(r"https?://", settings.tracking_uri) else None,
        database_is_embedded=settings.db_connection_string is None,
    )


@pages.get("/about")
def about() -> Response:
    """The test, its limits, sources and licences, privacy."""
    return _render("about.html")


def render_problem(problem: Problem) -> Response:
    """An error as a page, with the same sentence as in the API and the form to go on."""
    return _render("problem.html", problem.status, problem=problem, query={}, known=None)


# -- how pages are made --------------------------------------------------------------------------------------------


def _film_page(answer: PredictionAnswer, *, what_if: WhatIf | None = None) -> Response:
    database, tmdb_id = services().database, answer.movie.tmdb_id
    champion = services().champions.current()
    try:
        details = read_details(database, tmdb_id)
    except PlatformError:
        details = FilmDetails()  # the answer stands without them
    similar: list[SimilarFilm] = _or_empty(lambda: _parts().similar.nearest(champion, tmdb_id))
    return _render(
        "film.html",
        answer=answer,
        details=details,
        top=details.cast[:TOP],
        reasons=draw_reasons(answer.reasons),
        scale=place_on_scale(answer.prediction.probability, champion.scorer.band),
        agreement=compare(answer),
        similar=similar,
        what_if=what_if,
    )


def compare(answer: PredictionAnswer) -> Agreement:
    """What people said beside what the model says."""
    if answer.known_rating is None:
        return Agreement("unrated", "The prediction is all there is.")
    people_pass = answer.known_rating.rating == 3
    if answer.prediction.verdict == "too_close_to_call":
        return Agreement("open", "The model cannot tell. People's rating decides.")
    if people_pass == (answer.prediction.verdict == "pass"):
        return Agreement("agree", "People and model agree.")
    return Agreement("differ", "The model expected otherwise. People's rating goes first.")


def _guard(
    query: dict[str, object], page: Callable[[], Response | WerkzeugResponse], *, tmdb_id: int | None = None
) -> Response | WerkzeugResponse:
    """A page, or the page of what went wrong."""
    known = None
    try:
        return page()
    except ValidationError as error:
        problem = _invalid(error)
    except ModelNotReadyError as error:
        problem = problem_of(error)
        known = _known(tmdb_id) if tmdb_id is not None else None
    except PlatformError as error:
        problem = problem_of(error)
    return _render("problem.html", problem.status, problem=problem, query=query, known=known)


def _go_to_film(make_query: Callable[[], dict[str, object]]) -> Response | WerkzeugResponse:
    query = make_query()

    def go() -> WerkzeugResponse:
        asked = ByTmdbId.model_validate(query) if "tmdb_id" in query else ByTitle.model_validate(query)
        tmdb_id = services().finder.resolve(asked, Deadline())
        return redirect(url_for("pages.movie", tmdb_id=tmdb_id), 302)

    return _guard(query, go)


def _render(template: str, status: int = 200, **facts: Any) -> Response:
    page = render_template(
        template, verdicts=VERDICTS, ratings=RATINGS, genders=GENDERS, percent=percent, initials=initials, **facts
    )
    return Response(page, status, mimetype="text/html", headers={"Content-Security-Policy": POLICY})


@pages.app_context_processor
def _add_asset() -> dict[str, Any]:
    return {"asset": asset}


def asset(name: str) -> str:
    """A static file's address, which changes with its content."""
    return url_for("pages.static", filename=name, v=_fingerprint(name))


@cache
def _fingerprint(name: str) -> str:
    return sha256((ROOT / "serving" / "static" / name).read_bytes()).hexdigest()[:10]


def percent(share: float) -> str:
    """A probability as people read it; nothing is quite certain."""
    if 0 < share < 0.01:
        return "under 1 %"
    return "over 99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"


def initials(title: str) -> str:
    """One or two characters that stand for a title."""
    words = [word for word in re.split(r"[^\w]+", title) if word and word.lower() not in ("the", "a", "an", "of")]
    return "".join(word[0] for word in words[:2]).upper() or title[:1] or "?"


def _predict(tmdb_id: int) -> PredictionAnswer:
    return services().predictor.predict(ByTmdbId(tmdb_id=tmdb_id))


def _known(tmdb_id: int) -> MovieAnswer | None:
    try:
        return services().predictor.describe(tmdb_id)
    except PlatformError:
        return None


def _films_to_try() -> list[SimilarFilm]:
    rows = services().database.fetch(
        """
        select movie_id, title, year, poster_path, is_synthetic from marts.dim_movies
        where has_rating order by popularity_rank nulls last, movie_id limit 6
        """
    )
    return [
        SimilarFilm(
            row["movie_id"],
            row["title"],
            row["year"],
            None if row["is_synthetic"] else poster_url(row["poster_path"]),
        )
        for row in rows
    ]


def _or_empty(read: Callable[[], list[SimilarFilm]]) -> list[SimilarFilm]:
    """Films beside the answer; the page does without them when they cannot be had."""
    try:
        return read()
    except PlatformError:
        return []


def _read_wishes(form: MultiDict[str, str]) -> dict[int, Gender]:
    wishes: dict[int, Gender] = {}
    for name, value in form.items():
        found = re.fullmatch(r"gender_(\d{1,4})", name)
        if found and value in CODES:
            wishes[int(found[1])] = value  # type: ignore[assignment]  # CODES has the same keys as Gender
    return wishes


def _say_what_if(found: WhatIf) -> str:
    changes = f"{found.changed} change{'' if found.changed == 1 else 's'}"
    return (
        f"{percent(found.before)} → {percent(found.after)}: {VERDICTS[found.verdict].lower()}, "
        f"{found.points:+.0f} points after {changes}."
    )


def _invalid(error: ValidationError) -> Problem:
    errors = describe_validation_errors(error.errors(include_url=False, include_input=False))
    return make_problem(INVALID, f"{'; '.join(errors)}.")


def _no_model() -> str | None:
    try:
        _parts().similar.begin(services().champions.current())  # ready when the first film is asked for
    except ModelNotReadyError as error:
        return str(error)
    return None


def _parts() -> PageParts:
    found = current_app.extensions["bechdel_pages"]
    assert isinstance(found, PageParts)  # noqa: S101 - narrows the type of Flask's dictionary
    return found


def _title_query(title: str, year: str) -> dict[str, object]:
    return {"title": title.strip(), "year": _as_number(year) if year.strip() else None}


def _as_number(text: str) -> object:
    """A typed number as a number; anything else stays text, for the model to refuse by name."""
    return int(text) if text.strip().isascii() and text.strip().isdigit() and len(text) < 12 else text
