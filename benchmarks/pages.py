"""How long the running server takes for each page, and how much it sends: `python -m benchmarks.pages`.

Needs a running platform (`make up`). Asks one page after the other on one kept connection, as a browser that waits
for each answer. Every page is asked a few times before it is measured, so that a film is one that was asked before
(its vector is remembered, its page is made anew each time). Prints one table, writes reports/pages.json and
docs/benchmarks/pages.md.
"""

import argparse
import gzip
import http.client
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import numpy as np

from common import cli
from common.database import connect
from common.errors import PlatformError, ServiceError
from common.settings import ROOT, Settings, load_settings

NUMBERS = ROOT / "reports" / "pages.json"
PAGE = ROOT / "docs" / "benchmarks" / "pages.md"
GOAL_MS, GOAL_KB = 50, 150
REQUESTS, WARM_UP, FILMS = 200, 5, 5
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Measured:
    """One page.

    Attributes:
        name: what it is.
        paths: asked in turn.
        p50_ms, p95_ms, p99_ms: from the first byte sent to the last one received.
        kb: what one answer is on the wire, head and body in gzip, in 1,000 bytes; the largest of its paths.
        kb_first_visit: the same with style, script and all fonts, which a browser keeps; posters are not ours.
    """

    name: str
    paths: Sequence[str]
    p50_ms: float
    p95_ms: float
    p99_ms: float
    kb: float
    kb_first_visit: float


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        size: bytes on the wire.
        text: the body, unpacked.
    """

    status: int
    size: int
    text: str


class Visitor:
    """A client with one kept connection that takes gzip."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)

    def ask(self, path: str) -> tuple[Answer, float]:
        """An answer and how many seconds it took.

        Raises:
            ServiceError: nobody answers.
        """
        started = time.perf_counter()
        try:
            self._connection.request("GET", path, headers={"Accept-Encoding": "gzip", "Accept": "text/html,*/*"})
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(
                f"{self._url} does not answer ({type(error).__name__}). Start the server: make up"
            ) from error
        seconds = time.perf_counter() - started
        size = len(body) + sum(len(name) + len(value) + 4 for name, value in response.getheaders())
        plain = gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body
        return Answer(response.status, size, plain.decode(errors="replace")), seconds


def main() -> int:
    """Measure every page, print the table, write numbers and page."""
    options = _read_arguments()
    settings = load_settings()
    url = options.url or f"http://{settings.host}:{settings.port}"
    load_before = round(os.getloadavg()[0], 1)
    visitor = Visitor(url)
    films = options.film or find_films(visitor)
    title = options.title or find_ambiguous_title(settings)
    pages = [measure(visitor, name, paths, options.requests) for name, paths in list_pages(films, title).items()]
    report = {
        "pages": [asdict(page) for page in pages],
        "films": films,
        "requests": options.requests,
        "machine": {"cores": os.cpu_count(), "load_before": load_before},
    }
    print(f"film pages, asked before: {', '.join(f'/movies/{film}' for film in films)}")
    print(as_table(pages))
    write(options.numbers, json.dumps(report, indent=2) + "\n")
    write(options.page, as_page(pages, films=len(films), requests=options.requests, load_before=load_before))
    return 0


def list_pages(films: Sequence[int], title: str | None) -> dict[str, list[str]]:
    """Addresses by the page's name."""
    return {
        "home": ["/"],
        "film, asked before": [f"/movies/{film}" for film in films],
        "its JSON": [f"/movies/{film}.json" for film in films],
        **({"ambiguous title": [f"/?{urlencode({'title': title})}"]} if title else {}),
        "trends": ["/trends"],
        "model": ["/model"],
        "platform": ["/platform"],
        "about": ["/about"],
    }


def find_films(visitor: Visitor) -> list[int]:
    """The films that the home page offers first."""
    found = re.findall(r'href="/movies/(\d+)"', visitor.ask("/")[0].text)
    if not found:
        raise PlatformError(
            "The home page offers no film. Load and train first (make up), or name one: --film TMDB_ID"
        )
    return [int(film) for film in dict.fromkeys(found)][:FILMS]


