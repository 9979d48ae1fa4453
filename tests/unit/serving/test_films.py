"""Searching for films through the API, with a catalogue in memory."""

import pytest

from tests.serving_parts import Platform


@pytest.mark.parametrize("blank", [" ", "\t \0", "\u2003"])
def test_blank_search_finds_nothing_and_asks_nobody(blank: str) -> None:
    platform = Platform()

    answer = platform.client.get("/api/v1/movies/search", query_string={"q": blank})

    assert answer.status_code == 200
    assert answer.get_json()["movies"] == []
    assert platform.database.asked == []


def test_search_with_letters_asks_the_catalogue() -> None:
    answer = Platform().client.get("/api/v1/movies/search", query_string={"q": "frozen"})

    assert [film["title"] for film in answer.get_json()["movies"]] == ["Frozen", "Frozen"]
