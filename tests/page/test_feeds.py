"""Feeds: a rule is mended in the editor, by keyboard and by mouse, its verdicts are seen at once, and it is applied; a
version that came meanwhile is shown beside it. Also a new feed from a sample, versions, and sources."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.pumps import PUMPS
from tests.page.seeds import seed
from tests.page.visits import PICTURES, Visits, axe, sideways
from tests.support.server import Server, running_server

SAMPLE = (
    '{"t": "2026-11-29T14:42:01Z", "pump": "p1", "bar": 5.1}\n{"t": "2026-11-29T14:42:10Z", "pump": "p1", "bar": 12.4}'
)
WIDTHS = (360, 1280, 2560)


@pytest.fixture(scope="module")
def pumped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a feed of pumps, one of whose two records its rule has rejected."""
    with running_server(tmp_path_factory.mktemp("feeds") / "data") as server:
        seed(server)
        put(server, "pumps", PUMPS)
        send(server, "pumps")
        yield server


def put(server: Server, feed: str, text: str) -> int:
    answer = server.client.put(f"/v1/feeds/{feed}", content=text)
    assert answer.status_code in (200, 201), answer.text
    version: int = answer.json()["version"]
    return version


def send(server: Server, feed: str) -> None:
    headers = {"Content-Type": "application/x-ndjson", "Prefer": "wait=60"}
    answer = server.client.post(f"/v1/feeds/{feed}", content=SAMPLE, headers=headers, timeout=90)
    assert answer.status_code == 200, answer.text


def renewed(server: Server, feed: str) -> int:
    """The feed of pumps under another name, as it was at first, with a rejected record."""
    version = put(server, feed, PUMPS.replace('name = "pumps"', f'name = "{feed}"'))
    send(server, feed)
    return version


def editor(page: Page, feed: str) -> Locator:
    box = page.get_by_role("textbox", name=f"Definition of {feed}")
    expect(box).to_contain_text("check = ")
    return box


def select(page: Page, box: Locator, text: str) -> None:
    """Put the cursor at the end of the first line that has a text."""
    box.get_by_text(text).first.click()
    page.keyboard.press("End")


def replace_line(page: Page, box: Locator, line: str, by: str) -> None:
    select(page, box, line)
    page.keyboard.press("Shift+Home")
    page.keyboard.insert_text(by)


def test_feeds_are_listed_with_what_they_do(visit: Visits, pumped: Server) -> None:
    page = visit(pumped.url).open("/feeds")
    row = page.get_by_role("row").filter(has_text="pumps")
    expect(row).to_contain_text("data comes")
    row.get_by_role("link", name="pumps").click()
    expect(page).to_have_url(f"{pumped.url}/feeds/pumps")
    expect(page.get_by_role("heading", level=1)).to_have_text("pumps")
    expect(page.get_by_text("version 1, in force since")).to_be_visible()
    expect(page.get_by_role("region", name="Rules")).to_contain_text("rejects")


def test_a_rule_is_mended_by_mouse_and_applied(visit: Visits, pumped: Server) -> None:
    renewed(pumped, "mouse")
    page = visit(pumped.url).open("/feeds/mouse?tab=definition")
    box = editor(page, "mouse")
    verdicts = page.get_by_role("region", name="Verdicts")
    expect(verdicts).to_contain_text("2 records = 1 accepted + 1 rejected", timeout=60_000)
    verdicts.get_by_role("button", name=re.compile("12.4")).click()
    expect(verdicts).to_contain_text("12.4")
    expect(page.locator(".lit.record").first).to_contain_text('"bar": 12.4')
    expect(page.locator(".lit.fault").first).to_have_text("12.4")
    select(page, box, "options")
    expect(verdicts.locator("li.touched")).not_to_have_count(0)
    replace_line(page, box, "options", 'options = { field = "bar", min = 0, max = 16 }')
    expect(verdicts).to_contain_text("2 records = 2 accepted + 0 rejected")
    expect(page.get_by_text("Differs from version 1 in 1 place.")).to_be_visible()
    page.get_by_role("button", name="Preview on the last 7 days").click()
    preview = page.get_by_role("region", name="Preview on the last 7 days")
    expect(preview).to_contain_text("nothing was written", timeout=60_000)
    expect(preview.locator(".sum .accepted .num")).to_have_text("1")
    page.get_by_role("button", name="Apply as version 2").click()
    expect(page.get_by_text("Version 2 is in force.")).to_be_visible()
    expect(page.get_by_text("version 2, in force since")).to_be_visible()
    assert "max = 16" in pumped.client.get("/v1/feeds/mouse").json()["text"]
    page.get_by_role("link", name="Versions").click()
    expect(page.get_by_role("region", name="From version 1 to version 2")).to_contain_text("now 16")


