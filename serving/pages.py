"""The pages for people: a search, an answer that one can read, and the state of the platform behind it."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, current_app, redirect, render_template, request, send_file, url_for
from flask.blueprints import BlueprintSetupState
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from common.errors import ModelNotReadyError, PlatformError
from common.settings import ROOT
from common.tmdb import Deadline
from serving.api import model_card, services
from serving.charts import Curve, draw_curve, draw_reasons, place_on_scale
from serving.film_details import CODES, FilmDetails, Gender, read_details
from serving.model_report import ModelReports
from serving.platform_state import KEPT_SECONDS, Console, PlatformState, list_consoles
from serving.problems import INVALID, Kind, describe_validation_errors, make_problem, problem_of, problem_response
from serving.recent import Recent
from serving.schemas import ByTitle, ByTmdbId, MovieAnswer, PredictionAnswer, Problem, poster_url
from serving.security import CONTENT_POLICY, DBT_DOCS_POLICY, PAGE_POLICY, POSTERS_POLICY
from serving.services import Services
from serving.similar import SimilarFilm, SimilarFilms
from serving.trends import TRENDS, Trends, write_csv
from serving.what_if import TOP, WhatIf, imagine, imagine_every_number


class _Pages(Blueprint):
    """Static files that are asked for under their content's own address stay in the browser."""

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        name = filename or ""
        is_named_by_content = name in _fingerprints() and request.args.get("v") == _fingerprints()[name]
        return IMMUTABLE_SECONDS if is_named_by_content or name.endswith(".woff2") else None


pages = _Pages("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")

STATIC = ROOT / "serving" / "static"
DBT_DOCS = ROOT / "reports" / "dbt.html"
NO_DBT_DOCS = Kind("no-dbt-docs", 404, "No documentation yet")
IMMUTABLE_SECONDS = 365 * 24 * 3600  # the address changes with the content
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
# What a film has to have from rating 1, 2 and 3 on, each beside the one before; RATINGS say the whole of a rating.
STEPS = ("Two women with names", "who talk to each other", "about something other than a man")
REMEMBER_SECONDS = 60.0
MAX_HOSTS = 16  # names under which readers ask for the pages
REMEMBER_FILMS = 2_000  # about 10 kB each
GROUPS = {"woman": "women", "man": "men", "nonbinary": "non-binary", "unknown": "not known"}
GENDERS = {"woman": "woman", "man": "man", "nonbinary": "non-binary", "unknown": "not known"}
PRESETS = ("", "swap", "women")
Shown = TypeVar("Shown")
UNKNOWN_TREND = Kind("no-such-chart", 404, "No such chart")


@dataclass(frozen=True)
class ShownFilm:
    """A film on a shelf; `rating` is people's, None where it is not known or goes without saying."""

    tmdb_id: int
    title: str
    year: int | None
    poster_url: str | None
    rating: int | None = None


@dataclass(frozen=True)
class PageParts:
    """What only pages use."""

    similar: SimilarFilms
    reports: ModelReports
    platform: PlatformState
    trends: Trends
    details: Recent[FilmDetails]
    neighbours: Recent[list[SimilarFilm]]
    shelves: Recent[list[ShownFilm]]
    consoles: Recent[list[Console]]


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
        reports=ModelReports(parts.settings.tracking_uri),
        platform=PlatformState(parts.database),
        trends=Trends(parts.database),
        details=Recent(REMEMBER_SECONDS, REMEMBER_FILMS),
        neighbours=Recent(REMEMBER_SECONDS, REMEMBER_FILMS),
        shelves=Recent(REMEMBER_SECONDS, 1),
        consoles=Recent(KEPT_SECONDS, MAX_HOSTS),
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
    return _render(
        "home.html",
        notice=_no_model(),
        films=_or_empty(lambda: _parts().shelves.get("try", _films_to_try)),
        total=_parts().trends.total(),
        levels=_parts().trends.draw("levels"),
    )


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


