"""The pages in a real browser: one server with films in memory, one Chromium."""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect
from pydantic import SecretStr

from common.tmdb import TmdbClient
from tests.e2e.browser import find_chromium, open_browser
from tests.pages_parts import ARABIC, JAPANESE, LONG, NO_CAST, SCRIPT, UNBROKEN, make_platform
from tests.web import serve

pytestmark = [
    pytest.mark.skipif(
        find_chromium() is None, reason="there is no Chromium here (Debian: apt-get install chromium)"
    ),
    pytest.mark.timeout(300),
]
ADDRESSES = ["/", "/movies/109445", "/movies/77", "/?title=Frozen", "/trends", "/model", "/platform", "/about"]
WIDTHS = (360, 1440)
SCHEMES = ("light", "dark")
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MAX_BYTES = 150_000
NOWHERE = "http://127.0.0.1:9/3"  # the discard port: connections are refused at once

Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as monkeypatch, serve(make_platform(monkeypatch, token="set").app) as address:
        yield address


def draw_poster() -> bytes:
    """A picture as TMDB's image server would give it."""
    picture = io.BytesIO()
    Image.new("RGB", (342, 513), "#336699").save(picture, "JPEG")
    return picture.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, site: str) -> Iterator[Opener]:
    """Opens a page in a context of its own.

    The test fails when the browser's console complains, or when anything but a poster is asked of another host.
    """
    complaints: list[str] = []
    asked: list[Request] = []
    contexts = []
    poster = draw_poster()

    def open_at(path: str, **options: Any) -> Page:
        context = browser.new_context(base_url=site, **options)
        contexts.append(context)
        context.on("request", lambda request: asked.append(request))
        context.route(
            "https://image.tmdb.org/**", lambda route: route.fulfill(body=poster, content_type="image/jpeg")
        )
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(path)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of" not in text] == []
    assert elsewhere(asked, site) <= {("https://image.tmdb.org", "image")}


def elsewhere(asked: Iterable[Request], site: str) -> set[tuple[str, str]]:
    """Other hosts that were asked, and for what kind of thing."""
    return {
        (origin, request.resource_type)
        for request in asked
        if (origin := "{0.scheme}://{0.netloc}".format(urlsplit(request.url))) != site
    }


