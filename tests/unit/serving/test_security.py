"""What browsers are told with every answer, and that no input of any route gets where it should not."""

import itertools
import re

import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from tests.serving_parts import Platform

INJECTIONS = (
    "1 or 1=1",
    "1; drop table raw.movies",
    "' or ''='",
    "x'; delete from serving.feedback; --",
    "1 union select usename, passwd from pg_shadow",
    "%' and pg_sleep(9) is null and '%'='",
    "\\'; copy raw.movies to program 'id'; --",
    "$$;drop schema raw cascade;$$",
    "%s %(key)s {0} {title}",
    "\x00",
)
TRAVERSALS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/app.py",
    "....//....//app.py",
    "..\\..\\app.py",
    "/etc/passwd",
    "file:///etc/passwd",
    "app.py%00.css",
)
FORBIDDEN = re.compile(
    r"root:x:|Traceback|psycopg|File \"|create_app|SyntaxError|site-packages|werkzeug|syntax error"
)
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform()


def rules(app: Flask, method: str) -> list[Rule]:
    return [rule for rule in app.url_map.iter_rules() if method in (rule.methods or ())]


QUERIES = ("q", "title", "year", "limit", "tmdb_id", "imdb_id", "page", "sort", "format", "decade", "genre")
FIELDS = ("tmdb_id", "imdb_id", "title", "year", "rating", "comment", "movies", "women")


def assert_harmless(platform: Platform, answer: TestResponse, attack: str, *asked: object) -> None:
    """Answered as any other text would be, without a word from inside."""
    assert answer.status_code < 500, (asked, answer.text[:300])
    assert not FORBIDDEN.search(answer.text.replace(attack, "")), asked
    assert not any(attack in statement for statement in platform.database.asked), asked
    platform.database.asked.clear()


@pytest.mark.parametrize("rule", sorted({rule.rule for rule in rules(Platform().app, "GET")}))
def test_no_input_of_a_route_reaches_a_file_a_query_or_an_error_text(platform: Platform, rule: str) -> None:
    for attack in (*INJECTIONS, *TRAVERSALS):
        path = re.sub(r"<[^>]+>", lambda _, attack=attack: attack, rule)
        for query in [dict.fromkeys(QUERIES, attack)] + [{}] * (path != rule):
            answer = platform.client.get(path, query_string=query)
            assert_harmless(platform, answer, attack, path, query)


@pytest.mark.parametrize("rule", sorted({rule.rule for rule in rules(Platform().app, "POST")}))
def test_no_field_of_a_body_reaches_a_query_or_an_error_text(platform: Platform, rule: str) -> None:
    path = re.sub(r"<[^>]+>", "109445", rule)
    for attack, field in itertools.product((*INJECTIONS, *TRAVERSALS), FIELDS):
        for body in ({field: attack}, {"tmdb_id": 109445, "rating": 3, field: attack}, {"movies": [{field: attack}]}):
            for answer in (platform.client.post(path, json=body), platform.client.post(path, data=body)):
                assert_harmless(platform, answer, attack, path, body)


def test_a_comment_reaches_the_database_as_a_parameter_only() -> None:
    platform = Platform()
    comment = "x'; delete from serving.feedback; --"
    given = platform.client.post("/api/v1/feedback", json={"tmdb_id": 109445, "rating": 1, "comment": comment})

    assert given.status_code == 201
    [(statement, parameters)] = platform.database.statements
    assert comment not in statement
    assert comment in parameters


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/api/v1/model", 200),
        ("/api/v1/movies/404", 404),
        ("/api/v1/movies/search", 422),
        ("/nothing", 404),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/static/style.css", 200),
        ("/static/nothing.css", 404),
        ("/openapi.json", 200),
    ],
)
def test_every_answer_carries_the_headers(platform: Platform, path: str, status: int) -> None:
    answer = platform.client.get(path, buffered=True)

    assert answer.status_code == status
    for name, part in HEADERS.items():
        assert part in answer.headers[name], name
    assert answer.headers["Server"] == "bechdel"
    assert "X-Powered-By" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers  # plain HTTP: browsers would ignore it


def test_scripts_styles_and_frames_come_from_nowhere_else(platform: Platform) -> None:
    policy = platform.client.get("/").headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))

    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self'"
    assert "unsafe" not in policy
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"


def test_what_is_no_page_may_load_nothing(platform: Platform) -> None:
    for path in ("/healthz", "/api/v1/model", "/openapi.json"):
        assert "'self'" not in platform.client.get(path).headers["Content-Security-Policy"], path


def test_behind_tls_browsers_are_asked_to_stay_with_it() -> None:
    header = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    trusted = Platform(trusted_proxies=1).client

    assert trusted.get("/", headers=header).headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in trusted.get("/", headers={"X-Forwarded-Proto": "http"}).headers


def test_an_untrusted_client_cannot_claim_tls() -> None:
    answer = Platform().client.get("/", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"})
    assert "Strict-Transport-Security" not in answer.headers


def test_no_debug_mode_and_no_inner_text_in_an_unexpected_error() -> None:
    platform = Platform()

    def fail() -> None:
        raise RuntimeError("secret inside")

    platform.app.add_url_rule("/fail", "fail", fail)
    answer = platform.client.get("/fail")

    assert platform.app.debug is False
    assert platform.app.testing is False
    assert answer.status_code == 500
    assert "secret inside" not in answer.text
    assert "Traceback" not in answer.text
