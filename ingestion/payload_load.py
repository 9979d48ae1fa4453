"""TMDB-shaped JSON lines into `raw.tmdb_movies`: a snapshot of the file, beside what came from TMDB itself."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import psycopg
from psycopg import sql

from common.errors import SourceError
from ingestion.accounting import LoadReport
from ingestion.database_load import RejectedRows, SourceFile, record_load
from ingestion.payloads import Payload, parse_payload
from ingestion.records import MAX_ROW_CHARACTERS, Rejection, open_text, read_line, visible

TARGET = "raw.tmdb_movies"
REJECTED = sql.Identifier("raw", "tmdb_movies_rejected")

# stored as in the landing table: a value that is compressed here would come there compressed
_CREATE_INCOMING = """
    create temporary table incoming_payloads on commit drop as
    select tmdb_id, payload, payload_hash, is_synthetic, 0::bigint as source_row from raw.tmdb_movies with no data;
    alter table incoming_payloads alter column payload set storage external
"""
_COPY = "copy incoming_payloads (tmdb_id, payload, payload_hash, is_synthetic, source_row) from stdin"
_DUPLICATES = """
    select duplicate.source_row, duplicate.tmdb_id, duplicate.kept_row, duplicate.payload_hash = kept.payload_hash,
           (select coalesce(array_agg(difference.key order by difference.key), '{}')
            from jsonb_each(duplicate.payload) as difference
            where difference.value is distinct from kept.payload -> difference.key)
    from (
        select *, first_value(source_row) over (partition by tmdb_id order by source_row) as kept_row
        from incoming_payloads
        where tmdb_id in (select tmdb_id from incoming_payloads group by tmdb_id having count(*) > 1)
    ) as duplicate
    join incoming_payloads as kept on kept.source_row = duplicate.kept_row
    where duplicate.source_row <> duplicate.kept_row
    order by duplicate.source_row
"""
_REMOVE = (
    "delete from raw.tmdb_movies where source <> 'api' and not exists "
    "(select from incoming_payloads where incoming_payloads.tmdb_id = tmdb_movies.tmdb_id)"
)
_UPDATE = (
    "update raw.tmdb_movies as old set (payload, source, is_synthetic, payload_hash, fetched_at, loaded_at) = "
    "(new.payload, %(source)s, new.is_synthetic, new.payload_hash, %(now)s, %(now)s) "
    "from incoming_payloads as new where new.tmdb_id = old.tmdb_id and old.source <> 'api' "
    "and (new.payload_hash, %(source)s) is distinct from (old.payload_hash, old.source)"
)
_INSERT = (
    "insert into raw.tmdb_movies (tmdb_id, payload, source, is_synthetic, payload_hash, fetched_at, loaded_at) "
    "select tmdb_id, payload, %(source)s, is_synthetic, payload_hash, %(now)s, %(now)s from incoming_payloads "
    "where not exists (select from raw.tmdb_movies where tmdb_movies.tmdb_id = incoming_payloads.tmdb_id)"
)


def load_payloads(
    connection: psycopg.Connection,
    path: Path,
    *,
    file: SourceFile,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> LoadReport:
    """Make the part of `raw.tmdb_movies` that came from files a snapshot of a file.

    What TMDB itself answered (source `api`) is kept as it is: a file's age is unknown, an answer's is not.

    Args:
        connection: inside the transaction that the caller commits.
        path: `.jsonl` or `.jsonl.gz`, one film per line.
        file: what is written beside every row.
        on_bytes: told the position in the file, for progress.

    Raises:
        SourceError: the file cannot be read or holds no usable line.
    """
    connection.execute("lock table raw.tmdb_movies in share row exclusive mode")
    connection.execute(_CREATE_INCOMING)
    with RejectedRows(connection, REJECTED, file) as rejected:
        read, nul_characters = _stage(connection, path, rejected, on_bytes)
        connection.execute("create index on incoming_payloads (tmdb_id)")
        connection.execute("analyze incoming_payloads")
        _reject_duplicates(connection, path, rejected)
        if read == rejected.count:
            raise SourceError(f"{path} holds no film that can be used ({read} lines read). Nothing was changed.")
        rejected.flush()
        report = _merge(connection, file, read, rejected, nul_characters)
    record_load(connection, report, file)
    return report


def remove_synthetic_payloads(connection: psycopg.Connection) -> int:
    """Delete generated payloads, which must not stand beside real films; returns how many."""
    return connection.execute("delete from raw.tmdb_movies where is_synthetic").rowcount


def _numbered(lines: TextIO) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, from 1; a line that is too long arrives cut to MAX_ROW_CHARACTERS."""
    row = 0
    while (line := read_line(lines)) is not None:
        if line.strip():
            row += 1
            yield row, line


def _parse_line(row: int, line: str) -> Payload | Rejection:
    if len(line) == MAX_ROW_CHARACTERS:
        reason = f"The line is longer than {MAX_ROW_CHARACTERS:,} characters; only its beginning is kept here."
        return Rejection(row, "row_too_long", reason, {"text": visible(line[:100_000])})
    return parse_payload(row, line)


def _stage(
    connection: psycopg.Connection, path: Path, rejected: RejectedRows, on_bytes: Callable[[int], None]
) -> tuple[int, int]:
    """Copy the usable lines into `incoming_payloads`; returns the lines read and the NUL characters taken out."""
    read = nul_characters = 0
    with open_text(path, on_bytes=on_bytes) as lines, connection.cursor().copy(_COPY) as copy:
        for row, line in _numbered(lines):
            read += 1
            payload = _parse_line(row, line)
            if isinstance(payload, Rejection):
                rejected.add([payload])
                continue
            nul_characters += payload.nul_characters
            copy.write_row((payload.tmdb_id, payload.text, payload.payload_hash, payload.is_synthetic, payload.row))
    return read, nul_characters


def _reject_duplicates(connection: psycopg.Connection, path: Path, rejected: RejectedRows) -> None:
    reasons: dict[int, tuple[str, str]] = {}
    for row, tmdb_id, kept, is_exact, differing in connection.execute(_DUPLICATES).fetchall():
        if is_exact:
            code, how = "exact_duplicate", f"The line is an exact duplicate of line {kept} (film {tmdb_id})"
        else:
            code = "conflicting_duplicate"
            how = f"The line is film {tmdb_id} again, as line {kept}, with a different {', '.join(differing)}"
        reasons[row] = (code, f"{how}; line {kept} is kept because it comes first.")
    if not reasons:
        return
    connection.execute("delete from incoming_payloads where source_row = any(%s)", (list(reasons),))
    with open_text(path) as lines:
        for row, line in _numbered(lines):
            if row in reasons:
                rejected.add([Rejection(row, *reasons[row], {"text": visible(line.rstrip("\r\n"))})])


def _merge(
    connection: psycopg.Connection, file: SourceFile, read: int, rejected: RejectedRows, nul_characters: int
) -> LoadReport:
    """Bring `raw.tmdb_movies` to the state of `incoming_payloads`."""
    values = {"source": file.source, "now": file.started_at}
    removed = connection.execute(_REMOVE).rowcount
    updated = connection.execute(_UPDATE, values).rowcount
    loaded = connection.execute(_INSERT, values).rowcount
    notes = (f"{nul_characters} NUL characters were taken out: PostgreSQL stores none.",) if nul_characters else ()
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
