"""How often one client may ask: a token bucket for each address.

Each worker process counts for itself: sharing the counts would cost a query per request. A client that spreads its
connections over all workers may therefore ask as often as `RATE_LIMIT` times `SERVING_WORKERS`.
"""

import ipaddress
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import TooManyRequests

FREE_ENDPOINTS = {"healthz", "readyz", "metrics"}  # those who watch the server must see it when it is busy
MOST_CLIENTS = 20_000  # remembered at a time, about 5 MB
PROBLEM = {
    "description": "The client asks too often; `Retry-After` says in how many seconds it may ask again",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class RateLimit:
    """So many requests a minute for each client; one that has rested may ask for a minute's worth at once.

    Args:
        per_minute: requests.
        clock: seconds that only grow.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        # tokens and when they were counted, by client; the one that has been silent for longest comes first
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, client: str) -> float:
        """Count a request of a client; returns 0 when it may be answered, else the seconds to wait."""
        now = self._clock()
        with self._lock:
            tokens, counted_at = self._buckets.pop(client, (self._capacity, now))
            tokens = min(self._capacity, tokens + (now - counted_at) * self._per_second)
            may = tokens >= 1
            self._buckets[client] = (tokens - 1 if may else tokens, now)
            if len(self._buckets) > MOST_CLIENTS:
                del self._buckets[next(iter(self._buckets))]
        return 0.0 if may else (1 - tokens) / self._per_second


def limit_rate(app: Flask, per_minute: int) -> None:
    """Refuse clients that ask more often, with status 429 and `Retry-After`; 0 sets no limit.

    Programs on this machine are not counted, unless a proxy on it says for whom it asks.
    """
    if per_minute == 0:
        return
    limit = RateLimit(per_minute)

    @app.before_request
    def refuse_too_many() -> None:
        client = client_of(request.remote_addr or "")
        if client is None or request.endpoint in FREE_ENDPOINTS:
            return
        seconds = math.ceil(limit.take(client))
        if seconds:
            raise TooManyRequests(
                f"At most {per_minute} requests a minute are answered for one address. "
                f"Ask again in {seconds} {'second' if seconds == 1 else 'seconds'}.",
                retry_after=seconds,
            )


def client_of(address: str) -> str | None:
    """Who is counted together: an IPv4 address, or an IPv6 network of one customer (/64); None for this machine."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address  # whatever a proxy wrote there is still one client
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return None if parsed.is_loopback else str(ipaddress.IPv6Network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return None if parsed.is_loopback else str(parsed)


def document_limit(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document that every operation may answer 429."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("429", PROBLEM)
