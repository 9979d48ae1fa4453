"""What pages show beside the prediction, and that each of them is valid HTML."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import html5lib
import pytest
from flask.testing import FlaskClient

from serving import pages
from serving.model_report import Diagnosis
from serving.pages import asset, percent
from tests.pages_parts import ARABIC, JAPANESE, LONG, NO_CAST, SCRIPT, make_platform

PAGES = [
    "/",
    "/movies/109445",
    f"/movies/{NO_CAST.tmdb_id}",
    f"/movies/{SCRIPT.tmdb_id}",
    f"/movies/{LONG.tmdb_id}",
    f"/movies/{ARABIC.tmdb_id}",
    f"/movies/{JAPANESE.tmdb_id}",
    "/movies/77",
    "/?title=Frozen",
    "/?title=Nothing+at+all",
    "/trends",
    "/model",
    "/platform",
    "/about",
]


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield make_platform(monkeypatch).client


@pytest.mark.parametrize("address", PAGES)
def test_page_is_valid_html_with_one_heading_and_no_id_twice(client: FlaskClient, address: str) -> None:
    text = client.get(address).text

    document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    ids = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert len(list(document.iter("h1"))) == 1
    assert len(list(document.iter("title"))) >= 1


def test_title_says_what_the_page_is(client: FlaskClient) -> None:
    titles = [re.findall(r"<title>([^<]+) · Two Women Talking</title>", client.get(page).text) for page in PAGES]

    assert {len(found) for found in titles} == {1}
    said = dict(zip(PAGES, (found[0] for found in titles), strict=True))
    assert said["/movies/109445"] == "Frozen (2013): probably passes"
    assert said["/movies/77"] == "No such film"
    assert said["/?title=Frozen"] == "Several films fit the title"
    assert len(set(said.values())) >= len(PAGES) - 1  # two addresses here lead to no film


def test_cast_stands_in_billing_order_and_unknown_stays_unknown(client: FlaskClient) -> None:
    page = client.get("/movies/109445").text

    assert page.index("Kristen B.") < page.index("Jonathan G.") < page.index("Somebody U.")
    assert 'Somebody U.</span><span class="unseen">, not known</span>' in page
    assert "Noor &lt;b&gt;" in page
    assert [text.strip() for text in re.findall(r"</svg>( 1 [^<]+)</li>", page)] == [
        "1 woman",
        "1 man",
        "1 non-binary",
        "1 not known",
    ]


@pytest.mark.parametrize(
    ("tmdb_id", "marks"), [(109445, ["met"] * 3), (SCRIPT.tmdb_id, ["met", "unmet", "moot"]), (7002, [])]
)
def test_peoples_rating_shows_which_part_of_the_test_fails(
    client: FlaskClient, tmdb_id: int, marks: list[str]
) -> None:
    page = client.get(f"/movies/{tmdb_id}").text

    assert re.findall(r'<li class="(met|unmet|moot)">', page) == marks
    assert (page.index("People said") < page.index("The model expects")) == bool(marks)


def test_what_if_moves_the_probability_and_names_the_changes(client: FlaskClient) -> None:
    form = {"gender_1": "woman", "gender_2": "woman", "gender_3": "nonbinary", "gender_99": "man", "gender_0": "x"}

    answer = client.post("/movies/109445/what-if", data=form, headers={"Accept": "application/json"}).get_json()

    assert answer["changed"] == 2
    assert answer["after"] > answer["before"]
    assert answer["genders"] == {"0": "woman", "1": "woman", "2": "woman", "3": "nonbinary"}


def test_what_if_takes_a_number_of_women(client: FlaskClient) -> None:
    form = {"women": "3", "preset": "count", "gender_0": "man"}

    answer = client.post("/movies/109445/what-if", data=form, headers={"Accept": "application/json"}).get_json()

    assert answer["women"] == 3
    assert answer["genders"] == {"0": "woman", "1": "woman", "2": "woman", "3": "nonbinary"}
    assert 0 <= answer["at"] <= 100


def test_curve_has_a_point_for_every_number_of_women(client: FlaskClient) -> None:
    page = client.post("/movies/109445/what-if", data={"preset": "curve"})

    assert page.status_code == 200
    summary = re.search(r'aria-label="(0 women: [^"]+)"', page.text)
    assert summary is not None
    assert [part.split(":")[0] for part in summary[1].split("; ")] == [f"{number} women" for number in range(5)]
    assert client.post("/movies/5/what-if", data={"preset": "curve"}).status_code == 404


def test_number_of_women_counts_only_when_its_button_was_pressed(client: FlaskClient) -> None:
    answer = client.post("/movies/109445/what-if", data={"women": "4"}, headers={"Accept": "application/json"})

    assert answer.get_json()["changed"] == 0


def test_what_if_is_a_page_without_javascript(client: FlaskClient) -> None:
    page = client.post("/movies/109445/what-if", data={"preset": "women"})

    assert page.status_code == 200
    assert "points after 3 changes" in page.text


def test_address_of_a_what_if_leads_back_to_the_film(client: FlaskClient) -> None:
    assert client.get("/movies/109445/what-if").headers["Location"] == "/movies/109445#what-if"


def test_what_if_of_a_film_without_cast_says_why_not(client: FlaskClient) -> None:
    answer = client.post("/movies/5/what-if", headers={"Accept": "application/json"})

    assert answer.status_code == 404
    assert "nobody to change" in answer.get_json()["detail"]


def test_charts_say_what_they_show(client: FlaskClient) -> None:
    found = re.findall(r'<p class="finding">([^<]+)</p>', client.get("/trends").text)

    assert found == [
        "Of the films of 2015 to 2019, 25% pass.",
        "Of the films of 2019, 79% pass.",
        "Women are 35% of the casts of 2019.",
        "2000s: Comedy passes most often (60%), =cmd() least (50%).",
        "From 50% (Sweden) to 45% (Japan).",
    ]


def test_chart_without_its_mart_says_so_and_the_others_stand(client: FlaskClient) -> None:
    page = client.get("/trends").text

    assert "Too few rated films are loaded" in page
    assert "<polyline" in page


def test_model_page_shows_slices_and_ablation(client: FlaskClient) -> None:
    page = client.get("/model").text

    assert "For which films is it good?" in page
    assert page.index("Original language") < page.index("Over all decades, on the random part:") < page.index("1990s")
    assert "without cast" in page
    assert "make evaluate" not in page


def test_model_page_shows_reliability_of_both_splits_and_partial_dependence(client: FlaskClient) -> None:
    page = client.get("/model").text

    assert page.count('class="chart reliability"') == 2
    assert "Reliability diagram, a random part: 10 groups of films" in page
    assert "lowers the mean by no more than 0.1 points" in page
    assert 'aria-label="none: 30.0%; 5: 40.0%;' in page
    assert '<td class="number">+10.0</td>' in page


def test_model_page_without_an_evaluation_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = make_platform(monkeypatch)
    reports = platform.app.extensions["bechdel_pages"].reports
    read = reports.read
    monkeypatch.setattr(reports, "read", lambda champion: replace(read(champion), diagnosis=Diagnosis()))

    assert platform.client.get("/model").text.count("Run: make evaluate") == 4


def test_platform_page_names_a_view_that_is_behind(client: FlaskClient) -> None:
    page = client.get("/platform").text

    assert "movie_crew" in page
    assert "fewer rows online" in page
    assert "Behind: movie_crew." in page


def test_dbt_docs_are_served_apart_or_asked_for(client: FlaskClient, tmp_path: Path) -> None:
    docs = tmp_path / "dbt.html"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pages, "DBT_DOCS", docs)
        missing = client.get("/platform/dbt-docs")
        docs.write_text("<!doctype html><script>1</script>")
        found = client.get("/platform/dbt-docs")
        found.close()

    assert missing.status_code == 404
    assert "Run: make docs" in missing.text
    assert found.status_code == 200
    assert found.headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")


def test_posters_come_only_with_live_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for token, is_live in ((None, False), ("set", True)):
        page = make_platform(monkeypatch, token=token).client.get("/movies/109445")

        assert ("image.tmdb.org" in page.headers["Content-Security-Policy"]) == is_live
        assert ("<img" in page.text.split("</article>")[0]) == is_live


def test_shared_link_previews_the_verdict(client: FlaskClient) -> None:
    page = client.get(f"/movies/{SCRIPT.tmdb_id}").text

    assert '<meta property="og:title" content="The &lt;script&gt;' in page
    assert re.search(r'og:description" content="[^"]*probability', page)


def test_page_that_has_not_changed_is_not_sent_again(client: FlaskClient) -> None:
    first = client.get("/movies/109445")
    again = client.get("/movies/109445", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    assert "ETag" not in client.get("/movies/77").headers


def test_files_named_by_their_content_stay_in_the_browser(client: FlaskClient) -> None:
    with client.application.test_request_context():
        address = asset("style.css")
    named, unnamed = client.get(address), client.get("/static/style.css?v=other")

    assert "max-age=31536000" in named.headers["Cache-Control"]
    assert unnamed.headers["Cache-Control"] == "no-cache"
    assert client.get("/static/nothing.css?v=1").status_code == 404
    named.close()
    unnamed.close()


def test_csv_has_the_marts_columns_and_no_formula(client: FlaskClient) -> None:
    answer = client.get("/trends/genre.csv")

    assert answer.mimetype == "text/csv"
    assert answer.text.splitlines()[0].startswith("genre_name,decade,films_count,pass_share")
    assert "'=cmd()" in answer.text
    assert client.get("/trends/nonsense.csv").status_code == 404


def test_figures_of_made_up_films_say_so(client: FlaskClient) -> None:
    assert "synthetic data, no real films" in client.get("/trends").text
    assert "synthetic-genre.csv" in client.get("/trends/genre.csv").headers["Content-Disposition"]


def test_database_away_leaves_pages_that_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = make_platform(monkeypatch)
    monkeypatch.undo()  # the plain database again, which can be away
    platform.database.is_away = True

    assert platform.client.get("/").status_code == 200
    assert platform.client.get("/movies/109445").status_code == 503
    assert "does not answer" in platform.client.get("/platform").text
    assert "does not answer" in platform.client.get("/trends").text


def test_film_without_model_shows_what_people_said(monkeypatch: pytest.MonkeyPatch) -> None:
    page = make_platform(monkeypatch, has_model=False).client.get("/movies/109445")

    assert page.status_code == 503
    assert "What people said about Frozen: rating 3 of 3" in page.text


def test_nothing_is_quite_certain() -> None:
    assert [percent(share) for share in (0.004, 0.5, 0.996)] == ["under 1%", "50%", "over 99%"]


def test_static_address_changes_with_the_content() -> None:
    from tests.serving_parts import Platform

    with Platform().app.test_request_context():
        assert asset("style.css").startswith("/static/style.css?v=")
