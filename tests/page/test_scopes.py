"""What each scope is offered on each page: no request is refused, and what a key does not open is said in words."""

import re
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.page.visits import Visits, signed_in
from tests.support.server import Server

Keyed = tuple[Server, dict[str, str]]
NEEDS_ADMIN: Final = re.compile("needs? a key with the scope admin")
NEEDS_READ: Final = "This needs a key with the scope read."
# What a page says to a reader, and what it offers to an administrator alone (role and name); "" for nothing.
PAGES: dict[str, tuple[Any, tuple[Any, str] | None]] = {
    "/": ("records received", ("link", "New feed")),
    "/explore?s=SERIES": ("points", None),
    "/analyse/SERIES": ("Explore", None),
    "/ledger": (NEEDS_ADMIN, ("grid", "Rejected records")),
    "/why?series=SERIES&time=TIME": (NEEDS_ADMIN, ("group", "Step over points and rejected records")),
    "/receipts/RECEIPT": (NEEDS_ADMIN, ("button", "Delete")),
    "/feeds": ("dropzone", ("button", "New feed")),
    "/feeds/dropzone": ("records received in 24 h", ("link", "Edit")),
    "/feeds/dropzone?tab=definition": (NEEDS_ADMIN, ("textbox", "Definition of dropzone")),
    "/sources": ("ource", None),
    "/admin": (NEEDS_ADMIN, ("button", "Create the key")),
    "/admin?tab=storage": (NEEDS_ADMIN, ("region", "On disk")),
}


@pytest.fixture(scope="module")
def paths(keyed: Keyed) -> dict[str, str]:
    """The paths of PAGES by their templates."""
    server, secrets = keyed
    headers = {"Authorization": f"Bearer {secrets['admin']}"}
    series = server.client.get("/v1/series?feed=dropzone&limit=1", headers=headers).json()["items"][0]
    receipt = server.client.get("/v1/receipts?limit=1", headers=headers).json()["items"][0]["id"]
    values = {"SERIES": series["id"], "TIME": series["last"], "RECEIPT": receipt}
    return {path: re.sub("[A-Z]{4,}", lambda word: values[word.group()], path) for path in PAGES}


def bar(page: Page) -> str:
    return page.get_by_role("navigation", name="Pages", exact=True).inner_text()


def test_a_reader(visit: Visits, keyed: Keyed, paths: dict[str, str]) -> None:
    _, page = signed_in(visit, keyed[0], keyed[1]["reader"])
    for template, (says, offered) in PAGES.items():
        page.goto(keyed[0].url + paths[template])
        expect(page.locator("main"), template).to_contain_text(says)
        if offered:
            expect(page.locator("main").get_by_role(offered[0], name=offered[1], exact=True), template).to_have_count(0)
        assert "Explore" in bar(page) and "Admin" not in bar(page)
        if says == NEEDS_ADMIN:
            expect(page.locator("main").get_by_role("link", name="Sign in").first, template).to_be_visible()


def test_a_writer(visit: Visits, keyed: Keyed, paths: dict[str, str]) -> None:
    """A key that sends only: every page says that it does not open it, and asks for nothing that is refused."""
    browsing, page = signed_in(visit, keyed[0], keyed[1]["writer"])
    for template in PAGES:
        page.goto(keyed[0].url + paths[template])
        needs = NEEDS_ADMIN if template.startswith("/admin") else NEEDS_READ
        expect(page.locator("main"), template).to_contain_text(needs)
        expect(page.locator("main").get_by_role("link", name="Sign in")).to_be_visible()
        assert bar(page) == ""
    assert not [url for url in browsing.requests if "/v1/stream" in url]


def test_an_administrator(visit: Visits, keyed: Keyed, paths: dict[str, str]) -> None:
    _, page = signed_in(visit, keyed[0], keyed[1]["admin"])
    for template, (says, offered) in PAGES.items():
        page.goto(keyed[0].url + paths[template])
        if offered:
            offer = page.locator("main").get_by_role(offered[0], name=offered[1], exact=True)
            expect(offer.first, template).to_be_visible()
        else:
            expect(page.locator("main"), template).to_contain_text(says)
        expect(page.locator("main"), template).not_to_contain_text("needs a key")
        assert "Admin" in bar(page)


def test_a_key_of_another_scope_in_another_tab_is_that_of_all_tabs(visit: Visits, keyed: Keyed) -> None:
    """The cookie is one: the bar of each tab is that of who is signed in now."""
    server, secrets = keyed
    browsing, page = signed_in(visit, server, secrets["reader"])
    second = browsing.another("/feeds")
    expect(second.get_by_role("heading", level=1)).to_have_text("Feeds")
    expect(second.get_by_role("button", name="New feed")).to_have_count(0)
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("Key", exact=True).fill(secrets["admin"])
    page.keyboard.press("Enter")
    expect(second.get_by_role("button", name="New feed")).to_be_visible()
    expect(second.get_by_role("navigation", name="Pages", exact=True)).to_contain_text("Admin")
