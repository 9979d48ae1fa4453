"""Files, read row by row so that one bad row costs one row."""

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from common.errors import SourceError

MAX_ROW_CHARACTERS = 16_000_000  # the longest real row has about 100,000
MAX_ROW_LINES = 200  # a quote that is still open after so many lines was never meant to span lines
_SURROGATE = re.compile("[\ud800-\udfff]")  # how `surrogateescape` shows a byte that is not UTF-8
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Rejection:
    """Why a row cannot be used.

    Attributes:
        row: data row number, from 1.
        code: stable name of the reason, for counting.
        reason: one plain sentence that names the value.
        original: what the file says, as column -> text, or `text` -> the whole row where it has no columns.
    """

    row: int
    code: str
    reason: str
    original: dict[str, str]


@dataclass(frozen=True)
class Record:
    """One row of a csv file: its number from 1, its fields as text, or the rejection that stands in their place."""

    row: int
    fields: list[str]
    rejection: Rejection | None = None


def sha256_of(path: Path) -> str:
    """The checksum of a file as it lies on the disk."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}). Check the path.") from error


def visible(text: str) -> str:
    """The text with bytes and characters that PostgreSQL cannot store spelled out, e.g. \\x00 and \\udcff."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def open_text(path: Path, *, on_bytes: Callable[[int], None] = lambda _: None) -> Iterator[TextIO]:
    """Open a text file or a .gz of one; bytes that are not UTF-8 arrive as lone surrogates.

    Args:
        path: the file; compressed when its first bytes say so, whatever its name.
        on_bytes: told the position in the file on the disk, for progress.

    Raises:
        SourceError: the file is missing, empty, unreadable, damaged, or UTF-16; also from within the `with` block.
    """
    try:
        with path.open("rb") as file:
            counted = _Counted(file, on_bytes)
            binary: BinaryIO = gzip.GzipFile(fileobj=counted) if file.peek(2)[:2] == b"\x1f\x8b" else counted  # type: ignore[assignment]
            buffered = io.BufferedReader(binary, 1 << 20)  # type: ignore[type-var]
            start = buffered.peek(2)[:2]
            if not start:
                raise SourceError(f"{path} is empty.")
            if start in UTF16_MARKS:
                raise SourceError(f"{path} is UTF-16 text. Save it as UTF-8.")
            with io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="") as text:
                yield text
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(
            f"{path} is damaged: its compressed data cannot be read to the end. Copy it again."
        ) from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error}). Check the path.") from error


class _Counted(io.RawIOBase):
    """A binary file that tells how far it has been read."""

    def __init__(self, file: io.BufferedReader, on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._on_bytes = on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer)
        self._on_bytes(self._file.tell())
        return count


def read_header(lines: TextIO, path: Path) -> list[str]:
    """The column names in the first line."""
    try:
        return next(csv.reader([lines.readline(MAX_ROW_CHARACTERS)], strict=True))
    except (csv.Error, StopIteration) as error:
        raise SourceError(f"The first line of {path} is not a csv header.") from error


def read_csv_records(lines: TextIO, columns: list[str]) -> Iterator[Record]:
    """Read the rows below the header, none of which can spoil another.

    A quote that is opened and never closed would swallow the rest of the file. It is told from a line break inside
    a quoted field by what follows: a line that is a whole row by itself starts a new row.

    Args:
        lines: the file, after its header.
        columns: the header's names, for the number of fields and for rejected rows.
    """
    csv.field_size_limit(MAX_ROW_CHARACTERS)
    source = _Lines(lines)
    row = 0
    while (line := source.next()) is not None:
        if not line.strip("\r\n"):
            continue
        row += 1
        yield _read_record(row, line, source, columns)


def read_line(file: TextIO) -> str | None:
    """The next line, None at the end; of a line longer than MAX_ROW_CHARACTERS only the beginning, of that length."""
    line = file.readline(MAX_ROW_CHARACTERS)
    if len(line) == MAX_ROW_CHARACTERS:
        while (rest := file.readline(1 << 20)) and not rest.endswith(("\n", "\r")):
            pass  # the line will be rejected for its length
    return line or None


class _Lines:
    """Lines with lookahead: what was read ahead in vain can be given back."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._returned: list[str] = []

    def next(self) -> str | None:
        if self._returned:
            return self._returned.pop()
        return read_line(self._file)

    def give_back(self, lines: list[str]) -> None:
        self._returned.extend(reversed(lines))


def _read_record(row: int, line: str, source: _Lines, columns: list[str]) -> Record:
    if len(line) == MAX_ROW_CHARACTERS:
        reason = f"The row is longer than {MAX_ROW_CHARACTERS:,} characters; only its beginning is kept here."
        return _rejected(row, "row_too_long", reason, line[:100_000])
    text, fields = _complete(line, source, len(columns))
    if fields is None:
        return _rejected(
            row,
            "unbalanced_quotes",
            "A quote is opened and not closed, or text follows a closing quote.",
            text,
        )
    if len(fields) != len(columns):
        code = "too_few_fields" if len(fields) < len(columns) else "too_many_fields"
        return _rejected(row, code, f"The row has {len(fields)} fields, the header names {len(columns)}.", text)
    unreadable = _unreadable(row, text, fields, columns)
    return Record(row, fields, unreadable)


def _rejected(row: int, code: str, reason: str, text: str) -> Record:
    return Record(row, [], Rejection(row, code, reason, {"text": visible(text.rstrip("\r\n"))}))


def _unreadable(row: int, text: str, fields: list[str], columns: list[str]) -> Rejection | None:
    """A rejection when the row holds characters that are no text."""
    if text.isascii() and "\x00" not in text:
        return None
    for column, field in zip(columns, fields, strict=True):
        if "\x00" in field:
            code, what = "nul_character", "a NUL character"
        elif _SURROGATE.search(field):
            code, what = "not_utf8", "bytes that are not UTF-8"
        else:
            continue
        original = {name or "index": visible(value) for name, value in zip(columns, fields, strict=True)}
        return Rejection(row, code, f"The column {column!r} holds {what}: {visible(field)[:80]!r}.", original)
    return None


def _complete(line: str, source: _Lines, width: int) -> tuple[str, list[str] | None]:
    """The text and the fields of the row that starts with `line`; None for fields that cannot be told apart."""
    fields, is_open = _split(line)
    if not is_open:
        return line, fields
    parts = [line]
    while len(parts) < MAX_ROW_LINES and (following := source.next()) is not None:
        whole, _ = _split(following)
        if whole is not None and len(whole) == width:
            source.give_back([following])
            return "".join(parts), None
        parts.append(following)
        fields, is_open = _split("".join(parts))
        if not is_open:
            return "".join(parts), fields
    source.give_back(parts[1:])
    return line, None


def _split(text: str) -> tuple[list[str] | None, bool]:
    """Fields of one row, and whether the row is still open: the text ends inside quotes."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), strict=True)), False
    except StopIteration:
        return [], False
    except csv.Error as error:
        return None, "unexpected end of data" in str(error)