def find_ambiguous_title(settings: Settings) -> str | None:
    """A title that most films share; None when each has its own."""
    with connect(settings.database_url) as connection:
        row = connection.execute(
            "select min(title) from marts.dim_movies group by title_search having count(*) > 1 "
            "order by count(*) desc, title_search limit 1"
        ).fetchone()
    return str(row[0]) if row else None


def measure(visitor: Visitor, name: str, paths: Sequence[str], requests: int) -> Measured:
    """Ask for the paths in turn.

    Raises:
        ServiceError: an answer is not the page.
    """
    answers = [visitor.ask(path)[0] for path in paths for _ in range(WARM_UP)][WARM_UP - 1 :: WARM_UP]
    for path, answer in zip(paths, answers, strict=True):
        if answer.status not in (200, 300):
            raise ServiceError(f"{path} answered {answer.status}. See what it says in a browser, then ask again.")
    seconds = [visitor.ask(paths[number % len(paths)])[1] for number in range(requests)]
    p50, p95, p99 = (round(float(value), 1) for value in np.percentile(seconds, [50, 95, 99]) * 1000)
    size = max(answer.size for answer in answers)
    with_assets = size + sum(visitor.ask(path)[0].size for path in find_assets(visitor, answers[0].text))
    return Measured(name, list(paths), p50, p95, p99, round(size / 1000, 1), round(with_assets / 1000, 1))


def find_assets(visitor: Visitor, page: str) -> list[str]:
    """Style, script, icon and every font that a page may load from us; a browser takes the fonts that it needs."""
    linked = set(re.findall(r'<(?:link|script|img)\b[^>]*(?:href|src)="(/static/[^"]+)"', page))
    fonts = {
        urljoin(style, font)
        for style in linked
        if ".css" in style
        for font in re.findall(r'url\("([^"]+\.woff2)"\)', visitor.ask(style)[0].text)
    }
    return sorted(linked | fonts)


def as_table(pages: Sequence[Measured]) -> str:
    """One line per page."""
    head = ("page", "p50 ms", "p95 ms", "p99 ms", "kB sent", "kB, first visit")
    rows = [
        (
            page.name,
            *(f"{value:.1f}" for value in (page.p50_ms, page.p95_ms, page.p99_ms, page.kb, page.kb_first_visit)),
        )
        for page in pages
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "| "
        + " | ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        + " |"
        for row in (head, *rows)
    ]
    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def as_page(pages: Sequence[Measured], *, films: int, requests: int, load_before: float) -> str:
    """The page for readers."""
    slowest = max(pages, key=lambda page: page.p95_ms)
    heaviest = max(pages, key=lambda page: page.kb_first_visit)
    return f"""# The pages, measured

Written by `make bench-pages` on {datetime.now(UTC):%Y-%m-%d}: {requests} requests for each page, one after the
other on one kept connection, client and server on one machine with {os.cpu_count()} cores. The load average was
{load_before} when it began. The film's row goes over {films} films that were asked before: their vectors are
remembered, their pages are made anew each time.

{as_table(pages)}

Milliseconds from the first byte sent to the last one received. kB are 1,000 bytes on the wire, head and body in gzip.
A first visit also loads style, script and fonts (here all of them, of which a browser takes those it needs). Posters
are not counted: they come from TMDB.

The goals are {GOAL_MS} ms at p95 for a film asked before and {GOAL_KB} kB: the slowest page is {slowest.name} with \
{slowest.p95_ms:.1f} ms at p95,
the heaviest {heaviest.name} with {heaviest.kb_first_visit:.0f} kB.
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"written: {path}")


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="a running server (default: the one of HOST and PORT)")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"for each page (default: {REQUESTS})")
    parser.add_argument(
        "--film", type=int, nargs="+", metavar="TMDB_ID", help=f"default: the first {FILMS} of the home page"
    )
    parser.add_argument("--title", help="one that several films share (default: found in the database)")
    parser.add_argument("--numbers", type=Path, default=NUMBERS, help="where the JSON goes")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page for readers goes")
    return parser.parse_args()


if __name__ == "__main__":
    cli.run(main)