def test_visit_from_search_to_shared_link(open_page: Opener) -> None:
    page = open_page("/")
    page.get_by_label("Title of a film").press_sequentially("froz")
    expect(page.get_by_role("option")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    assert page.get_by_role("combobox").first.get_attribute("aria-activedescendant") == "suggestion-0"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Frozen")
    verdict = page.locator(".says").inner_text()

    link = page.get_by_label("Link to this answer").input_value()

    assert open_page(link).locator(".says").inner_text() == verdict


def test_ambiguous_title_is_chosen_from_a_list(open_page: Opener) -> None:
    page = open_page("/")
    page.get_by_label("Title of a film").fill("Frozen")
    page.get_by_role("button", name="Find out").click()
    page.get_by_role("link", name=re.compile("2010")).click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Frozen (2010)")


def test_keyboard_alone_reaches_content_and_closes_suggestions(open_page: Opener) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    field = page.get_by_label("Title of a film")
    expect(field).to_be_focused()
    page.keyboard.type("frozen")
    expect(page.get_by_role("listbox")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(field).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("2013")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Frozen (2013)")


@pytest.mark.parametrize("address", ["/", "/movies/109445", "/trends"])
def test_keyboard_shows_where_it_is(open_page: Opener, address: str) -> None:
    page = open_page(address)
    for _ in range(40):
        page.keyboard.press("Tab")
        style = page.evaluate(
            """() => {
                const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
                return document.activeElement === document.body ? null : [outlineStyle, parseFloat(outlineWidth)];
            }"""
        )
        if style is None:
            break
        assert style[0] != "none", page.evaluate("document.activeElement.outerHTML")
        assert style[1] >= 2


def test_suggestions_are_announced(open_page: Opener) -> None:
    page = open_page("/")
    field = page.get_by_role("combobox", name="Title of a film")
    said = page.locator("#suggestions-said")
    assert said.get_attribute("role") == "status"
    field.press_sequentially("froz")
    expect(said).to_have_text("2 films. Use the arrow keys.")
    assert field.get_attribute("aria-expanded") == "true"
    field.press("Escape")
    assert field.get_attribute("aria-expanded") == "false"
    field.fill("harbour")
    expect(said).to_have_text("1 film. Use the arrow keys.")
    field.fill("nothing is called so")
    expect(said).to_have_text("No film fits yet.")


def test_nothing_moves_for_who_asks_for_less_motion(open_page: Opener) -> None:
    duration = "getComputedStyle(document.querySelector('line[data-needle]')).transitionDuration"
    scrolling = "getComputedStyle(document.documentElement).scrollBehavior"
    still, moving = (open_page("/movies/109445", reduced_motion=wish) for wish in ("reduce", "no-preference"))

    assert (still.evaluate(duration), still.evaluate(scrolling)) == ("0s", "auto")
    assert (moving.evaluate(duration), moving.evaluate(scrolling)) == ("0.3s, 0.3s", "smooth")


def test_newest_decades_are_in_sight_where_not_all_fit(open_page: Opener) -> None:
    box = open_page("/trends", viewport={"width": 180, "height": 800}).locator(".grid-box")

    assert box.evaluate("element => element.scrollLeft") > 0
    assert box.evaluate("element => element.scrollLeft + element.clientWidth >= element.scrollWidth - 1")


def test_what_if_answers_in_place(open_page: Opener) -> None:
    page = open_page("/movies/109445")
    page.get_by_role("button", name="All women").click()

    expect(page.locator("[data-what-if-answer]")).to_contain_text("after 3 changes")
    expect(page.get_by_label("Jonathan G.")).to_have_value("woman")
    assert page.url.endswith("/movies/109445")


def test_number_of_women_moves_the_probability_by_keyboard(open_page: Opener) -> None:
    page = open_page("/movies/109445")
    slider = page.get_by_label("Women among the top 4")
    expect(page.locator("[data-women]")).to_have_text("1")
    before = page.locator("circle[data-needle]").get_attribute("cx")
    slider.focus()
    page.keyboard.press("ArrowRight")

    expect(page.locator("[data-what-if-answer]")).to_contain_text("after 1 change.")
    expect(page.locator("[data-women]")).to_have_text("2")
    expect(page.get_by_label("Jonathan G.")).to_have_value("woman")
    assert page.locator("circle[data-needle]").get_attribute("cx") != before

    page.keyboard.press("End")
    expect(page.locator("[data-what-if-answer]")).to_contain_text("after 3 changes.")


def test_number_of_women_is_asked_without_javascript(open_page: Opener) -> None:
    page = open_page("/movies/109445", java_script_enabled=False)
    page.get_by_label("Women among the top 4").fill("4")
    page.get_by_role("button", name="Ask with this number").click()

    expect(page.locator("[data-what-if-answer]")).to_contain_text("after 3 changes.")
    expect(page.get_by_label("Women among the top 4")).to_have_value("4")
    page.get_by_role("button", name="Draw every number").click()
    expect(page.get_by_role("img", name=re.compile("^0 women: .*4 women: "))).to_be_visible()


def test_everything_works_without_javascript(open_page: Opener) -> None:
    page = open_page("/", java_script_enabled=False)
    page.get_by_label("Title of a film").fill("Frozen")
    page.get_by_label("Year").fill("2013")
    page.get_by_role("button", name="Find out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Frozen (2013)")
    page.get_by_text("Change one by one").click()
    page.get_by_label("Kristen B.").select_option("man")
    page.get_by_role("button", name="Ask the model").click()
    expect(page.locator("[data-what-if-answer]")).to_contain_text("after 1 change.")
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()


def test_without_a_model_the_page_says_what_to_run(browser: Browser) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, serve(make_platform(monkeypatch, has_model=False).app) as site:
        page = browser.new_page()
        page.goto(site)
        expect(page.get_by_role("status").filter(has_text="make train-model")).to_be_visible()
        page.get_by_label("Title of a film").fill("Zażółć")
        page.get_by_role("button", name="Find out").click()
        expect(page.get_by_role("alert")).to_contain_text("make train-model")
        page.close()


def test_tmdb_down_shows_what_is_stored_and_says_how_old_it_is(browser: Browser) -> None:
    tmdb = TmdbClient(SecretStr("token"), NOWHERE)
    with pytest.MonkeyPatch.context() as monkeypatch:
        platform = make_platform(monkeypatch, token="set", tmdb=tmdb)
        platform.landing.land({"id": 109445, "title": "Frozen", "credits": {}}, datetime.now(UTC) - timedelta(days=9))
        with serve(platform.app) as site:
            page = browser.new_page()
            page.goto(f"{site}/movies/109445")
            expect(page.locator(".notice")).to_contain_text("This answer uses TMDB's data of 20")
            expect(page.locator(".says")).to_be_visible()

            page.goto(site)
            page.get_by_label("Title of a film").fill("Nobody has this")
            page.get_by_role("button", name="Find out").click()
            expect(page.get_by_role("alert")).to_contain_text("TMDB")
            assert page.get_by_label("Title of a film").input_value() == "Nobody has this"

            page.goto(f"{site}/platform")
            expect(page.get_by_role("heading", name="Platform")).to_be_visible()
            page.close()
    tmdb.close()


@contextmanager
def poster_page(browser: Browser, site: str, width: int, *, come: bool) -> Iterator[tuple[Page, list[Request]]]:
    """A page whose posters come, or do not; with every request that it makes."""
    page = browser.new_page(base_url=site, viewport={"width": width, "height": 900})
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))

    def answer(route: Route) -> None:
        if come:
            route.fulfill(body=draw_poster(), content_type="image/jpeg")
        else:
            route.abort()

    page.route("https://image.tmdb.org/**", answer)
    yield page, asked
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_posters_take_their_place_without_a_jump(browser: Browser, site: str, width: int) -> None:
    with poster_page(browser, site, width, come=True) as (page, asked):
        page.goto("/movies/109445")
        image = page.get_by_role("img", name="Poster of Frozen")
        expect(image).to_have_js_property("naturalWidth", 342)
        assert image.get_attribute("loading") == "lazy"
        box = image.bounding_box()
        assert box
        assert box["height"] == pytest.approx(1.5 * box["width"], abs=1)
        assert box == page.locator(".film-head .poster").bounding_box()
        assert layout_shift(page) < 0.01

        page.goto("/")
        posters = page.locator(".shelf img")
        expect(posters).to_have_count(3)  # the fourth film is made up
        for poster in posters.all():
            poster.scroll_into_view_if_needed()
            expect(poster).to_have_js_property("naturalWidth", 342)
            assert (poster.get_attribute("alt") or "").startswith("Poster of ")
            assert poster.bounding_box() == poster.locator("..").bounding_box()
        assert layout_shift(page) < 0.01
        assert elsewhere(asked, site) == {("https://image.tmdb.org", "image")}


