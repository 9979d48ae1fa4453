"""A line is a film or has a reason why it is none."""

import json

import pytest

from ingestion.payloads import Payload, parse_payload
from ingestion.records import Rejection

FILM = {"id": 7, "title": "The Quiet Map", "credits": {"cast": [], "crew": []}, "release_date": "2001-02-03"}


def test_film_is_kept_with_keys_nobody_knows() -> None:
    payload = parse_payload(1, json.dumps({**FILM, "softcore": False}))
    assert isinstance(payload, Payload)
    assert payload.tmdb_id == 7
    assert json.loads(payload.text)["softcore"] is False


def test_order_of_keys_is_no_difference() -> None:
    one, other = (parse_payload(1, json.dumps(dict(items))) for items in (FILM.items(), reversed(FILM.items())))
    assert isinstance(one, Payload)
    assert isinstance(other, Payload)
    assert one.payload_hash == other.payload_hash


def test_synthetic_film_is_recognised_by_its_mark() -> None:
    marked = parse_payload(1, json.dumps({**FILM, "synthetic": True}))
    assert isinstance(marked, Payload)
    assert marked.is_synthetic


def test_nul_characters_are_taken_out_and_counted() -> None:
    payload = parse_payload(1, json.dumps({**FILM, "overview": "a\x00b", "tagline": "back\\u0000slash"}))
    assert isinstance(payload, Payload)
    assert payload.nul_characters == 1
    assert json.loads(payload.text)["overview"] == "ab"
    assert json.loads(payload.text)["tagline"] == "back\\u0000slash"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "not_json"),
        ("[]", "not_an_object"),
        (json.dumps({"success": False, "status_code": 34, "status_message": "Not found."}), "id_missing"),
        (json.dumps({**FILM, "id": "7"}), "id_invalid"),
        (json.dumps({**FILM, "id": True}), "id_invalid"),
        (json.dumps({**FILM, "id": 2**70}), "id_invalid"),
        (json.dumps({**FILM, "title": " "}), "title_missing"),
        (json.dumps({**FILM, "adult": True}), "adult"),
        (json.dumps({**FILM, "runtime": "90"}), "runtime_invalid"),
        (json.dumps({**FILM, "genres": ["Drama"]}), "genres_invalid"),
        (json.dumps({**FILM, "credits": {"cast": "none"}}), "credits.cast_invalid"),
        (json.dumps({**FILM, "release_date": "2001-13-01"}), "release_date_invalid"),
        ('{"id": 7, "title": "\\ud800"}', "not_json"),
        ('{"id": 7, "title": "\udcff"}', "not_utf8"),
    ],
)
def test_unusable_line_is_refused_with_its_text(line: str, code: str) -> None:
    rejection = parse_payload(3, line)
    assert isinstance(rejection, Rejection)
    assert (rejection.row, rejection.code) == (3, code)
    assert rejection.original["text"]
