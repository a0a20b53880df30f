"""Sign in and out: a wrong key is said to be one, the key stays nowhere in the browser, a scope has its pages."""

import re

from playwright.sync_api import expect

from tests.page.visits import Visits, stored
from tests.support.server import Server

Keyed = tuple[Server, dict[str, str]]


def test_a_wrong_key_then_the_right_one_and_back_to_what_was_opened(visit: Visits, keyed: Keyed) -> None:
    server, secrets = keyed
    browsing = visit(server.url, allowed=(r"401.*/v1/session", "status of 401"))
    page = browsing.open("/ledger?feed=dropzone")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The key is missing.")
    page.get_by_label("Key").fill("tm_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This key is not known here.")
    page.get_by_label("Key").fill(secrets["admin"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/ledger\?feed=dropzone$"))
    expect(page.get_by_role("navigation", name="Pages", exact=True)).to_contain_text("Admin")
    assert secrets["admin"] not in stored(page) + page.content() + " ".join(browsing.requests)
    [cookie] = [one for one in browsing.context.cookies() if "tidemill" in one["name"]]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"


def test_a_reader_has_no_admin_page_and_signs_out(visit: Visits, keyed: Keyed) -> None:
    server, secrets = keyed
    page = visit(server.url).open("/")
    page.get_by_label("Key").fill(secrets["reader"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")
    expect(page.get_by_role("navigation", name="Pages", exact=True)).not_to_contain_text("Admin")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")
    page.get_by_role("button", name=re.compile("^Tenant default")).click()
    expect(page.get_by_text("Key a reader: read")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto(f"{server.url}/feeds")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_sign_out_that_fails_is_said_to_have_failed(visit: Visits, keyed: Keyed) -> None:
    """The cookie is still good then: the page that was open is back."""
    server, secrets = keyed
    browsing = visit(server.url, allowed=("answered 503", "status of 503"))
    page = browsing.open("/feeds")
    page.get_by_label("Key").fill(secrets["reader"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Feeds")
    page.route("**/v1/session", lambda route: route.fulfill(status=503, body="{}"))
    page.get_by_role("button", name=re.compile("^Tenant default")).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator(".trouble")).to_contain_text("Not signed out")
    expect(page.get_by_role("heading", level=1)).to_have_text("Feeds")
    page.unroute("**/v1/session")
    page.get_by_role("button", name=re.compile("^Tenant default")).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.locator(".trouble")).to_have_text("")


def test_sign_in_follows_no_foreign_address(visit: Visits, keyed: Keyed) -> None:
    server, secrets = keyed
    page = visit(server.url).open("/sign-in?to=//evil.example/x")
    page.get_by_label("Key").fill(secrets["reader"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")
    assert page.url == f"{server.url}/"


def test_signing_out_in_one_tab_is_seen_by_the_other(visit: Visits, keyed: Keyed) -> None:
    """The other tab asks for a key without a touch, and goes back to what it showed when the first signs in again."""
    server, secrets = keyed
    browsing = visit(server.url)
    page = browsing.open("/")
    page.get_by_label("Key").fill(secrets["reader"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")
    second = browsing.another("/ledger?feed=dropzone")
    expect(second.get_by_text("needs a key with the scope admin")).to_be_visible()
    browsing.allow("answered 401", "status of 401")  # of what was on its way
    page.get_by_role("button", name=re.compile("^Tenant default")).click()
    page.get_by_role("button", name="Sign out").click()
    for tab in (page, second):
        expect(tab.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("Key").fill(secrets["admin"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")
    expect(second).to_have_url(f"{server.url}/ledger?feed=dropzone")
    expect(second.get_by_role("heading", level=1)).to_have_text("Ledger")
