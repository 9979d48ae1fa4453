"""The API's description as a page: Swagger UI from its package, nothing from other hosts."""

import logging
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Flask, Response

from serving.security import API_DOCS_POLICY, CONTENT_POLICY

logger = logging.getLogger(__name__)

ASSETS = "flask_openapi3_swagger"  # ships Swagger UI's files; its own page has scripts inline, which ours forbids
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>API of the Bechdel test predictions</title>
  <link rel="stylesheet" href="/docs/assets/css/swagger-ui.css">
  <script src="/docs/assets/js/swagger-ui-bundle.js" defer></script>
  <script src="/docs/start.js" defer></script>
</head>
<body><main id="api"><p><a href="/openapi.json">openapi.json</a></p></main></body>
</html>
"""
START = 'window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#api", validatorUrl: null});\n'


def add_docs(app: Flask) -> None:
    """Add `/docs`."""
    package = find_spec(ASSETS)
    if package is None or package.origin is None:
        logger.warning("no page at /docs: the package %s is not installed", ASSETS)
        return
    folder = Path(package.origin).parent / "templates" / "swagger"
    docs = Blueprint("docs", __name__, static_folder=str(folder), static_url_path="/docs/assets")

    @docs.get("/docs")
    def page() -> Response:
        response = Response(PAGE, mimetype="text/html")
        response.headers[CONTENT_POLICY] = API_DOCS_POLICY
        return response

    @docs.get("/docs/start.js")
    def start() -> Response:
        return Response(START, mimetype="text/javascript")

    app.register_blueprint(docs)