@pages.get("/movies/<int:tmdb_id>/what-if")
def return_to_film(tmdb_id: int) -> WerkzeugResponse:
    """The address of an answer that was asked for by a form, opened anew."""
    return redirect(url_for("pages.movie", tmdb_id=tmdb_id, _anchor="what-if"), 303)


@pages.post("/movies/<int:tmdb_id>/what-if")
def ask_what_if(tmdb_id: int) -> Response | WerkzeugResponse:
    """The film with other genders among its top-billed people, as a page or, when asked for, as JSON."""

    preset = request.form.get("preset", "")

    def answer() -> WhatIf:
        ByTmdbId(tmdb_id=tmdb_id)
        return imagine(
            services().database,
            services().champions.current(),
            tmdb_id,
            wished=_read_wishes(request.form),
            preset=preset if preset in PRESETS else "",
            women=_read_women(request.form),
        )

    def page() -> Response:
        if preset == "curve":
            return _film_with_curve(tmdb_id)
        return _film_page(_predict(tmdb_id), what_if=answer())

    if request.accept_mimetypes.best != "application/json":
        return _guard({}, page, tmdb_id=tmdb_id)
    try:
        found = answer()
    except ValidationError as error:
        return problem_response(_invalid(error))
    except PlatformError as error:
        return problem_response(problem_of(error))
    facts = {
        "at": place_on_scale(found.after, services().champions.current().scorer.band).at,
        "before": found.before,
        "after": found.after,
        "verdict": found.verdict,
        "changed": found.changed,
        "women": found.women,
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
    settings, state = services().settings, _parts().platform
    page_host = urlsplit(request.host_url).hostname or ""
    return _render(
        "platform.html",
        stations=state.stations(),
        views=state.views(),
        consoles=_parts().consoles.get(
            page_host, lambda: list_consoles(settings.tracking_uri, page_host=page_host, docs=DBT_DOCS)
        ),
        obstacles=obstacles,
        checks=checks,
        database_is_embedded=settings.db_connection_string is None,
    )


@pages.get("/platform/dbt-docs")
def dbt_docs() -> Response:
    """dbt's own documentation of the tables, with their lineage."""
    if not DBT_DOCS.is_file():
        return render_problem(make_problem(NO_DBT_DOCS, "dbt's documentation is not written yet. Run: make docs"))
    page = send_file(DBT_DOCS, mimetype="text/html", etag=True, conditional=True)
    page.headers[CONTENT_POLICY] = DBT_DOCS_POLICY
    return page


@pages.get("/about")
def about() -> Response:
    """The test, its limits, sources and licences, privacy."""
    return _render("about.html", is_live=_has_live_data())


def render_problem(problem: Problem) -> Response:
    """An error as a page, with the same sentence as in the API and the form to go on."""
    return _render("problem.html", problem.status, problem=problem, query={}, known=None)


# -- how pages are made --------------------------------------------------------------------------------------------


def _film_with_curve(tmdb_id: int) -> Response:
    answer, champion = _predict(tmdb_id), services().champions.current()
    numbers = imagine_every_number(services().database, champion, tmdb_id)
    return _film_page(answer, curve=draw_curve(numbers, band=champion.scorer.band, of="women"))


def _film_page(answer: PredictionAnswer, *, what_if: WhatIf | None = None, curve: Curve | None = None) -> Response:
    database, tmdb_id, parts = services().database, answer.movie.tmdb_id, _parts()
    champion = services().champions.current()
    key = tmdb_id, answer.data.fetched_at  # new data of TMDB are read at once
    try:
        details = parts.details.get(key, lambda: read_details(database, tmdb_id))
    except PlatformError:
        details = FilmDetails()  # the answer stands without them
    similar: list[SimilarFilm] = []
    if parts.similar.is_ready(champion):
        find = partial(parts.similar.nearest, champion, tmdb_id)
        similar = _or_empty(lambda: parts.neighbours.get((*key, champion.version.version), find))
    else:
        parts.similar.begin(champion)
    band = champion.scorer.band
    return _render(
        "film.html",
        answer=answer,
        details=details,
        groups=GROUPS,
        counts=Counter(person.gender for person in details.cast),
        top=details.cast[:TOP],
        reasons=draw_reasons(answer.reasons),
        scale=place_on_scale(answer.prediction.probability, band),
        agreement=compare(answer),
        similar=similar,
        what_if=what_if,
        after_scale=place_on_scale(what_if.after, band) if what_if else None,
        say_what_if=_say_what_if,
        curve=curve,
    )


def compare(answer: PredictionAnswer) -> Agreement:
    """What people said beside what the model says."""
    if answer.known_rating is None:
        return Agreement("unrated", "The prediction is all there is.")
    people_pass = answer.known_rating.rating == 3
    if answer.prediction.verdict == "too_close_to_call":
        return Agreement("open", "The model cannot tell. People's rating goes first.")
    if people_pass == (answer.prediction.verdict == "pass"):
        return Agreement("agree", "People and model agree.")
    return Agreement("differ", "People and model disagree. People's rating goes first.")


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
    has_posters = _has_live_data()
    page = render_template(
        template,
        verdicts=VERDICTS,
        ratings=RATINGS,
        steps=STEPS,
        genders=GENDERS,
        percent=percent,
        has_posters=has_posters,
        **facts,
    )
    policy = POSTERS_POLICY if has_posters else PAGE_POLICY
    response = Response(page, status, mimetype="text/html", headers={CONTENT_POLICY: policy})
    if status == 200 and request.method == "GET":
        response.add_etag()
        response.headers["Cache-Control"] = "no-cache"  # kept, but asked for again each time
        response.make_conditional(request)
    return response


def _has_live_data() -> bool:
    """Whether films come from TMDB itself, which alone has posters."""
    token = services().settings.tmdb_api_token
    return token is not None and bool(token.get_secret_value().strip())


@pages.app_context_processor
def _add_asset() -> dict[str, Any]:
    return {"asset": asset}


def asset(name: str) -> str:
    """A static file's address, which changes with its content."""
    return url_for("pages.static", filename=name, v=_fingerprints()[name])


@cache
def _fingerprints() -> dict[str, str]:
    """Static files by name, each with the hash of its content."""
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    return {path.relative_to(STATIC).as_posix(): sha256(path.read_bytes()).hexdigest()[:10] for path in files}


def percent(share: float) -> str:
    """A probability as people read it; nothing is quite certain."""
    if 0 < share < 0.01:
        return "under 1%"
    return "over 99%" if 0.99 < share < 1 else f"{100 * share:.0f}%"


def _predict(tmdb_id: int) -> PredictionAnswer:
    return services().predictor.predict(ByTmdbId(tmdb_id=tmdb_id))


def _known(tmdb_id: int) -> MovieAnswer | None:
    try:
        return services().predictor.describe(tmdb_id)
    except PlatformError:
        return None


def _films_to_try() -> list[ShownFilm]:
    """The best known ones, those with a cast first: their pages show everything."""
    rows = services().database.fetch(
        """
        with known as (
            select movie_id, title, year, poster_path, is_synthetic, bechdel_rating, popularity_rank
            from marts.dim_movies where has_rating order by popularity_rank nulls last, movie_id limit 60
        )
        select known.* from known left join features.ftr_movie_cast as casts using (movie_id)
        order by casts.cast_members_count is null, known.popularity_rank nulls last, movie_id limit 6
        """
    )
    return [
        ShownFilm(
            row["movie_id"],
            row["title"],
            row["year"],
            None if row["is_synthetic"] else poster_url(row["poster_path"]),
            row["bechdel_rating"],
        )
        for row in rows
    ]


def _or_empty(read: Callable[[], list[Shown]]) -> list[Shown]:
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


def _read_women(form: MultiDict[str, str]) -> int | None:
    """How many of the top-billed are to be women; None unless the button beside the number was pressed."""
    number = form.get("women", "")
    return int(number) if form.get("preset") == "count" and re.fullmatch(r"\d{1,2}", number) else None


def _say_what_if(found: WhatIf) -> str:
    if not found.changed:
        return f"{percent(found.before)} as the cast is."
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
