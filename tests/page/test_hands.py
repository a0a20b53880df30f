"""The tasks of newcomer, analyst and administrator by keyboard alone and by fingers, and a file that is dropped."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.page.hands import Fingers, drop_file, tab_to
from tests.page.spills import RANGE, fill_the_ledger
from tests.page.visits import Visits, sideways
from tests.support.server import Server, running_server

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def spilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that has rejected some records of pumps, and the id of the series `p1 bar`."""
    with running_server(tmp_path_factory.mktemp("hands") / "data") as server:
        yield server, fill_the_ledger(server)


def drawn(page: Page) -> None:
    expect(page.locator("#status")).to_contain_text(re.compile("points?"))
    expect(page.get_by_role("region", name="Chart")).to_have_attribute("aria-busy", "false")


def test_newcomers_by_keyboard_alone_and_by_touch(fresh: Server, visit: Visits) -> None:
    """One copies and runs the line by keys; the other, on a phone, sees the same record arrive and taps on."""
    phone = visit(fresh.url, **PHONE).open("/")
    expect(phone.get_by_role("heading", level=1)).to_have_text("First steps")
    page = visit(fresh.url, permissions=["clipboard-read", "clipboard-write"]).open("/")
    tab_to(page, page.get_by_role("button", name="Copy the curl line"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Copied")).to_be_visible()
    line = page.evaluate("navigator.clipboard.readText()")
    subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=True)
    for one in (page, phone):
        expect(one.get_by_text("1 record accepted")).to_be_visible()
    tab_to(page, page.get_by_role("link", name="Open in Explore"))
    page.keyboard.press("Enter")
    drawn(page)
    phone.get_by_role("link", name="Open in Explore").tap()
    drawn(phone)
    assert sideways(phone) == 0


def test_an_analyst_by_touch(visit: Visits, spilt: tuple[Server, str]) -> None:
    """Found by typing on a phone, zoomed by a pinch, pinned by a tap, and on to the story."""
    server, _ = spilt
    browsing = visit(server.url, **PHONE)
    page = browsing.open("/explore?tz=UTC")
    page.get_by_role("combobox", name=re.compile("Search series")).fill("p1 bar")
    page.get_by_role("option", name=re.compile(r"p1 · bar")).tap()
    drawn(page)
    plot = page.get_by_role("application")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    y, left, width = box["y"] + 90, box["x"], box["width"]
    fingers = Fingers(browsing, page)
    fingers.move(
        [(left + 0.45 * width, y), (left + 0.6 * width, y)], [(left + 0.25 * width, y), (left + 0.8 * width, y)]
    )
    expect(page).to_have_url(re.compile("from=2026-03-10T"))
    drawn(page)
    fingers.move([(left + 0.5 * width, y)], [(left + 0.5 * width, y)])
    pinned = page.locator(".readout.pinned")
    expect(pinned).to_be_visible()
    pinned.get_by_role("link", name="Why").tap()
    expect(page.get_by_role("heading", level=1)).to_contain_text("stands at")
    assert sideways(page) == 0


def test_an_administrator_by_touch(visit: Visits, spilt: tuple[Server, str]) -> None:
    """On a phone: from a rejected record to its verdict in a tap, to its bytes in one more."""
    server, _ = spilt
    page = visit(server.url, **PHONE).open(f"/ledger?feed=pumps&reason=outside_range&tag.pump=p1&{RANGE}")
    page.get_by_role("grid", name="Rejected records").locator("tbody tr").filter(has_text="12.4").tap()
    record = page.get_by_role("region", name="Record", exact=True)
    expect(record.locator("mark")).to_have_text("12.4")
    record.get_by_role("link", name="Why").tap()
    expect(page.get_by_role("heading", level=1)).to_contain_text("was rejected (outside_range)")
    page.get_by_role("list", name="Where it comes from").get_by_role("link").first.tap()
    expect(page.get_by_role("group", name="Bytes as text")).to_contain_text('"bar": 12.4')
    assert sideways(page) == 0


def test_an_analyst_and_an_administrator_by_keyboard_alone(visit: Visits, spilt: tuple[Server, str]) -> None:
    """From the find box to a chart, from a mark of the chart to the verdict, from there to the bytes: keys only."""
    server, _ = spilt
    page = visit(server.url).open("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("p1 bar")
    expect(page.get_by_role("option", name=re.compile("series")).first).to_be_visible()
    page.keyboard.press("Enter")
    drawn(page)
    tab_to(page, page.get_by_role("application"))
    page.keyboard.press("Home")
    readout = page.locator(".readout")
    for _ in range(20):  # flagged ones come before it
        page.keyboard.press("n")
        if "rejected" in readout.inner_text():
            break
    expect(readout).to_contain_text("rejected")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/why"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("at 2026-03-10T")
    tab_to(page, page.get_by_role("list", name="Where it comes from").get_by_role("link").first)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/receipts/.*view=bytes"))
    expect(page.get_by_role("group", name="Bytes as text")).to_contain_text('"bar"')


def test_a_file_is_dragged_into_the_page(visit: Visits, spilt: tuple[Server, str], tmp_path: Path) -> None:
    """Onto the sample of a feed it is tried; anywhere else the page stays as it is and says where it belongs."""
    server, _ = spilt
    file = tmp_path / "three.json"
    file.write_text(
        '[{"t": "2026-11-29T14:42:01Z", "pump": "p1", "bar": 9.9},\n'
        ' {"t": "2026-11-29T14:43:01Z", "pump": "p1", "bar": 12}]'
    )
    browsing = visit(server.url)
    page = browsing.open("/feeds/pumps?tab=definition")
    expect(page.get_by_role("region", name="Verdicts")).to_contain_text("records =")
    drop_file(browsing, page, page.get_by_role("textbox", name="Sample"), file)
    expect(page.get_by_role("region", name="Sample")).to_contain_text("three.json")
    expect(page.get_by_role("region", name="Verdicts")).to_contain_text("2 records = 1 accepted + 1 rejected")
    before = page.url
    drop_file(browsing, page, page.get_by_role("heading", level=1), file)
    expect(page.get_by_role("status").filter(has_text="as the sample of a feed")).to_be_visible()
    assert page.url == before
    home = browsing.another("/")
    drop_file(browsing, home, home.get_by_role("region", name=re.compile("The balance")), file)
    expect(home.get_by_role("status").filter(has_text="as the sample of a feed")).to_be_visible()
    assert home.url == f"{server.url}/"
    page.goto(f"{server.url}/feeds")
    page.get_by_role("button", name="New feed").click()
    dialog = page.get_by_role("dialog", name="New feed")
    answer = dialog.get_by_label(re.compile("^The answer of an API"))
    drop_file(browsing, page, answer, file)
    expect(answer).to_have_value(re.compile("14:43:01Z"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
