"""The API's own page in a browser: found, copied, tried with nothing, with a key that is typed in, with a session."""

import re

from playwright.sync_api import Page, expect

from tests.page.visits import Visits, sideways, stored
from tests.support.server import Server

Keyed = tuple[Server, dict[str, str]]


def send(page: Page, operation: str) -> None:
    page.locator(f"#{operation} form.try").get_by_role("button", name="Send").click()


def test_a_reader_finds_an_operation_and_tries_it(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/docs")
    expect(page.locator("[data-says]")).to_have_text("Access is open: no key is needed.")
    page.get_by_label("Find an operation").fill("rules list")
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="/v1/rules", exact=False).first.click()
    operation = page.locator("#listRules")
    expect(operation).to_have_attribute("open", "")
    send(page, "listRules")
    expect(operation.locator("[data-status]")).to_have_text("200 OK")
    expect(operation.locator("[data-content]")).to_contain_text('"out_of_range"')


def test_what_is_filled_in_shows_in_the_curl_line_and_a_stream_is_stopped(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/docs#listSeries")
    series = page.locator("#listSeries")
    series.get_by_label("tag.*").fill("pump=p 1")
    expect(series.locator(".curl code")).to_contain_text("tag.pump=p+1")
    page.goto(f"{served.url}/docs#followChanges")
    send(page, "followChanges")
    stream = page.locator("#followChanges")
    expect(stream.locator("[data-content]")).to_contain_text("retry:")
    stream.get_by_role("button", name="Stop").click()
    expect(stream.locator("[data-state]")).to_have_text("Stopped.")


def test_a_key_is_tried_and_kept_nowhere(visit: Visits, keyed: Keyed) -> None:
    server, secrets = keyed
    browsing = visit(server.url, allowed=(r"answered 401.*/v1/keys", "status of 401"))
    page = browsing.open("/docs#listKeys")
    expect(page.locator("[data-says]")).to_contain_text("Nobody is signed in")
    send(page, "listKeys")
    status = page.locator("#listKeys [data-status]")
    expect(status).to_have_text("401 Unauthorized")
    page.get_by_label("Key to try with").fill(secrets["admin"])
    send(page, "listKeys")
    expect(status).to_have_text("200 OK")
    assert secrets["admin"] not in stored(page) + page.content() + " ".join(browsing.requests)
    page.goto(f"{server.url}/docs/problems")
    page.go_back()
    expect(page.get_by_label("Key to try with")).to_have_value("")


def test_a_session_tries_what_changes_something(visit: Visits, keyed: Keyed) -> None:
    server, secrets = keyed
    page = visit(server.url).open("/sign-in?to=/docs")
    page.get_by_label("Key").fill(secrets["admin"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in")
    page.goto(f"{server.url}/docs#createKey")
    expect(page.locator("[data-says]")).to_contain_text("Signed in: tenant default")
    send(page, "createKey")
    created = page.locator("#createKey")
    expect(created.locator("[data-status]")).to_have_text("201 Created")
    expect(created.locator("[data-content]")).to_contain_text(re.compile('"secret": "tm_'))


def test_it_fits_a_phone_in_light_and_dark(visit: Visits, served: Server) -> None:
    for scheme in ("light", "dark"):
        page = visit(served.url, viewport={"width": 360, "height": 740}, color_scheme=scheme).open("/docs#postSeries")
        expect(page.locator("#postSeries")).to_have_attribute("open", "")
        assert sideways(page) == 0