def test_a_fault_is_said_at_its_place_and_mended_by_keyboard(visit: Visits, pumped: Server) -> None:
    renewed(pumped, "keys")
    page = visit(pumped.url).open("/feeds/keys?tab=definition")
    box = editor(page, "keys")
    box.focus()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text('\n[[rules]]\ncheck = "finte"\noptions = { field = "bar" }')
    expect(page.get_by_text("1 fault")).to_be_visible(timeout=60_000)
    expect(page.locator(".underlined")).to_have_text('"finte"')
    expect(page.locator(".at-fault")).to_have_count(1)
    expect(page.get_by_role("button", name="Apply as version 2")).to_be_disabled()
    page.keyboard.press("Control+Home")
    page.keyboard.press("F8")
    page.keyboard.press("Delete")
    page.keyboard.insert_text('"')
    page.keyboard.type("fin")
    expect(page.get_by_role("option", name=re.compile("finite"))).to_be_visible()
    page.wait_for_timeout(300)  # the editor passes over keys of the first 75 ms: who types did not mean the list
    page.keyboard.press("Enter")
    expect(box).to_contain_text('check = "finite"')
    expect(page.locator(".underlined")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(box).not_to_be_focused()


def test_a_word_that_was_meant_is_written_with_a_click(visit: Visits, pumped: Server) -> None:
    renewed(pumped, "meant")
    page = visit(pumped.url).open("/feeds/meant?tab=definition")
    box = editor(page, "meant")
    replace_line(page, box, "check =", 'check = "rnge"')
    page.get_by_role("button", name="range", exact=True).click()
    expect(box).to_contain_text('check = "range"')
    expect(page.get_by_text("The same as version 1, which is in force.")).to_be_visible()


def test_a_version_that_came_meanwhile_is_shown_beside(visit: Visits, pumped: Server) -> None:
    renewed(pumped, "both")
    browsing = visit(pumped.url, allowed=("answered 412", "status of 412"))
    page = browsing.open("/feeds/both?tab=definition")
    box = editor(page, "both")
    replace_line(page, box, "options", 'options = { field = "bar", min = 0, max = 16 }')
    expect(page.get_by_text("Differs from version 1 in 1 place.")).to_be_visible()
    theirs = PUMPS.replace('name = "pumps"', 'name = "both"').replace('unit = "bar"', 'unit = "kPa"')
    assert put(pumped, "both", theirs) == 2
    page.get_by_role("button", name="Apply as version 2").click()
    conflict = page.get_by_role("alert").filter(has_text="Nothing was changed")
    expect(conflict).to_contain_text("version 2 is in force by now")
    expect(conflict).to_contain_text('unit = "kPa"')
    expect(conflict).to_contain_text("max = 16")
    assert not axe(page)
    conflict.get_by_role("button", name="Keep mine, to apply it over version 2").click()
    page.get_by_role("button", name="Apply as version 3").click()
    expect(page.get_by_text("Version 3 is in force.")).to_be_visible()
    assert "max = 16" in pumped.client.get("/v1/feeds/both").json()["text"]


def test_a_new_feed_from_a_pasted_answer(visit: Visits, pumped: Server) -> None:
    page = visit(pumped.url).open("/feeds")
    page.get_by_role("button", name="New feed").click()
    dialog = page.get_by_role("dialog", name="New feed")
    dialog.get_by_label("Name").fill("wells")
    answer = json.dumps({"rows": [{"time": "2026-11-29T14:42:10Z", "well": "w1", "level": 3.5}]})
    dialog.get_by_label(re.compile("^The answer of an API")).fill(answer)
    assert not axe(page)
    dialog.get_by_role("button", name="Write the definition").click()
    expect(page).to_have_url(f"{pumped.url}/feeds/wells?tab=definition")
    expect(page.get_by_role("region", name="Verdicts")).to_contain_text(
        "1 record = 1 accepted + 0 rejected", timeout=60_000
    )
    page.get_by_role("button", name="Apply as version 1").click()
    expect(page.get_by_text("version 1, in force since")).to_be_visible()
    assert pumped.client.get("/v1/feeds/wells").status_code == 200


def test_a_file_is_dropped_as_a_sample(visit: Visits, pumped: Server) -> None:
    page = visit(pumped.url).open("/feeds/pumps?tab=definition")
    editor(page, "pumps")
    content = SAMPLE.replace("12.4", "9.9").encode()
    page.locator("input[type=file]").set_input_files(
        {"name": "two.ndjson", "mimeType": "application/x-ndjson", "buffer": content}
    )
    expect(page.get_by_role("region", name="Sample")).to_contain_text("two.ndjson")
    expect(page.get_by_role("region", name="Verdicts")).to_contain_text("2 records = 2 accepted + 0 rejected")


def test_a_reader_sees_no_text_and_is_told_why(visit: Visits, keyed: tuple[Server, dict[str, str]]) -> None:
    server, secrets = keyed
    page = visit(server.url).open("/sign-in?to=/feeds/dropzone?tab=definition")
    page.get_by_label("Key").fill(secrets["reader"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/feeds/dropzone**")  # signed in
    page.goto(f"{server.url}/feeds/dropzone?tab=definition")
    expect(page.get_by_text("needs a key with the scope admin")).to_be_visible()
    page.goto(f"{server.url}/feeds")
    expect(page.get_by_role("row").filter(has_text="dropzone")).to_be_visible()
    expect(page.get_by_role("button", name="New feed")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_parts_of_a_feed_at_every_width(visit: Visits, pumped: Server, scheme: str) -> None:
    browsing = visit(pumped.url, color_scheme=scheme)
    for tab in ("overview", "definition", "versions", "source"):
        page = browsing.open(f"/feeds/pumps?tab={tab}")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            expect(page.get_by_role("heading", level=1)).to_be_attached()
            page.wait_for_timeout(500)
            if tab == "definition":
                expect(page.get_by_role("region", name="Verdicts")).to_contain_text("2 records", timeout=60_000)
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=PICTURES / f"feed-{tab}-{width}-{scheme}.png", full_page=True)
            assert sideways(page) == 0, f"{tab} is {sideways(page)} px too wide at {width}"
            assert not axe(page)
