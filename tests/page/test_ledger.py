"""The administrator's task: from a chart to the verdict in two clicks, from a verdict to the bytes in one; a rule is
mended, its difference seen, the replay run. Clicked, typed, dragged, and by the keyboard alone."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.spills import HIGH_AT, RANGE, fill_the_ledger
from tests.page.visits import PICTURES, Visits, axe, eventually, sideways
from tests.support.server import Server, running_server

OUTSIDE = f"/ledger?feed=pumps&reason=outside_range&{RANGE}"
VERDICT = re.compile(f"Nothing stands at {HIGH_AT}: record 0 of payload [0-9a-f-]+ was rejected \\(outside_range\\)")


@pytest.fixture(scope="module")
def spilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server with rejected, duplicate, late, flagged and recovered records, and the id of the series `p1 bar`."""
    with running_server(tmp_path_factory.mktemp("spilt") / "data") as server:
        yield server, fill_the_ledger(server)


def rows(page: Page) -> Locator:
    return page.get_by_role("grid", name="Rejected records").locator("tbody tr")


def rejected(server: Server, **selection: str) -> list[dict[str, object]]:
    answer = server.client.get("/v1/rejections", params={"feed": "pumps", "limit": "200"} | selection)
    items: list[dict[str, object]] = answer.json()["items"]
    return items


def test_from_a_chart_to_the_verdict_in_two_clicks_and_to_the_bytes_in_one(
    visit: Visits, spilt: tuple[Server, str]
) -> None:
    server, _ = spilt
    page = visit(server.url).open(f"/ledger?feed=pumps&reason=outside_range&tag.pump=p1&{RANGE}")
    chart = page.get_by_role("application", name=re.compile("Rejected records"))
    expect(chart).to_be_visible()
    box = chart.bounding_box()
    assert box
    share = 282 / 360 + 0.003
    page.mouse.click(box["x"] + share * box["width"], box["y"] + 40)
    expect(rows(page)).to_have_count(3)
    rows(page).filter(has_text="12.4").click()
    record = page.get_by_role("region", name="Record", exact=True)
    expect(record.locator("mark")).to_have_text("12.4")
    expect(record).to_contain_text("Broken: bar is outside the range from 0 to 10.")
    record.get_by_role("link", name="Why").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(VERDICT)
    expect(page.get_by_text("matches the receipt")).to_be_visible()
    marked = page.get_by_role("group", name="Bytes around record 0").locator("u:not(.ok)")
    expect(marked.first).to_have_text("31 32 2e 34")
    page.get_by_role("list", name="Where it comes from").get_by_role("link", name=re.compile("^749")).click()
    expect(page).to_have_url(re.compile("/receipts/.*view=bytes"))
    expect(page.get_by_role("group", name="Bytes as text")).to_contain_text('"bar": 12.4')


def test_a_drag_over_the_bars_is_a_range(visit: Visits, spilt: tuple[Server, str]) -> None:
    server, _ = spilt
    page = visit(server.url).open(OUTSIDE)
    chart = page.get_by_role("application", name=re.compile("Rejected records"))
    expect(rows(page).first).to_be_visible()
    before = rows(page).count()
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 40)
    page.mouse.up()
    expect(page).to_have_url(re.compile("from=2026-03-10T07:"))
    eventually(page, f"document.querySelectorAll('[role=grid] tbody tr').length < {before}")
    page.go_back()
    expect(rows(page)).to_have_count(before)


