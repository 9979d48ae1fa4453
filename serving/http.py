"""What every response may need on its way out: compression, and leave for other sites' scripts."""

import gzip

from flask import Flask, Response, request

COMPRESS_FROM_BYTES = 1400  # less fits into one packet anyway
COMPRESSIBLE = ("application/json", "application/problem+json", "text/html", "text/javascript", "text/plain")
LEVEL = 4  # half the size of a film's answer in 60 microseconds


def compress(response: Response) -> Response:
    """The response in gzip, for who asks for it and when it is worth it."""
    if not response.is_sequence or response.mimetype not in COMPRESSIBLE:
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings.quality("gzip") <= 0 or "Content-Encoding" in response.headers:
        return response
    body = response.get_data()
    if len(body) >= COMPRESS_FROM_BYTES:
        response.set_data(gzip.compress(body, LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        etag, _ = response.get_etag()
        if etag:
            response.set_etag(etag, weak=True)  # other bytes, same content
    return response


def add_cors(app: Flask, origins: str) -> None:
    """Let scripts of these sites ask the API; without any, browsers refuse them.

    Args:
        origins: separated by commas; `*` for all, empty for none.
    """
    allowed = {origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip()}
    if not allowed:
        return

    @app.before_request
    def answer_preflight() -> Response | None:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return Response(status=204) if asks and request.path.startswith("/api/") else None

    @app.after_request
    def allow(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        response.vary.add("Origin")
        if request.path.startswith("/api/") and ("*" in allowed or origin in allowed) and origin:
            response.headers["Access-Control-Allow-Origin"] = "*" if "*" in allowed else origin
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
            response.headers["Access-Control-Allow-Headers"] = "Content-Type, X-Request-ID"
            response.headers["Access-Control-Expose-Headers"] = "X-Request-ID, ETag"
        return response
