"""What both loads share: rejected rows and the record of a load."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

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


@dataclass
class RejectedRows:
    """Writes rejected rows while they are met, and counts them by reason."""

    connection: psycopg.Connection
    table: sql.Identifier
    file: SourceFile
    reasons: Counter[str] = field(default_factory=Counter)
    _waiting: list[Rejection] = field(default_factory=list)

    def add(self, rejections: Iterable[Rejection]) -> None:
        """Keep rejected rows; they are written at `flush`."""
        for rejection in rejections:
            self.reasons[rejection.code] += 1
            self._waiting.append(rejection)

    def flush(self) -> None:
        """Write what was added; the same row of the same file is kept once, however often it is loaded."""
        statement = sql.SQL(
            "insert into {} (source, source_sha256, source_row, reason_code, reason, original, rejected_at) "
            "values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
        ).format(self.table)
        rows = [
            (self.file.source, self.file.sha256, rejection.row, rejection.code, rejection.reason,
             orjson.dumps(rejection.original).decode(), self.file.started_at)
            for rejection in self._waiting
        ]  # fmt: skip
        with self.connection.cursor() as cursor:
            cursor.executemany(statement, rows)
        self._waiting.clear()

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