@pytest.mark.parametrize("width", WIDTHS)
def test_posters_that_do_not_come_leave_the_drawn_ones(browser: Browser, site: str, width: int) -> None:
    with poster_page(browser, site, width, come=False) as (page, asked):
        page.goto("/movies/109445")
        drawn = page.locator(".film-head .poster")
        expect(page.get_by_role("img", name="Poster of Frozen")).to_have_count(0)
        expect(drawn.locator(".poster-title")).to_have_text("Frozen")
        box = drawn.bounding_box()
        assert box
        assert box["height"] == pytest.approx(1.5 * box["width"], abs=1)
        assert drawn.locator("svg").bounding_box() == box
        assert layout_shift(page) < 0.01

        page.goto("/")
        page.locator(".shelf li").last.scroll_into_view_if_needed()
        expect(page.locator(".shelf img")).to_have_count(0)
        expect(page.locator(".shelf .poster svg")).to_have_count(4)
        assert layout_shift(page) < 0.01
        assert elsewhere(asked, site) == {("https://image.tmdb.org", "image")}


def test_policy_lets_posters_in_and_nothing_else(browser: Browser, site: str) -> None:
    refused = """address => new Promise(done => {
        document.addEventListener("securitypolicyviolation", event => done(event.violatedDirective), { once: true });
        const image = new Image();
        image.onload = () => done("loaded");
        image.src = address;
    })"""
    with poster_page(browser, site, 1440, come=True) as (page, _):
        page.goto("/about")
        assert page.evaluate(refused, "https://image.tmdb.org/t/p/w342/any.jpg") == "loaded"
        assert page.evaluate(refused, "https://images.example/tracker.png") == "img-src"


