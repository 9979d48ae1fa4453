"""A csv file in Kaggle's layout into `raw.movies`: a snapshot of the file, in the caller's transaction."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from common.errors import SourceError
from ingestion.accounting import LoadReport
from ingestion.database_load import RejectedRows, SourceFile, record_load
from ingestion.movies import (
    COLUMNS,
    FIRST_SYNTHETIC_ID,
    Layout,
    MovieRow,
    original_of,
    parse_movie,
    read_layout,
)
from ingestion.records import Rejection, open_text, read_csv_records, read_header

logger = logging.getLogger(__name__)

TARGET = "raw.movies"
REJECTED = sql.Identifier("raw", "movies_rejected")

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
_CREATE_INCOMING = sql.SQL(
    "create temporary table incoming_movies on commit drop as "
    "select {columns}, source_row, row_hash, 0::smallint as known_values from raw.movies with no data"
).format(columns=_COLUMNS)
_COPY = sql.SQL("copy incoming_movies ({}, source_row, row_hash, known_values) from stdin").format(_COLUMNS)

# The best row of a film is the one that knows most, and of equals the first.
_RANK_DUPLICATES = """
    create temporary table duplicate_movies on commit drop as
    select duplicate.source_row, kept.source_row as kept_row, duplicate.tmdbid as tmdb_id,
           duplicate.row_hash = kept.row_hash as is_exact, duplicate.known_values < kept.known_values as knows_less
    from (
        select source_row, tmdbid, row_hash, known_values,
               first_value(source_row) over best_first as kept_row
        from incoming_movies
        where tmdbid in (select tmdbid from incoming_movies group by tmdbid having count(*) > 1)
        window best_first as (partition by tmdbid order by known_values desc, source_row)
    ) as duplicate
    join incoming_movies as kept on kept.source_row = duplicate.kept_row
    where duplicate.source_row <> kept.source_row
"""
_RANK_SHARED_IMDB_IDS = """
    create temporary table shared_imdb_ids on commit drop as
    select source_row, imdbid, tmdbid, kept_row, kept_tmdb_id
    from (
        select source_row, imdbid, tmdbid,
               first_value(source_row) over in_order as kept_row,
               first_value(tmdbid) over in_order as kept_tmdb_id
        from incoming_movies
        window in_order as (partition by imdbid order by source_row)
    ) as ranked
    where source_row <> kept_row
"""
_DIFFERENCES = """
    select duplicates.source_row, duplicates.kept_row, duplicates.tmdb_id, duplicates.is_exact, duplicates.knows_less,
           (select coalesce(array_agg(difference.key order by difference.key), '{}')
            from jsonb_each(to_jsonb(dropped)) as difference
            where difference.key not in ('source_row', 'row_hash', 'known_values')
              and difference.value is distinct from to_jsonb(kept) -> difference.key) as differing
    from duplicate_movies as duplicates
    join incoming_movies as dropped on dropped.source_row = duplicates.source_row
    join incoming_movies as kept on kept.source_row = duplicates.kept_row
    order by duplicates.source_row
"""


def load_movies(
    connection: psycopg.Connection,
    path: Path,
    *,
    file: SourceFile,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> LoadReport:
    """Make `raw.movies` a snapshot of a file.

    Nothing is committed here. Rows whose content is already there are not touched, so that `loaded_at` moves only
    with content; films that the file no longer has are removed.

    Args:
        connection: inside the transaction that the caller commits.
        path: `.csv` or `.csv.gz`.
        file: what is written beside every row.
        on_bytes: told the position in the file, for progress.

    Raises:
        SourceError: the file cannot be read, lacks a column, or holds no usable row.
    """
    connection.execute("lock table raw.movies in share row exclusive mode")  # one load at a time
    connection.execute(_CREATE_INCOMING)
    with RejectedRows(connection, REJECTED, file) as rejected:
        read, layout = _stage(connection, path, rejected, on_bytes)
        connection.execute("create index on incoming_movies (source_row)")
        connection.execute("analyze incoming_movies")
        _reject_duplicates(connection, path, rejected)
        if read == rejected.count:
            commonest = f" The commonest reason: {rejected.reasons.most_common(1)[0][0]}." if read else ""
            raise SourceError(
                f"{path} holds no film that can be used ({read} rows read). Nothing was changed.{commonest}"
            )
        rejected.flush()
        report = _merge(connection, file, read, rejected, layout)
    record_load(connection, report, file)
    return report


def _stage(
    connection: psycopg.Connection, path: Path, rejected: RejectedRows, on_bytes: Callable[[int], None]
) -> tuple[int, Layout]:
    """Copy the usable rows into `incoming_movies`; returns the number of rows read and the file's layout."""
    read = 0
    with open_text(path, on_bytes=on_bytes) as lines, connection.cursor().copy(_COPY) as copy:
        layout = read_layout(read_header(lines, path), path)
        for record in read_csv_records(lines, list(layout.header)):
            read += 1
            movie = parse_movie(record, layout)
            if isinstance(movie, MovieRow):
                copy.write_row((*movie.values, movie.row, movie.row_hash, movie.known_values))
            else:
                rejected.add([movie])
    return read, layout


