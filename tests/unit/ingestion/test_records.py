"""One bad row costs one row; what cannot be a csv file is refused in a sentence."""

import gzip
from pathlib import Path

import pytest

from common.errors import SourceError
from ingestion.records import Record, open_text, read_csv_records, read_header


def read(path: Path, content: bytes) -> list[Record]:
    path.write_bytes(content)
    with open_text(path) as lines:
        columns = read_header(lines, path)
        return list(read_csv_records(lines, columns))


def outcome(records: list[Record]) -> list[object]:
    return [record.rejection.code if record.rejection else record.fields for record in records]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path: Path, newline: bytes, mark: bytes) -> None:
    records = read(tmp_path / "a.csv", mark + newline.join([b"a,b", b"1,2", b"3,4"]))
    assert outcome(records) == [["1", "2"], ["3", "4"]]


def test_compression_is_seen_by_content_and_not_by_name(tmp_path: Path) -> None:
    assert outcome(read(tmp_path / "a.csv", gzip.compress(b"a,b\n1,2\n"))) == [["1", "2"]]


def test_line_breaks_inside_quotes_belong_to_the_field(tmp_path: Path) -> None:
    assert outcome(read(tmp_path / "a.csv", b'a,b\n1,"x\n\ny"\n3,4\n')) == [["1", "x\n\ny"], ["3", "4"]]


def test_open_quote_costs_its_own_row_only(tmp_path: Path) -> None:
    assert outcome(read(tmp_path / "a.csv", b'a,b\n1,"x\n3,4\n5,6\n')) == [
        "unbalanced_quotes",
        ["3", "4"],
        ["5", "6"],
    ]


def test_open_quote_in_the_last_row_costs_its_own_row_only(tmp_path: Path) -> None:
    assert outcome(read(tmp_path / "a.csv", b'a,b\n1,2\n3,"x\n')) == [["1", "2"], "unbalanced_quotes"]


def test_text_after_a_closing_quote_is_refused(tmp_path: Path) -> None:
    assert outcome(read(tmp_path / "a.csv", b'a,b\n1,"x"y\n3,4\n')) == ["unbalanced_quotes", ["3", "4"]]


def test_wrong_number_of_fields_is_refused_with_both_numbers(tmp_path: Path) -> None:
    records = read(tmp_path / "a.csv", b"a,b\n1\n1,2,3\n4,5\n")
    assert outcome(records) == ["too_few_fields", "too_many_fields", ["4", "5"]]
    assert records[1].rejection
    assert records[1].rejection.reason == "The row has 3 fields, the header names 2."
    assert records[1].rejection.original == {"text": "1,2,3"}


@pytest.mark.parametrize(
    ("field", "code"), [(b"x\x00", "nul_character"), (b"\xff", "not_utf8"), (b"\xed\xa0\x80", "not_utf8")]
)
def test_bytes_that_are_no_text_are_refused_and_shown(tmp_path: Path, field: bytes, code: str) -> None:
    rejection = read(tmp_path / "a.csv", b"a,b\n1," + field + b"\n")[0].rejection
    assert rejection
    assert rejection.code == code
    assert rejection.original["b"].encode().isascii()
    assert "\\" in rejection.original["b"]


def test_blank_lines_are_no_rows_and_rows_are_numbered_from_one(tmp_path: Path) -> None:
    assert [record.row for record in read(tmp_path / "a.csv", b"a,b\n\n1,2\n\n\n3,4\n")] == [1, 2]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (gzip.compress(b"a,b\n" + bytes(range(1, 9)) * 5000)[:-20], "is damaged"),
        ("a,b\n".encode("utf-16"), "UTF-16"),
    ],
    ids=["empty", "cut off", "utf-16"],
)
def test_what_is_no_readable_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        read(tmp_path / "a.csv", content)


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv cannot be read"), open_text(tmp_path / "nowhere.csv"):
        pass
