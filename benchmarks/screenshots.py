"""Write docs/screenshots/*.png from a running server: `python -m benchmarks.screenshots`.

Only synthetic films are pictured: real ones (titles, plots, posters) must not be redistributed.
Needs Chromium (Debian: apt-get install chromium), Playwright and Pillow.
"""

import argparse
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import requests

from benchmarks.pages import find_ambiguous_title
from common import cli
from common.errors import PlatformError, ServiceError
from common.settings import ROOT, load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = ROOT / "docs" / "screenshots"
MAX_BYTES = 200_000
COLORS = 96  # few inks are on the pages; a palette makes the files a third as large
WIDTHS = (1440, 360)


def main() -> int:
    """Picture every page at both widths, and the README's two."""
    options = _read_arguments()
    cli.require_tools("PIL", "playwright")
    from tests.e2e.browser import open_browser

    settings = load_settings()
    url = options.url or f"http://{settings.host}:{settings.port}"
    film = options.film or _find_film(url)
    _refuse_real_film(url, film)
    title = options.title or find_ambiguous_title(settings)
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = {
        "home": "/",
        "film": f"/movies/{film}",
        **({"choice": f"/?{urlencode({'title': title})}"} if title else {}),
        "trends": "/trends",
        "model": "/model",
        "platform": "/platform",
        "about": "/about",
        "problem": "/movies/999999999",
    }
    with open_browser() as browser:
        for name, path in pages.items():
            for width in WIDTHS:
                scheme = "dark" if width == WIDTHS[1] else "light"
                _shoot(browser, url + path, FOLDER / f"{name}-{width}.png", width=width, scheme=scheme)
        _shoot(browser, f"{url}/movies/{film}", FOLDER / "answer.png", width=1120, height=1180)
    return 0


def _shoot(
    browser: "Browser", url: str, path: Path, *, width: int, height: int | None = None, scheme: str = "light"
) -> None:
    from PIL import Image

    page = browser.new_page(viewport={"width": width, "height": height or 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(url)
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=height is None)))
    page.close()
    for colors in (COLORS, COLORS // 2, COLORS // 6):
        picture.convert("RGB").quantize(colors, kmeans=2).save(path, optimize=True)
        if path.stat().st_size < MAX_BYTES:
            break
    print(f"{path.relative_to(ROOT)} {path.stat().st_size // 1000} kB")


def _find_film(url: str) -> int:
    """The best known film whose page shows a cast."""
    films = re.findall(r'href="/movies/(\d+)"', _get(f"{url}/").text)
    for film in films:
        if 'id="what-if"' in _get(f"{url}/movies/{film}").text:
            return int(film)
    raise PlatformError(f"The first page of {url} offers no film with a cast. Name one: --film TMDB_ID")


def _refuse_real_film(url: str, film: int) -> None:
    movie = _get(f"{url}/movies/{film}.json").json()["movie"]
    if not movie["synthetic"]:
        raise PlatformError(
            f"Film {film} is real, and pictures of real film data must not be committed. "
            "Start the platform on the sample: MOVIES_SOURCE=sample make up"
        )


def _get(url: str) -> requests.Response:
    try:
        response = requests.get(url, timeout=30)
        response.raise_for_status()
    except requests.RequestException as error:
        raise ServiceError(f"{url} does not answer ({type(error).__name__}). Start the server: make up") from error
    return response


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--url", help="a running server (default: the one of HOST and PORT)")
    parser.add_argument("--film", type=int, help="TMDB id of a synthetic film (default: the first with a cast)")
    parser.add_argument("--title", help="one that several films share (default: found in the database)")
    return parser.parse_args()


if __name__ == "__main__":
    cli.run(main)