def _reject_duplicates(connection: psycopg.Connection, path: Path, rejected: RejectedRows) -> None:
    """Take from `incoming_movies` all but the best row of each film, and films with another film's IMDb id."""
    reasons: dict[int, tuple[str, str]] = {}
    connection.execute(_RANK_DUPLICATES)
    for row, kept, tmdb_id, is_exact, knows_less, differing in connection.execute(_DIFFERENCES).fetchall():
        reasons[row] = _explain_duplicate(
            kept, tmdb_id, is_exact=is_exact, knows_less=knows_less, differing=differing
        )
    connection.execute("delete from incoming_movies where source_row in (select source_row from duplicate_movies)")
    connection.execute(_RANK_SHARED_IMDB_IDS)
    for row, imdb_id, tmdb_id, kept, kept_tmdb_id in connection.execute("table shared_imdb_ids").fetchall():
        reason = (
            f"Film {tmdb_id} has the IMDb id {imdb_id} that row {kept} gives to film {kept_tmdb_id}; "
            f"row {kept} is kept because it comes first."
        )
        reasons[row] = ("imdbid_of_another_film", reason)
    connection.execute("delete from incoming_movies where source_row in (select source_row from shared_imdb_ids)")
    if reasons:
        rejected.add(_with_originals(path, reasons))


def _explain_duplicate(
    kept: int, tmdb_id: int, *, is_exact: bool, knows_less: bool, differing: list[str]
) -> tuple[str, str]:
    if is_exact:
        return (
            "exact_duplicate",
            f"The row is an exact duplicate of row {kept} (film {tmdb_id}), which is kept.",
        )
    why = "it knows more values" if knows_less else "it comes first and knows as many values"
    columns = f"column{'s' if len(differing) > 1 else ''} {', '.join(differing)}"
    reason = (
        f"The row is film {tmdb_id} again, as row {kept}, with a different {columns}; "
        f"row {kept} is kept because {why}."
    )
    return "conflicting_duplicate", reason


def _with_originals(path: Path, reasons: dict[int, tuple[str, str]]) -> Iterator[Rejection]:
    """Read the file again for the text of a few rows; duplicates are rare, so staging every text would cost more."""
    with open_text(path) as lines:
        layout = read_layout(read_header(lines, path), path)
        for record in read_csv_records(lines, list(layout.header)):
            if record.row in reasons:
                code, reason = reasons[record.row]
                yield Rejection(record.row, code, reason, original_of(record, layout))


def _merge(
    connection: psycopg.Connection, file: SourceFile, read: int, rejected: RejectedRows, layout: Layout
) -> LoadReport:
    """Bring `raw.movies` to the state of `incoming_movies`."""
    values = {"source": file.source, "first_synthetic_id": FIRST_SYNTHETIC_ID, "now": file.started_at}
    removed = connection.execute(
        "delete from raw.movies where not exists "
        "(select from incoming_movies where incoming_movies.tmdbid = movies.tmdbid)"
    ).rowcount
    updated = connection.execute(_UPDATE, values).rowcount
    loaded = connection.execute(_INSERT, values).rowcount
    notes = tuple(f"The unknown column {name!r} is kept in raw.movies.extra." for name in layout.extra)
    return LoadReport(
        target=TARGET,
        read=read,
        loaded=loaded,
        updated=updated,
        rejected=rejected.count,
        removed=removed,
        reasons=dict(rejected.reasons),
        notes=notes,
    )


_UPDATE = sql.SQL(
    "update raw.movies as old set ({columns}, source, is_synthetic, source_row, row_hash, loaded_at) = "
    "({incoming}, %(source)s, new.tmdbid >= %(first_synthetic_id)s, new.source_row, new.row_hash, %(now)s) "
    "from incoming_movies as new where new.tmdbid = old.tmdbid "
    "and (new.row_hash, %(source)s) is distinct from (old.row_hash, old.source)"
).format(
    columns=_COLUMNS,
    incoming=sql.SQL(", ").join(sql.SQL("new.{}").format(sql.Identifier(name)) for name in COLUMNS),
)
_INSERT = sql.SQL(
    "insert into raw.movies ({columns}, source, is_synthetic, source_row, row_hash, first_loaded_at, loaded_at) "
    "select {columns}, %(source)s, tmdbid >= %(first_synthetic_id)s, source_row, row_hash, %(now)s, %(now)s "
    "from incoming_movies "
    "where not exists (select from raw.movies where movies.tmdbid = incoming_movies.tmdbid)"
).format(columns=_COLUMNS)
