"""The sample as files: a csv in Kaggle's layout and TMDB-shaped payloads, the same bytes for the same seed."""

import csv
import gzip
import io
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TextIO

import orjson

from common.errors import SourceError
from ingestion.progress import progress_bar
from ingestion.sample.film import CastMember, CrewMember, Film, make_film
from ingestion.sample.people import World

logger = logging.getLogger(__name__)

GENERATOR_VERSION = 1  # raise it with every change of the bytes, so that old samples are made again
MOVIES, PAYLOADS, MANIFEST = "movies.csv.gz", "tmdb_payloads.jsonl.gz", "manifest.json"
COMPRESSION = 3  # level 6 takes half as long again and saves a tenth

HEADER = (
    "", "title", "year", "bt_score", "dubious", "imdbid", "tmdbId", "genres", "popularity", "production_companies",
    "production_countries", "release_date", "revenue", "vote_average", "vote_count", "cast", "crew", "budget",
    "cast_gender", "crew_gender", "cast_female_representation", "crew_female_representation",
)  # fmt: skip
EXACT_DUPLICATE_EVERY, EXACT_DUPLICATE_AT = 1200, 3
CONFLICT_EVERY, CONFLICT_AT = 4000, 7
STUB_EVERY, STUB_AT = 1200, 17  # films without popularity, budget and revenue
NO_PAYLOAD_DATE_EVERY = 67


@dataclass(frozen=True)
class SampleFiles:
    """Where a sample lies."""

    movies: Path
    payloads: Path


@dataclass(frozen=True)
class Manifest:
    """What a sample was made from; written last, so that a sample with one is complete."""

    films: int
    seed: int
    generator_version: int = GENERATOR_VERSION
    synthetic: bool = True


def ensure(folder: Path, *, films: int, seed: int) -> SampleFiles:
    """Have a sample in a folder: made now, unless it is there already, whole and by this version of the generator.

    Raises:
        SourceError: the folder cannot be written.
    """
    files = SampleFiles(folder / MOVIES, folder / PAYLOADS)
    wanted = Manifest(films, seed)
    if _read_manifest(folder / MANIFEST) == wanted and files.movies.exists() and files.payloads.exists():
        logger.info("sample is there films=%d seed=%d folder=%s", films, seed, folder)
        return files
    started = time.monotonic()
    try:
        _generate(folder, wanted)
    except OSError as error:
        raise SourceError(f"The sample cannot be written to {folder} ({error.strerror or error}).") from error
    seconds = time.monotonic() - started
    logger.info("sample made SYNTHETIC films=%d seed=%d seconds=%.1f folder=%s", films, seed, seconds, folder)
    return files


def _read_manifest(path: Path) -> Manifest | None:
    try:
        values = orjson.loads(path.read_bytes())
        return Manifest(**values) if set(values) == {field.name for field in fields(Manifest)} else None
    except (OSError, ValueError, TypeError):
        return None