def test_a_rule_is_mended_and_the_replay_run_by_keyboard_alone(visit: Visits, spilt: tuple[Server, str]) -> None:
    server, _ = spilt
    page = visit(server.url).open(OUTSIDE)
    expect(rows(page).first).to_be_visible()
    open_before = len(rejected(server, reason="outside_range"))
    rows(page).first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("region", name="Record", exact=True).locator("mark")).to_be_visible()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name=re.compile("^Preview a replay of "))).to_be_visible()
    page.keyboard.press("r")
    preview = page.get_by_role("region", name="Replay preview")
    expect(preview.get_by_text("accepted anew")).to_be_visible(timeout=60_000)
    expect(preview.get_by_role("combobox", name="Rules")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    draft = preview.get_by_role("textbox")
    expect(draft).to_have_value(re.compile("max = 10.4"))
    page.keyboard.press("Tab")
    expect(draft).to_be_focused()
    text = draft.input_value()
    page.keyboard.press("Control+Home")
    for _ in range(text[: text.index("10.4")].count("\n")):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    for _ in range(len("10.4 }")):
        page.keyboard.press("Backspace")
    page.keyboard.type("16 }")
    page.keyboard.press("Tab")
    expect(preview.get_by_role("button", name="Try the draft")).to_be_focused()
    page.keyboard.press("Enter")
    expect(preview.locator(".diffs li", has_text="accepted anew").locator("b")).to_have_text(
        str(open_before), timeout=60_000
    )
    expect(preview.get_by_role("group", name="How the definition differs")).to_contain_text("max = 16")
    assert len(rejected(server, reason="outside_range")) == open_before, "a preview changes nothing"
    run = preview.get_by_role("button", name="Apply as version 3 and run")
    expect(run).to_be_enabled()
    run.focus()
    page.keyboard.press("Enter")
    expect(preview.get_by_text(f"{open_before} recovered.")).to_be_visible(timeout=90_000)
    assert rejected(server, reason="outside_range") == []
    page.goto(f"{server.url}/why?feed=pumps&field=bar&tag.pump=p1&time={HIGH_AT}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"12.4 stands at {HIGH_AT}")
    expect(page.get_by_text(re.compile("Replay .* made points of"))).to_be_visible()


def test_a_duplicate_stands_beside_the_record_that_stays(visit: Visits, spilt: tuple[Server, str]) -> None:
    server, _ = spilt
    one = next(item for item in rejected(server, reason="duplicate") if "5.9" in str(item["record"]))
    page = visit(server.url).open(f"/ledger?feed=pumps&{RANGE}&open={one['receipt']}:{one['index']}")
    record = page.get_by_role("region", name="Record", exact=True)
    expect(record.get_by_text("The record that stays")).to_be_visible()
    expect(record.locator("pre")).to_have_count(2)
    expect(record.locator("pre").first.locator("mark")).to_have_text("5.9")


def test_steps_go_over_points_and_rejections(visit: Visits, spilt: tuple[Server, str]) -> None:
    server, series = spilt
    page = visit(server.url).open(f"/why?series={series}&time=2026-03-10T07:00:00Z&tz=UTC")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("stands at 2026-03-10T07:00:00Z")
    for key, minute in ((".", "01"), (">", "02"), (",", "01")):
        page.keyboard.press(key)
        expect(heading).to_contain_text(f"stands at 2026-03-10T07:{minute}:00Z")


def test_an_instant_that_nothing_came_for(visit: Visits, spilt: tuple[Server, str]) -> None:
    server, series = spilt
    page = visit(server.url).open(f"/why?series={series}&time=2026-03-10T07:00:20Z&tz=UTC")
    expect(page.get_by_role("heading", level=1)).to_contain_text("2026-03-10T07:00:20Z")
    near = page.get_by_role("region", name="What was near")
    expect(near.get_by_role("link", name=re.compile("bar at 10 Mar 07:00:00 Z"))).to_be_visible()


def test_a_receipt_adds_up_and_is_hashed_here(visit: Visits, spilt: tuple[Server, str]) -> None:
    server, _ = spilt
    one = rejected(server, reason="duplicate")[0]
    page = visit(server.url).open(f"/receipts/{one['receipt']}?record={one['index']}")
    expect(page.get_by_role("region", name="The balance of this payload")).to_contain_text("matches the receipt")
    expect(page.get_by_role("grid", name="Records of this payload")).to_contain_text("duplicate")
    page.get_by_role("button", name="Bytes").click()
    page.get_by_role("button", name="Hex").click()
    expect(page.get_by_role("group", name="Bytes as hexadecimal")).to_contain_text("5b 7b 22 74")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete this payload")
    expect(dialog.get_by_role("button", name=re.compile("^Delete \\d+ record"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert server.client.get(f"/v1/receipts/{one['receipt']}").json()["state"] == "applied"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(visit: Visits, spilt: tuple[Server, str], scheme: str) -> None:
    server, series = spilt
    one = rejected(server, reason="late")[0]
    duplicate = rejected(server, reason="duplicate")[0]
    paths = {
        "ledger-record": f"/ledger?feed=pumps&{RANGE}&open={one['receipt']}:{one['index']}",
        "ledger-duplicate": f"/ledger?{RANGE}&open={duplicate['receipt']}:{duplicate['index']}",
        "why-flagged": f"/why?series={series}&time=2026-03-10T07:30:00Z&tz=UTC",
        "why-rejected": f"/why?series={series}&time={HIGH_AT}&tz=UTC",
        "why-never": f"/why?series={series}&time=2026-03-10T07:00:20Z&tz=UTC",
        "receipt": f"/receipts/{duplicate['receipt']}?record={duplicate['index']}",
    }
    page = visit(server.url, color_scheme=scheme).open("/")
    for name, path in paths.items():
        page.goto(server.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_attached()
        if name.startswith("ledger"):
            expect(page.locator(".facets footer")).to_be_visible()
        if "never" not in name:
            expect(page.locator("ul.verdicts").first).to_be_visible()
        for width in (360, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(200)
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=width > 640)
            assert sideways(page) == 0, f"{name} is {sideways(page)} px too wide at {width}"
            assert not axe(page)
