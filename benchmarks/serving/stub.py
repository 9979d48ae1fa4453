"""A stand-in for TMDB on 127.0.0.1: `python -m benchmarks.serving.stub PORT [PAYLOADS]`.

Answers from TMDB-shaped JSON lines, or, without a file, from hand-made films with the ids 1 to 2000.
"""

import argparse
import gzip
import itertools
import re
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import orjson

FILMS = 3_300  # more than a run asks for
CAST, CREW = 40, 60


def read_bodies(path: Path | None) -> dict[int, bytes]:
    """Answers to `/movie/ID?append_to_response=credits` by id, of the first FILMS films."""
    if path is None:
        return {number: hand_made_film(number) for number in range(1, FILMS + 1)}
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as lines:
        return dict(itertools.islice(_identified(lines), FILMS))


def hand_made_film(number: int) -> bytes:
    """A film of TMDB's usual size; its people are numbers."""

    def person(place: int, **more: object) -> dict[str, object]:
        gender = (place * number) % 3
        return {"id": place, "name": f"Person {place}", "gender": gender, "credit_id": f"{number}-{place}", **more}

    film = {
        "id": number,
        "imdb_id": f"tt{number:07d}",
        "title": f"Film {number}",
        "original_title": f"Film {number}",
        "original_language": "en",
        "overview": f"She and he, for the {number}th time, look for a way out of town. " * 3,
        "tagline": "",
        "release_date": f"{1950 + number % 70}-05-01",
        "runtime": 90 + number % 40,
        "budget": number * 1000,
        "revenue": 0,
        "adult": False,
        "genres": [{"id": 18, "name": "Drama"}],
        "production_companies": [{"id": 1, "name": "Studio", "origin_country": "US"}],
        "production_countries": [{"iso_3166_1": "US", "name": "United States of America"}],
        "credits": {
            "cast": [person(i, character=f"Role {i}", order=i, cast_id=i) for i in range(CAST)],
            "crew": [person(i, department="Writing", job="Writer" if i % 9 else "Director") for i in range(CREW)],
        },
    }
    return orjson.dumps(film)


def _identified(lines: Iterable[bytes]) -> Iterable[tuple[int, bytes]]:
    for line in lines:
        if found := re.search(rb'"id":\s*(\d+)', line):
            film = orjson.loads(line)
            yield int(film.get("id", found[1])), line.strip()


def make_handler(bodies: dict[int, bytes]) -> type[BaseHTTPRequestHandler]:
    """The answers over HTTP/1.1, connections kept."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one packet per answer

        def do_GET(self) -> None:
            found = re.fullmatch(r"/3/movie/(\d+)(/credits)?", urlsplit(self.path).path)
            body = bodies.get(int(found[1])) if found else None
            if body is not None and found is not None and found[2]:
                body = orjson.dumps({"id": int(found[1]), **orjson.loads(body)["credits"]})
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json;charset=utf-8")
            body = body or b'{"success":false,"status_code":34,"status_message":"not found"}'
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.stub", description=(__doc__ or "").split(":")[0]
    )
    parser.add_argument("port", type=int, help="on 127.0.0.1")
    parser.add_argument("payloads", type=Path, nargs="?", help="TMDB-shaped JSON lines (default: hand-made films)")
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), make_handler(read_bodies(options.payloads)))
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
