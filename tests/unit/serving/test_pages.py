"""The page: a form, readable answers, and the same sentences as the API."""

import re

import pytest
from flask.testing import FlaskClient

from serving.pages import compare
from serving.schemas import KnownRating, PredictionAnswer
from tests.serving_parts import Platform


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return Platform().client


def test_first_page_has_a_form_and_the_notice_of_tmdb(client: FlaskClient) -> None:
    page = client.get("/")

    assert page.status_code == 200
    assert 'name="title"' in page.text
    assert "not endorsed, certified, or otherwise approved by TMDB" in page.text


def test_form_post_of_a_title_is_answered(client: FlaskClient) -> None:
    page = client.post("/", data={"title": "Frozen", "year": "2013"})

    assert page.status_code == 200
    assert "Probability of passing" in page.text
    assert "Rating 3 of 3" in page.text
    assert "bechdeltest.com" in page.text
    assert "gender of 2 of 10 cast members" in page.text


def test_ambiguous_title_offers_links_that_answer(client: FlaskClient) -> None:
    page = client.post("/", data={"title": "Frozen"})

    assert page.status_code == 300
    links = re.findall(r'href="(/movies/\d+)"', page.text)
    assert len(links) == 2
    assert client.get(links[0]).status_code == 200


def test_page_shows_the_sentence_of_the_api(client: FlaskClient) -> None:
    sentence = client.post("/api/v1/predictions", json={"title": "Heat"}).get_json()["detail"]

    page = client.post("/", data={"title": "Heat"})

    assert page.status_code == 409
    assert sentence.replace('"', "&#34;") in page.text


def test_without_a_model_the_page_says_what_to_run() -> None:
    client = Platform(has_model=False).client

    assert "No model yet. Run: make train-model" in client.get("/").text
    assert client.post("/", data={"title": "Frozen"}).status_code == 503


def test_script_in_a_title_stays_text(client: FlaskClient) -> None:
    page = client.get("/movies/900000001").text
    echoed = client.post("/", data={"title": "<script>alert(2)</script>"}).text

    assert "<script>" not in page
    assert "<script>" not in echoed
    assert "&lt;script&gt;" in page


def test_synthetic_film_is_marked(client: FlaskClient) -> None:
    assert "synthetic data, not a real film" in client.get("/movies/900000001").text


def test_film_of_which_nothing_is_known_has_a_page(client: FlaskClient) -> None:
    page = client.get("/movies/5")

    assert page.status_code == 200
    assert "Not rated yet" in page.text
    assert "The cast is not known" in page.text


@pytest.mark.parametrize("address", ["/?tmdb_id=abc", "/?tmdb_id=0", "/?title=x&year=soon"])
def test_wrong_address_is_explained(client: FlaskClient, address: str) -> None:
    page = client.get(address)

    assert page.status_code == 422
    assert "The request cannot be used" in page.text


def test_unknown_address_is_a_page_with_the_next_step(client: FlaskClient) -> None:
    page = client.get("/nonsense/<b>", headers={"Accept": "text/html"})

    assert page.status_code == 404
    assert "<h1>No such page</h1>" in page.text
    assert "There is nothing at /nonsense/&lt;b&gt;. Search for a film" in page.text
    assert 'role="search"' in page.text


def test_nothing_on_a_page_needs_an_unsafe_policy(client: FlaskClient) -> None:
    page = client.get("/movies/109445")

    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script>|<script(?! src=)|<style|\sstyle=|\son\w+=", page.text)


def test_unknown_page_is_a_page_for_people(client: FlaskClient) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html"})

    assert page.status_code == 404
    assert page.mimetype == "text/html"


def test_empty_title_leads_back_to_the_form(client: FlaskClient) -> None:
    assert client.post("/", data={"title": "  "}).status_code == 303


@pytest.mark.parametrize("address", ["/?tmdb_id=109445", "/?title=Frozen&year=2013"])
def test_old_addresses_lead_to_the_film(client: FlaskClient, address: str) -> None:
    answer = client.get(address)

    assert answer.status_code == 302
    assert answer.headers["Location"] == "/movies/109445"


@pytest.mark.parametrize(
    ("rating", "verdict", "kind"),
    [
        (3, "pass", "agree"),
        (2, "fail", "agree"),
        (3, "fail", "differ"),
        (0, "pass", "differ"),
        (3, "too_close_to_call", "open"),
        (None, "pass", "unrated"),
    ],
)
def test_people_and_model_are_compared(client: FlaskClient, rating: int | None, verdict: str, kind: str) -> None:
    answer = PredictionAnswer.model_validate(client.get("/movies/109445.json").get_json())
    known = KnownRating(rating=rating, dubious=False, source="bechdeltest.com") if rating is not None else None
    prediction = answer.prediction.model_copy(update={"verdict": verdict})

    agreement = compare(answer.model_copy(update={"known_rating": known, "prediction": prediction}))

    assert agreement.kind == kind
    assert (kind in ("differ", "open")) == ("People's rating goes first." in agreement.text)


def test_json_behind_a_page_is_the_answer_of_the_api(client: FlaskClient) -> None:
    behind = client.get("/movies/109445.json")

    assert behind.get_json() == client.post("/api/v1/predictions", json={"tmdb_id": 109445}).get_json()
    assert client.get("/movies/77.json").status_code == 404
    assert client.get("/movies/77.json").mimetype == "application/problem+json"
