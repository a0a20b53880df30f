"""Draws the pictures of the README from the page of a running server: `python scripts/page_pictures.py URL FOLDER`.

The server is one of `make run` that has run for some minutes. Chromium opens each page as a reader sees it; what it
shows
is written as SVG (`page_pictures.js`): text, in the colours of the reader's light or dark scheme.
"""

import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from playwright.sync_api import Page, expect, sync_playwright

RECORDER = Path(__file__).with_suffix(".js").read_text("utf-8")
WIDTH = 1280
SETTLED_MS = 2500


def draw(url: str, folder: Path) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--no-proxy-server"])
        context = browser.new_context(
            viewport={"width": WIDTH, "height": 900},
            locale="en-GB",
            timezone_id="Europe/Zurich",
            color_scheme="light",
            reduced_motion="reduce",
            bypass_csp=True,  # of the recorder; the page itself keeps it in tests/page
        )
        context.add_init_script(RECORDER)
        for name, (path, height, title) in pages(url).items():
            page = context.new_page()
            page.goto(url + path)
            _settle(page)
            (folder / f"{name}.svg").write_text(page.evaluate("([h, t]) => drawPage(h, t)", [height, title]), "utf-8")
            page.close()
        browser.close()


def pages(url: str) -> dict[str, tuple[str, int, str]]:
    """The pages by the name of their picture: path, height in pixels, and what it shows."""
    rejected = _ask(url, "/v1/rejections?limit=1&reason=outside_range")["items"][0]
    chosen = _ask(url, f"/v1/series?feed={rejected['feed']}&limit=1&extent=false")["items"][0]
    why = {"feed": rejected["feed"], "field": chosen["field"], "time": rejected["time"]}
    why |= {f"tag.{name}": value for name, value in (rejected.get("tags") or {}).items()}
    explore = urlencode({"s": chosen["id"], "from": "-1h", "to": "now"})
    return {
        "home": ("/?range=1h", 860, "Home: the balance, records a minute, feeds, what came last, parts and sources"),
        "explore": (f"/explore?{explore}", 860, "Explore: a series with what was rejected and its evidence"),
        "why": (f"/why?{urlencode(why)}", 860, "Why: the story of one instant, down to the bytes"),
    }


def _ask(url: str, path: str) -> dict[str, list[dict[str, str]]]:
    with urlopen(url + path) as answer:
        answered: dict[str, list[dict[str, str]]] = json.load(answer)
        return answered


def _settle(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_attached()
    page.wait_for_timeout(SETTLED_MS)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    draw(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
