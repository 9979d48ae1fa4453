"""`python -m ingestion`: load, download, sample."""

import argparse
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from common.database import connect
from common.logs import configure_logging
from common.settings import Settings, load_settings
from ingestion.accounting import LoadReport
from ingestion.database_load import SourceFile
from ingestion.movie_load import load_movies
from ingestion.payload_load import load_payloads, remove_synthetic_payloads
from ingestion.progress import progress_bar
from ingestion.records import sha256_of
from ingestion.sample.files import ensure as ensure_sample
from ingestion.sources import SAMPLE, Source, fetch

logger = logging.getLogger(__name__)

SOURCE_HELP = "auto (Kaggle when there are credentials, else the synthetic sample), kaggle, sample"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    settings = load_settings()
    configure_logging(settings.log_level)
    options = _parser(settings).parse_args(arguments)
    if options.command == "sample":
        ensure_sample(options.out, films=options.films, seed=options.seed)
    elif options.command == "download":
        fetch(options.source, settings)
    else:
        source = fetch(options.source, settings)
        payloads = options.tmdb_payloads or source.payloads
        load(settings.database_url, Source(source.name, source.movies, payloads))
    return 0


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingestion", description="Films into schema raw of PostgreSQL.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    load_parser = commands.add_parser("load", help="load films into raw.movies and payloads into raw.tmdb_movies")
    load_parser.add_argument(
        "--source",
        default=settings.movies_source,
        help=f"{SOURCE_HELP}, or the path of a .csv or .csv.gz in Kaggle's layout (default: %(default)s)",
    )
    load_parser.add_argument(
        "--tmdb-payloads",
        type=Path,
        default=settings.tmdb_payloads,
        metavar="PATH",
        help="TMDB-shaped JSON lines, .jsonl or .jsonl.gz (default: TMDB_PAYLOADS, else those of the sample)",
    )
    download = commands.add_parser("download", help="have the files of a source on this machine, without loading")
    download.add_argument("--source", default=settings.movies_source, help=f"{SOURCE_HELP} (default: %(default)s)")
    generate = commands.add_parser("sample", help="generate synthetic films: the same seed gives the same bytes")
    generate.add_argument("--films", type=_positive, default=settings.sample_films, help="(default: %(default)s)")
    generate.add_argument("--seed", type=int, default=settings.sample_seed, help="(default: %(default)s)")
    generate.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value


def load(database_url: str, source: Source) -> list[LoadReport]:
    """Load a source's files in one transaction: all of it, or after an error or a kill nothing."""
    started = time.monotonic()
    now = datetime.now(UTC)
    with connect(database_url) as connection:
        reports = [_load_movies(connection, source, now)]
        if source.name != SAMPLE and (removed := remove_synthetic_payloads(connection)):
            logger.info("removed synthetic_payloads=%d", removed)
        if source.payloads is not None:
            reports.append(_load_payloads(connection, source.name, source.payloads, now))
    for report in reports:
        _log(report)
    logger.info("load finished source=%s seconds=%.1f", source.name, time.monotonic() - started)
    return reports


def _load_movies(connection: psycopg.Connection, source: Source, now: datetime) -> LoadReport:
    file = SourceFile(source.name, sha256_of(source.movies), now)
    with progress_bar(f"Loading {source.movies.name}", source.movies.stat().st_size) as on_bytes:
        return load_movies(connection, source.movies, file=file, on_bytes=on_bytes)


def _load_payloads(connection: psycopg.Connection, source: str, path: Path, now: datetime) -> LoadReport:
    file = SourceFile(SAMPLE if source == SAMPLE else "file", sha256_of(path), now)
    with progress_bar(f"Loading {path.name}", path.stat().st_size) as on_bytes:
        return load_payloads(connection, path, file=file, on_bytes=on_bytes)


def _log(report: LoadReport) -> None:
    logger.info("%s", report.facts())
    if report.reasons:
        reasons = " ".join(f"{code}={count}" for code, count in sorted(report.reasons.items()))
        logger.warning("rejected rows are in %s_rejected with their reasons: %s", report.target, reasons)
    for note in report.notes:
        logger.warning("%s", note)
