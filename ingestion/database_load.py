"""What both loads share: rejected rows and the record of a load."""

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import orjson
import psycopg
from psycopg import sql

from ingestion.accounting import LoadReport
from ingestion.records import Rejection


@dataclass(frozen=True)
class SourceFile:
    """Where rows come from: `source` as in the tables, the file's checksum, the time of this load."""

    source: str
    sha256: str
    started_at: datetime


_INSERT_REJECTED = (
    "insert into {} (source, source_sha256, source_row, reason_code, reason, original, rejected_at) "
    "values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
)
ROWS_AT_ONCE = 1000


class RejectedRows:
    """Holds rejected rows while a COPY occupies the connection, on the disk: a file can be bad from end to end.

    Attributes:
        reasons: how many rows were rejected, by reason code.
    """

    def __init__(self, connection: psycopg.Connection, table: sql.Identifier, file: SourceFile) -> None:
        self.reasons: Counter[str] = Counter()
        self._connection = connection
        self._statement = sql.SQL(_INSERT_REJECTED).format(table)
        self._file = file
        self._waiting = tempfile.SpooledTemporaryFile(max_size=16_000_000)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> "RejectedRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.close()

    def add(self, rejections: Iterable[Rejection]) -> None:
        """Take rejected rows; they are written at `flush`."""
        for rejection in rejections:
            self.reasons[rejection.code] += 1
            self._waiting.write(orjson.dumps(rejection) + b"\n")

    def flush(self) -> None:
        """Write what was taken; the same row of the same file is kept once, however often it is loaded."""
        self._waiting.seek(0)
        with self._connection.cursor() as cursor:
            while rows := [self._values(line) for line in islice(self._waiting, ROWS_AT_ONCE)]:
                cursor.executemany(self._statement, rows)

    def _values(self, line: bytes) -> tuple[object, ...]:
        rejection = orjson.loads(line)
        original = orjson.dumps(rejection["original"]).decode()
        row, code, reason = rejection["row"], rejection["code"], rejection["reason"]
        return (self._file.source, self._file.sha256, row, code, reason, original, self._file.started_at)

    @property
    def count(self) -> int:
        """Rows rejected so far."""
        return self.reasons.total()


def record_load(connection: psycopg.Connection, report: LoadReport, file: SourceFile) -> None:
    """Write the figures of a load into `raw.loads`."""
    connection.execute(
        "insert into raw.loads (target, source, source_sha256, rows_read, rows_loaded, rows_unchanged, rows_updated, "
        "rows_rejected, rows_removed, started_at, finished_at) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())",
        (report.target, file.source, file.sha256, report.read, report.loaded, report.unchanged, report.updated,
         report.rejected, report.removed, file.started_at),
    )  # fmt: skip
