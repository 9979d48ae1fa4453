"""The page benchmark against a server with films in memory."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import pages
from benchmarks.pages import GOAL_KB, Visitor, find_assets, measure
from common.errors import PlatformError, ServiceError
from tests.pages_parts import make_platform
from tests.web import serve


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as monkeypatch, serve(make_platform(monkeypatch).app) as address:
        yield address


def test_every_page_is_timed_weighed_and_written(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, page = tmp_path / "reports" / "pages.json", tmp_path / "pages.md"
    arguments = [
        "--url",
        site,
        "--requests",
        "4",
        "--title",
        "Frozen",
        "--numbers",
        str(numbers),
        "--page",
        str(page),
    ]
    monkeypatch.setattr(sys, "argv", ["pages", *arguments])

    assert pages.main() == 0

    report = json.loads(numbers.read_text())
    names = [found["name"] for found in report["pages"]]
    assert names == [
        *("home", "film, asked before", "its JSON", "ambiguous title", "trends", "model", "platform", "about")
    ]
    for found in report["pages"]:
        assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]
        assert 0 < found["kb"] <= found["kb_first_visit"] < GOAL_KB
    assert "/movies/109445" in capsys.readouterr().out
    assert page.read_text().count("| film, asked before |") == 1


def test_first_visit_loads_style_script_and_fonts(site: str) -> None:
    visitor = Visitor(site)
    assets = find_assets(visitor, visitor.ask("/")[0].text)

    assert {path.rpartition(".")[2].partition("?")[0] for path in assets} >= {"css", "js", "svg", "woff2"}
    assert {visitor.ask(path)[0].status for path in assets} == {200}


def test_answer_that_is_not_the_page_ends_the_run(site: str) -> None:
    with pytest.raises(ServiceError, match="/movies/999999999 answered 404"):
        measure(Visitor(site), "film", ["/movies/999999999"], 1)


def test_server_that_is_not_there_says_how_to_start_it() -> None:
    with pytest.raises(PlatformError, match="Start the server: make up"):
        Visitor("http://127.0.0.1:9").ask("/")