def test_without_a_token_no_other_host_is_asked_by_any_page(browser: Browser) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, serve(make_platform(monkeypatch).app) as site:
        page = browser.new_page(base_url=site)
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request))
        for address in ADDRESSES:
            page.goto(address)
            expect(page.locator("h1")).to_be_visible()
        page.close()

    assert len(asked) > 2 * len(ADDRESSES)
    assert elsewhere(asked, site) == set()


def test_film_without_cast_says_so(open_page: Opener) -> None:
    page = open_page(f"/movies/{NO_CAST.tmdb_id}")

    expect(page.locator("#cast")).to_contain_text("No cast is known")
    expect(page.locator("#what-if")).to_have_count(0)


def test_script_in_a_title_stays_text(open_page: Opener) -> None:
    page = open_page("/")
    page.on("dialog", lambda _: pytest.fail("the title ran"))
    page.get_by_label("Title of a film").press_sequentially("harbour")
    expect(page.get_by_role("option")).to_contain_text("<script>alert(1)</script>")
    page.get_by_role("option").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text(SCRIPT.title)


@pytest.mark.parametrize("film", [LONG, UNBROKEN, ARABIC, JAPANESE], ids=["long", "unbroken", "arabic", "japanese"])
def test_awkward_titles_fit_a_phone(open_page: Opener, film: Any) -> None:
    page = open_page(f"/movies/{film.tmdb_id}", viewport={"width": 360, "height": 800})

    assert page.get_by_role("heading", level=1).inner_text().startswith(film.title.strip())
    assert overflow(page) == 0
    direction = page.locator("h1 span").first.evaluate("element => getComputedStyle(element).direction")
    assert direction == ("rtl" if film is ARABIC else "ltr")


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_is_accessible_light_and_calm(open_page: Opener, address: str) -> None:
    for width in WIDTHS:
        for scheme in SCHEMES:
            page = open_page(address, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
            assert layout_shift(page) < 0.01, f"{width} {scheme}"
            page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true; })")
            found = Axe().run(page, options={"runOnly": AXE_TAGS}).response["violations"]
            assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == [], f"{width} {scheme}"
            assert overflow(page) == 0, f"{width} {scheme}"
            assert transferred(page) < MAX_BYTES


def overflow(page: Page) -> int:
    """Pixels that stand out to the right."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def layout_shift(page: Page) -> float:
    """Cumulative layout shift so far."""
    script = """() => new Promise(done => {
        let sum = 0;
        new PerformanceObserver(list => { for (const entry of list.getEntries()) sum += entry.value; })
            .observe({ type: "layout-shift", buffered: true });
        setTimeout(() => done(sum), 50);
    })"""
    return float(page.evaluate(script))


def transferred(page: Page) -> int:
    """Bytes of the page and what it loads, without posters."""
    return int(
        page.evaluate(
            "performance.getEntries().filter(e => e.transferSize && !e.name.includes('image.tmdb.org'))"
            ".reduce((sum, entry) => sum + entry.transferSize, 0)"
        )
    )
