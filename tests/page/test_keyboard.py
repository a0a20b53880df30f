"""The page by keyboard alone: pages, the find box, help, the theme."""

import re

from playwright.sync_api import expect

from tests.page.visits import Visits
from tests.support.server import Server


def test_pages_by_key_and_the_focus_on_their_headings(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    for key, path in (("e", "/explore"), ("l", "/ledger"), ("w", "/why"), ("f", "/feeds"), ("a", "/admin"), ("h", "/")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(re.escape(served.url + path) + r"(\?.*)?$"))
        expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_help_opens_and_only_the_topmost_thing_closes(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")


def test_find_goes_to_a_feed_a_receipt_and_an_instant(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("/")
    box = page.get_by_role("combobox")
    expect(box).to_be_focused()
    page.keyboard.type("dropzone")
    expect(page.get_by_role("option").first).to_be_visible()
    expect(page.get_by_role("option", name=re.compile("dropzone .*feed"))).to_be_visible()
    page.get_by_role("option", name=re.compile("dropzone .*feed")).click()
    expect(page).to_have_url(f"{served.url}/feeds/dropzone")
    receipt = served.client.get("/v1/receipts", params={"limit": 1}).json()["items"][0]["id"]
    page.keyboard.press("Control+k")
    expect(box).to_be_focused()
    page.keyboard.type(receipt)
    expect(page.get_by_role("option", name=re.compile("receipt$"))).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.url}/receipts/{receipt}")
    page.keyboard.press("Control+k")
    page.keyboard.type("mean yesterday 14:42")
    expect(page.get_by_role("option", name=re.compile("instant$"))).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/why\\?series=.*&time=20"))


def test_a_theme_is_kept_by_the_server(visit: Visits, served: Server) -> None:
    browsing = visit(served.url, color_scheme="light")
    page = browsing.open("/")
    page.get_by_role("button", name=re.compile("^Tenant default")).press("Enter")
    page.get_by_role("button", name="Dark").press("Enter")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    html = browsing.context.request.get(served.url, headers={"Accept": "text/html"}).text()
    assert 'data-theme="dark"' in html
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 20, 26)"