def _generate(folder: Path, manifest: Manifest) -> None:
    """Write beside the final place and move there, so that a kill leaves no half sample."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    with progress_bar("Making the synthetic sample", manifest.films) as on_films:
        _write_films(partial, manifest, on_films)
    (partial / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    for name in (MOVIES, PAYLOADS, MANIFEST):
        (partial / name).replace(folder / name)
    partial.rmdir()


def _write_films(folder: Path, manifest: Manifest, on_films: Callable[[int], None]) -> None:
    world = World(manifest.films, manifest.seed)
    with _open_gzip(folder / MOVIES) as movies, _open_gzip(folder / PAYLOADS) as payloads:
        writer = csv.writer(movies, lineterminator="\n")
        writer.writerow(HEADER)
        row = 0
        for index in range(manifest.films):
            film = make_film(world, index)
            payloads.write(orjson.dumps(payload(film)).decode() + "\n")
            for values in csv_rows(film):
                writer.writerow((row, *values))
                row += 1
            if index % 200 == 0:
                on_films(index)


@contextmanager
def _open_gzip(path: Path) -> Iterator[TextIO]:
    """A gzip text file without time and name in its header, which would differ from run to run."""
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=COMPRESSION, mtime=0) as compressed,
        io.BufferedWriter(compressed, 1 << 20) as buffered,  # type: ignore[arg-type]
        io.TextIOWrapper(buffered, "utf-8", newline="") as text,
    ):
        yield text


def csv_rows(film: Film) -> Iterator[tuple[object, ...]]:
    """The film as rows of the Kaggle layout, without the index: one, or two for the few that are in it twice."""
    row = _csv_row(film)
    yield row
    if film.index % EXACT_DUPLICATE_EVERY == EXACT_DUPLICATE_AT:
        yield row
    if film.index % CONFLICT_EVERY == CONFLICT_AT:
        yield (*row[:3], 1 - film.dubious, *row[4:])


def _csv_row(film: Film) -> tuple[object, ...]:
    is_stub = film.index % STUB_EVERY == STUB_AT
    cast = [
        {"gender": member.person.gender, "id": member.person.person_id, "name": member.person.name,
         "character": member.character, "order": order}
        for order, member in enumerate(film.cast)
    ] if film.shows_cast else []  # fmt: skip
    crew = [
        {"gender": member.person.gender, "id": member.person.person_id, "name": member.person.name,
         "department": member.department, "job": member.job}
        for member in film.crew
    ] if film.shows_crew else []  # fmt: skip
    return (
        film.title.in_ratings,
        film.year,
        film.rating,
        film.dubious,
        film.imdb_id,
        film.tmdb_id,
        [genre.name for genre in film.genres],
        "" if is_stub else film.popularity,
        [studio.name for studio in film.studios],
        [country.name for country in film.countries],
        film.release_date.strftime("%d/%m/%Y"),
        "" if is_stub else float(film.revenue),
        film.vote_average,
        float(film.vote_count),
        cast,
        crew,
        "" if is_stub else float(film.budget),
        [member["gender"] for member in cast],
        [member["gender"] for member in crew],
        _female_representation(film, film.cast),
        _female_representation(film, film.crew),
    )


def _female_representation(film: Film, credited: Iterable[CastMember | CrewMember]) -> object:
    """Percent of those credited who are known to be women; now and then, where the list is not shown, unknown."""
    if not film.shows_cast and film.index % 10 == 0:
        return ""
    genders = [member.person.gender for member in credited]
    return 100 * genders.count(1) / len(genders)


def payload(film: Film) -> dict[str, object]:
    """The film as `GET /3/movie/{id}?append_to_response=credits` would give it, marked as synthetic."""
    has_date = film.index % NO_PAYLOAD_DATE_EVERY != 13
    return {
        "synthetic": True,
        "adult": False,
        "backdrop_path": None,
        "belongs_to_collection": None,
        "budget": film.budget,
        "genres": [{"id": genre.tmdb_id, "name": genre.name} for genre in film.genres],
        "homepage": "",
        "id": film.tmdb_id,
        "imdb_id": f"tt{film.imdb_id}",
        "original_language": film.countries[0].language,
        "original_title": film.title.original,
        "overview": film.overview,
        "popularity": film.popularity,
        "poster_path": None,
        "production_companies": [
            {
                "id": studio.studio_id,
                "logo_path": None,
                "name": studio.name,
                "origin_country": film.countries[0].code,
            }
            for studio in film.studios
        ],
        "production_countries": [{"iso_3166_1": country.code, "name": country.name} for country in film.countries],
        "release_date": film.release_date.isoformat() if has_date else "",
        "revenue": film.revenue,
        "runtime": film.runtime,
        "status": "Released",
        "tagline": film.tagline,
        "title": film.title.text,
        "video": False,
        "vote_average": film.vote_average,
        "vote_count": film.vote_count,
        "credits": {
            "cast": [_cast_credit(member, order) for order, member in enumerate(film.cast)]
            if film.shows_cast
            else [],
            "crew": [_crew_credit(member) for member in film.crew] if film.shows_crew else [],
        },
    }


def _cast_credit(member: CastMember, order: int) -> dict[str, object]:
    return {
        "adult": False,
        "gender": member.person.gender,
        "id": member.person.person_id,
        "known_for_department": "Acting",
        "name": member.person.name,
        "original_name": member.person.name,
        "profile_path": None,
        "character": member.character,
        "order": order,
    }


def _crew_credit(member: CrewMember) -> dict[str, object]:
    return {
        "adult": False,
        "gender": member.person.gender,
        "id": member.person.person_id,
        "known_for_department": member.department,
        "name": member.person.name,
        "original_name": member.person.name,
        "profile_path": None,
        "department": member.department,
        "job": member.job,
    }
