"""The Flask application: API, pages, health and metrics, made by a factory."""

import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import quote

import orjson
from flask import Flask, Response, g, request
from flask.json.provider import JSONProvider
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException

from common.errors import PlatformError
from common.settings import Settings, load_settings
from serving.api import EXAMPLES, PARAMETER_EXAMPLES, api, cacheable, refuse_invalid
from serving.docs_page import add_docs
from serving.http import add_cors, compress
from serving.pages import pages, render_problem
from serving.problems import NOT_READY, make_problem, problem_of, problem_response
from serving.rate_limit import document_limit, limit_rate
from serving.request_context import request_id
from serving.schemas import Problem
from serving.security import secure
from serving.services import Services, make_services

logger = logging.getLogger(__name__)

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
MAX_REQUEST_BYTES = 512_000  # 100 titles of 200 characters, each escaped as in JSON
KEPT_HEADERS = {"Allow", "Retry-After"}  # of werkzeug's own errors


def create_app(settings: Settings | None = None, *, workers: int = 1, parts: Services | None = None) -> Flask:
    """Make the application; it starts at once and reports what is not there yet at `/readyz`.

    Args:
        settings: default: read from the environment.
        workers: processes like this one; see `make_services()`.
        parts: what handlers use; default: made from the settings.
    """
    parts = parts or make_services(settings or load_settings(), workers=workers)
    app = OpenAPI(
        __name__,
        info=Info(
            title="Bechdel test predictions",
            version="1",
            description="Predicts whether a film passes the Bechdel test, with reasons and gaps.",
        ),
        security_schemes={},
        validation_error_status=422,
        validation_error_model=Problem,
        validation_error_callback=refuse_invalid,
        doc_ui=False,
        static_folder=None,  # the pages' blueprint serves it and says how long it may be kept
    )
    app.json = OrjsonProvider(app)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.extensions["bechdel"] = parts
    app.register_api(api)
    app.register_blueprint(pages)
    add_docs(app)
    _add_operations(app, parts)
    _add_error_border(app)
    _add_request_log(app, parts)
    limit_rate(app, parts.settings.rate_limit)
    secure(app, parts.settings.trusted_proxies)
    add_cors(app, parts.settings.cors_origins or "")
    app.after_request(compress)  # run before those above, which then see the final response
    parts.champions.start()
    parts.log.start()
    return app


class OrjsonProvider(JSONProvider):
    """JSON by orjson: quicker, and deeply nested input is an error instead of a RecursionError."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)


def _add_operations(app: OpenAPI, parts: Services) -> None:
    """What operators and machines ask."""
    document: list[bytes] = []

    @app.route("/openapi.json")
    def openapi() -> Response:
        if not document:
            document.append(orjson.dumps(_with_examples(app.api_doc)))
        return cacheable(Response(document[0], mimetype="application/json"), 60)

    @app.route("/healthz")
    def healthz() -> Response:
        return Response('{"status":"ok"}', mimetype="application/json")

    @app.route("/readyz")
    def readyz() -> Response:
        obstacles, checks = parts.health.check()
        if obstacles:
            return problem_response(make_problem(NOT_READY, " ".join(obstacles), checks=checks))
        return Response(orjson.dumps({"status": "ready", "checks": checks}), mimetype="application/json")

    @app.route("/metrics")
    def metrics() -> Response:
        return Response(parts.metrics.render(), content_type=CONTENT_TYPE_LATEST)


def _with_examples(document: dict[str, Any]) -> dict[str, Any]:
    for path, examples in EXAMPLES.items():
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        body["examples"] = {name: {"value": value} for name, value in examples.items()}
    for path, values in PARAMETER_EXAMPLES.items():
        for parameter in document["paths"][path]["get"]["parameters"]:
            if parameter["name"] in values:
                parameter["example"] = values[parameter["name"]]
    document_limit(document)
    return document


def _add_error_border(app: Flask) -> None:
    """Errors leave as problem documents, for people as a page with the same sentence."""

    def handle(error: Exception) -> Response:
        problem = problem_of(error)
        response = render_problem(problem) if wants_page() else problem_response(problem)
        headers = error.get_headers() if isinstance(error, HTTPException) else []
        response.headers.extend([(name, value) for name, value in headers if name in KEPT_HEADERS])
        return response

    app.register_error_handler(PlatformError, handle)
    app.register_error_handler(HTTPException, handle)
    app.register_error_handler(Exception, handle)


def wants_page() -> bool:
    """Whether the one who asks is a person with a browser."""
    if request.path.startswith("/api/"):
        return False
    return request.blueprint == "pages" or request.accept_mimetypes.best == "text/html"


def _add_request_log(app: Flask, parts: Services) -> None:
    """An id, a clock and a log line for each request."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else secrets.token_hex(8)
        request_id.set(g.request_id)
        g.started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("started", time.perf_counter())
        endpoint = request.endpoint or "none"
        method = request.method if request.method in METHODS else "other"
        parts.metrics.requests.labels(endpoint, method, response.status_code).inc()
        parts.metrics.latency.labels(endpoint).observe(seconds)
        response.headers["X-Request-ID"] = g.get("request_id", "")
        logger.info(
            "request id=%s method=%s path=%s status=%d ms=%.1f",
            g.get("request_id"),
            method,
            quote(request.path),  # a line stays one line; what was asked after `?` stays out
            response.status_code,
            1000 * seconds,
        )
        return response
