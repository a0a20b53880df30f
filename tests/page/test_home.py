"""Home: the balance is that of the API and stays true while records come; what is live can be paused and read."""

import re
import time

from playwright.sync_api import Page, expect

from tests.page.seeds import record, send, send_fix
from tests.page.visits import Visits, eventually
from tests.support.server import Server

BALANCE = "[...document.querySelectorAll('.sum .num')].map((one) => Number(one.textContent.replace(/\\D/g, '')))"


def balance(page: Page) -> list[int]:
    numbers: list[int] = page.evaluate(BALANCE)
    return numbers


def test_the_balance_is_that_of_the_api_and_adds_up(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    totals = served.client.get("/v1/flow").json()["totals"]
    eventually(page, f"({BALANCE})[0] === {totals['received']}")
    received, accepted, rejected, waiting = balance(page)
    assert received == accepted + rejected + waiting
    assert (accepted, rejected) == (totals["accepted"], totals["rejected"])


def test_what_is_sent_stands_in_the_tail_and_in_the_balance(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    expect(page.locator(".live")).to_contain_text("Live")
    eventually(page, f"({BALANCE})[0] > 0")
    before = balance(page)[0]
    send(served, record(900, 1.0, 2.0), record(901, 3.0, 4.0))
    tail = page.get_by_role("log")
    expect(tail).to_contain_text("dropzone 2 records, all accepted")
    send_fix(served, 0)
    expect(tail).to_contain_text("location 1 record rejected: duplicate")
    eventually(page, f"({BALANCE})[0] === {before + 3}")


def test_a_pause_holds_the_tail_and_says_what_waits(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    expect(page.locator(".live")).to_contain_text("Live")
    expect(page.locator(".tail li")).not_to_have_count(0)
    page.keyboard.press(".")
    expect(page.get_by_role("button", name="Resume")).to_have_attribute("aria-pressed", "true")
    first = page.locator(".tail li").first.text_content()
    send(served, record(903, 1.0, 2.0))
    expect(page.get_by_text("1 newer")).to_be_visible()
    assert page.locator(".tail li").first.text_content() == first
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("heading", level=1).click()
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    expect(page.get_by_text("1 newer")).to_be_hidden()


def test_ranges_stand_in_the_url_and_go_back(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    page.get_by_role("button", name="15 min").click()
    expect(page).to_have_url(re.compile(r"/\?range=15m$"))
    expect(page).to_have_title("What flows, 15 min · Tidemill")
    expect(page.get_by_role("region", name="The balance of the last 15 minutes")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile(r"/$"))
    expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")


def test_a_bar_is_read_and_opens_the_ledger_at_its_window(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    chart = page.get_by_role("application", name=re.compile("^Records every"))
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 40)
    expect(chart.locator("time")).to_be_visible()
    chart.focus()
    page.keyboard.press("End")
    expect(chart.locator("[aria-live]")).to_have_text(re.compile(r"accepted, \d+ rejected"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/ledger\?from=20\d\d-.*&to=20\d\d-"))


def test_a_bad_range_is_named(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/?range=2y")
    expect(page.get_by_text("is not understood: one of 15m, 1h, 24h, 7d")).to_be_visible()


def test_two_tabs_have_one_stream(visit: Visits, served: Server) -> None:
    browsing = visit(served.url)
    page = browsing.open("/")
    expect(page.locator(".live")).to_contain_text("Live")
    second = browsing.another("/")
    expect(second.locator(".live")).to_contain_text("Live")
    send(served, record(902, 4.0, 5.0))
    for one in (page, second):
        expect(one.get_by_role("log")).to_contain_text("dropzone")
    assert len([url for url in browsing.requests if "/v1/stream" in url]) == 1
    page.close()
    deadline = time.monotonic() + 30
    while len([url for url in browsing.requests if "/v1/stream" in url]) < 2:
        assert time.monotonic() < deadline, "the second tab did not take the stream over"
        second.wait_for_timeout(100)


def test_a_verification_is_asked_for_and_shown(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    page.get_by_role("button", name="Verify it now").click()
    expect(page.get_by_text(re.compile("Verified .*: it adds up"))).to_be_visible(timeout=90_000)


def test_nothing_shifts_when_data_comes(visit: Visits, served: Server) -> None:
    page = visit(served.url).open("/")
    expect(page.locator(".tail li")).not_to_have_count(0)
    expect(page.get_by_role("application")).to_be_visible()
    page.wait_for_timeout(1500)
    assert page.evaluate("window.shift") < 0.02
