"""A client that asks too often is told so, and when it may ask again; nobody else notices."""

import time
from typing import Any

import pytest
from werkzeug.test import TestResponse

from serving.rate_limit import MOST_CLIENTS, RateLimit, client_of
from tests.serving_parts import Platform

FAR = "203.0.113.7"


def ask(platform: Platform, address: str, path: str = "/api/v1/model", **headers: str) -> TestResponse:
    environ: dict[str, Any] = {"REMOTE_ADDR": address}
    return platform.client.get(path, environ_overrides=environ, headers=headers)


def test_a_minute_may_be_asked_at_once_and_then_one_at_a_time() -> None:
    now = [0.0]
    limit = RateLimit(60, clock=lambda: now[0])

    assert [limit.take("a") for _ in range(60)] == [0.0] * 60
    assert limit.take("a") == pytest.approx(1.0)
    assert limit.take("b") == 0.0
    now[0] = 1.0
    assert limit.take("a") == 0.0
    assert limit.take("a") == pytest.approx(1.0)


def test_no_more_clients_are_remembered_than_memory_is_set_aside_for() -> None:
    limit = RateLimit(60)
    for client in range(MOST_CLIENTS + 10):
        limit.take(str(client))
    assert len(limit._buckets) == MOST_CLIENTS
    assert "0" not in limit._buckets


def test_counting_costs_a_request_less_than_a_tenth_of_a_millisecond() -> None:
    limit = RateLimit(10**9)
    started = time.process_time()
    for client in range(10_000):
        limit.take(client_of(f"203.0.{client % 250}.7") or "")
    assert (time.process_time() - started) / 10_000 < 100e-6


def test_a_client_beyond_its_limit_gets_a_problem_and_the_seconds_to_wait() -> None:
    platform = Platform(rate_limit=2)
    for _ in range(2):
        assert ask(platform, FAR).status_code == 200
    refused = ask(platform, FAR)

    assert refused.status_code == 429
    assert refused.mimetype == "application/problem+json"
    assert refused.get_json()["type"] == "/problems/too-many-requests"
    assert "At most 2 requests a minute" in refused.get_json()["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert ask(platform, "203.0.113.8").status_code == 200


def test_people_get_a_page_and_the_same_header() -> None:
    platform = Platform(rate_limit=1)
    ask(platform, FAR, "/", Accept="text/html")
    refused = ask(platform, FAR, "/", Accept="text/html")

    assert refused.status_code == 429
    assert refused.mimetype == "text/html"
    assert "At most 1 requests a minute" in refused.text
    assert "Retry-After" in refused.headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_those_who_watch_the_server_are_always_answered(path: str) -> None:
    platform = Platform(rate_limit=1)
    assert [ask(platform, FAR, path).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(("rate_limit", "address"), [(0, FAR), (1, "127.0.0.1"), (1, "::1"), (1, "::ffff:127.0.0.1")])
def test_without_a_limit_or_from_this_machine_everything_is_answered(rate_limit: int, address: str) -> None:
    platform = Platform(rate_limit=rate_limit)
    assert [ask(platform, address).status_code for _ in range(3)] == [200] * 3


def test_a_forwarded_address_counts_only_behind_a_trusted_proxy() -> None:
    direct, behind = Platform(rate_limit=1), Platform(rate_limit=1, trusted_proxies=1)
    made_up = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(3)]

    assert [ask(direct, FAR, **header).status_code for header in made_up] == [200, 429, 429]
    assert [ask(behind, "127.0.0.1", **header).status_code for header in made_up] == [200] * 3
    assert ask(behind, "127.0.0.1", **made_up[0]).status_code == 429


def test_what_a_client_writes_left_of_the_proxys_entry_is_not_believed() -> None:
    platform = Platform(rate_limit=1, trusted_proxies=1)
    statuses = [
        ask(platform, "127.0.0.1", **{"X-Forwarded-For": f"198.51.100.{number}, {FAR}"}).status_code
        for number in range(2)
    ]
    assert statuses == [200, 429]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("127.8.8.8", None),
    ],
)
def test_who_is_counted_together(address: str, client: str | None) -> None:
    assert client_of(address) == client


def test_every_operation_documents_the_refusal() -> None:
    document = Platform().client.get("/openapi.json").get_json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all("429" in operation["responses"] for operation in operations)
