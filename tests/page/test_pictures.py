"""Every page at three widths, light and dark: nothing sticks out, axe is content, and a picture is kept to look at."""

import pytest
from playwright.sync_api import expect

from tests.page.visits import PICTURES, Visits, axe, sideways
from tests.support.server import Server

PAGES = {
    "home": "/",
    "explore": "/explore",
    "ledger": "/ledger",
    "why": "/why",
    "feeds": "/feeds",
    "sources": "/sources",
    "admin": "/admin",
}
WIDTHS = (360, 1280, 2560)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_at_every_width(visit: Visits, served: Server, name: str, scheme: str) -> None:
    browsing = visit(served.url, color_scheme=scheme)
    page = browsing.open(PAGES[name])
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.get_by_role("heading", level=1)).to_be_attached()
        page.wait_for_timeout(600)
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=width > 640)
        assert sideways(page) == 0, f"the page is {sideways(page)} px too wide at {width}"
        assert not axe(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_first_steps_and_sign_in(
    fresh: Server, keyed: tuple[Server, dict[str, str]], visit: Visits, scheme: str
) -> None:
    for name, title, server in (("first", "First steps", fresh), ("sign-in", "Sign in", keyed[0])):
        page = visit(server.url, color_scheme=scheme).open("/")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png")
            assert sideways(page) == 0
            assert not axe(page)
