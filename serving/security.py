"""What every answer says to browsers, and whom the server believes about who asks and how."""

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, RequestTimeout
from werkzeug.middleware.proxy_fix import ProxyFix

from serving.buffered import REFUSED

CONTENT_POLICY = "Content-Security-Policy"
# what is no page loads nothing
DATA_POLICY = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
POSTERS_POLICY = PAGE_POLICY.replace("img-src 'self'", "img-src 'self' https://image.tmdb.org")
# Swagger UI sets styles on elements and draws its icons from data: addresses
API_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# dbt writes its documentation as one page with its scripts inline. They run in an origin of their own (`sandbox`),
# load nothing and send nothing.
DBT_DOCS_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    CONTENT_POLICY: DATA_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
}
TRANSPORT_SECURITY = "max-age=31536000"  # a year; not for subdomains, which are not ours to promise for
SERVER = "bechdel"  # granian would name itself


def secure(app: Flask, trusted_proxies: int) -> None:
    """Send the headers above with every answer, unless it has its own; by TLS, also ask browsers to stay with it.

    Args:
        trusted_proxies: proxies of ours in front. Each adds one entry to X-Forwarded-For and X-Forwarded-Proto, so
            the entry at this place from the right is what the outermost of them saw; those left of it anybody can
            make up. With 0 the headers mean nothing.
    """
    if trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=trusted_proxies, x_proto=trusted_proxies, x_host=0, x_port=0, x_prefix=0
        )

    @app.before_request
    def refuse_broken() -> None:
        status = request.environ.get(REFUSED)
        if status == 408:
            raise RequestTimeout("The request's body did not arrive in time. Send it again.")
        if status is not None:
            raise BadRequest("The request contradicts HTTP: it has no host or several, or its body ends too early.")

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = TRANSPORT_SECURITY
        response.headers["Server"] = SERVER
        return response
