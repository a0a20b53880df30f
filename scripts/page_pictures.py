"""Draws the pictures of the README from the page of a running server, or those that are named:

python scripts/page_pictures.py URL FOLDER [NAME ...]

The server is one of `make run` that has run for some minutes. It is sent a day of three pumps (`pump_day.py`). Chromium
opens each page as a reader sees it; what the page shows is written as SVG (`page_pictures.js`): text, in the colours of
the reader's light or dark scheme.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

import pump_day

RECORDER = Path(__file__).with_suffix(".js").read_text("utf-8")
WIDTH, HEIGHT = 1280, 860
SETTLED_MS = 4000
TITLES = {
    "home": "Home: the balance, records a minute, feeds, what came last, parts and sources",
    "explore": "Explore: a day of three pumps, with a gap, what was rejected, and the evidence",
    "why": "Why: the story of one instant, from its receipt to the value that stands",
}


def draw(url: str, folder: Path, names: list[str]) -> None:
    """Write these pictures into a folder."""
    paths = {"home": "/?range=1h"} | (pump_day.send(url) if names != ["home"] else {})
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--no-proxy-server"])
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT},
            locale="en-GB",
            timezone_id="Europe/Zurich",
            color_scheme="light",
            reduced_motion="reduce",
            bypass_csp=True,  # for the recorder alone: tests/page visit the page as it is
        )
        context.add_init_script(RECORDER)
        for name in names:
            path = paths[name]
            page = context.new_page()
            page.goto(url + path)
            settle(page)
            expect(page.get_by_role("gridcell", name="–", exact=True)).to_have_count(0, timeout=60_000)
            if name == "why":
                expect(page.get_by_text("matches the receipt")).to_be_visible(timeout=60_000)
            drawn = page.evaluate("([height, title]) => drawPage(height, title)", [HEIGHT, TITLES[name]])
            (folder / f"{name}.svg").write_text(drawn, "utf-8")
            page.close()
        browser.close()


def settle(page: Page) -> None:
    """Wait until no panel waits for an answer."""
    expect(page.get_by_role("heading", level=1)).to_be_attached(timeout=60_000)
    page.wait_for_timeout(SETTLED_MS)
    expect(page.locator("[aria-busy=true], .trouble p")).to_have_count(0, timeout=120_000)


if __name__ == "__main__":
    if len(sys.argv) < 3 or not set(sys.argv[3:]) <= TITLES.keys():
        sys.exit(__doc__)
    draw(sys.argv[1].rstrip("/"), Path(sys.argv[2]), sys.argv[3:] or list(TITLES))
