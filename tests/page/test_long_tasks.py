"""What takes its time, seen to its end: a source that is polled, fails and recovers; a replay that is cancelled; a
payload that is deleted; a payload of more bytes than are shown at once."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.page.spills import RANGE, fill_the_ledger
from tests.page.visits import Visits
from tests.page.wells import DEFINITION, wells_service
from tests.support.server import Server, running_server

LONG = 60_000


@pytest.fixture(scope="module")
def spilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with rejected records."""
    with running_server(tmp_path_factory.mktemp("long") / "data") as server:
        fill_the_ledger(server)
        yield server


def test_a_source_is_polled_fails_and_recovers(visit: Visits, spilt: Server) -> None:
    with wells_service() as wells:
        answer = spilt.client.put("/v1/feeds/wells", content=DEFINITION.replace("URL", wells.url))
        assert answer.status_code == 201, answer.text
        page = visit(spilt.url).open("/feeds/wells?tab=source")
        table = page.get_by_role("grid", name="Source", exact=True)
        expect(table).to_contain_text(re.compile("data, "), timeout=LONG)
        page.reload()  # the strip is asked for again every 30 s
        strip = page.get_by_role("img", name=re.compile("^The source: data"))
        expect(strip).to_be_visible(timeout=LONG)
        expect(page.get_by_role("grid", name="Polls of wells").get_by_role("link").first).to_be_visible()
        wells.status = 503
        expect(table).to_contain_text(re.compile("503"), timeout=LONG)
        expect(page.get_by_text("It is tried again").first).to_be_visible()
        page.goto(f"{spilt.url}/feeds")
        expect(page.get_by_role("row").filter(has_text="wells")).to_contain_text("503", timeout=LONG)
        wells.status = 200
        expect(page.get_by_role("row").filter(has_text="wells")).to_contain_text("polled", timeout=LONG)
        page.goto(f"{spilt.url}/sources?feed=wells&from=-1h")
        expect(page.get_by_role("img", name=re.compile("^The source: data.*unusable"))).to_be_visible(timeout=LONG)
        expect(page.get_by_role("region", name="Polls of wells")).to_contain_text("The longest outage")
        gone = spilt.client.delete("/v1/feeds/wells", params={"data": "keep"})
        assert gone.status_code == 200, gone.text


def test_a_replay_is_cancelled_and_leaves_no_trace(visit: Visits, spilt: Server) -> None:
    """The mill stands still, so that the replay is under way for as long as it takes to cancel it."""
    page = visit(spilt.url).open(f"/ledger?feed=pumps&reason=outside_range&{RANGE}")
    rows = page.get_by_role("grid", name="Rejected records").locator("tbody tr")
    expect(rows.first).to_be_visible()
    count = rows.count()
    page.get_by_role("button", name=re.compile("^Choose all")).click()
    page.get_by_role("button", name=re.compile("^Preview a replay of ")).click()
    preview = page.get_by_role("region", name="Replay preview")
    expect(preview.get_by_text("accepted anew")).to_be_visible(timeout=LONG)
    preview.get_by_role("button", name="Mend the rules").click()
    draft = preview.get_by_role("textbox")
    expect(draft).to_have_value(re.compile("max = 10.4"))
    draft.fill(draft.input_value().replace("max = 10.4", "max = 16"))
    preview.get_by_role("button", name="Try the draft").click()
    run = preview.get_by_role("button", name="Apply as version 3 and run")
    expect(run).to_be_enabled(timeout=LONG)
    mill = spilt.part("mill")
    mill.suspend()
    try:
        run.click()
        cancel = preview.get_by_role("button", name="Cancel")
        expect(cancel).to_be_visible(timeout=LONG)
        expect(preview).to_contain_text(re.compile(r"of \d+ payloads? done|0 of"))
        cancel.click()
    finally:
        mill.resume()
    expect(preview).to_contain_text("cancelled; it left no trace", timeout=LONG)
    left = spilt.client.get("/v1/rejections", params={"feed": "pumps", "reason": "outside_range"}).json()["items"]
    assert len(left) == count


def test_a_deletion_is_seen_to_its_end(visit: Visits, spilt: Server) -> None:
    """From the payload's page to the list of deletions, which follows it by itself; its bytes are not to be had."""
    body = '[{"t": "2026-03-10T11:59:30+00:00", "pump": "p7", "bar": 5.5}]'
    answer = spilt.client.post("/v1/feeds/pumps", content=body, headers={"Prefer": "wait=30"})
    receipt = answer.json()["id"]
    browsing = visit(spilt.url)
    page = browsing.open(f"/receipts/{receipt}")
    expect(page.get_by_text("matches the receipt")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete this payload")
    dialog.get_by_role("button", name="Delete 1 record").click()
    expect(dialog.get_by_role("status")).to_contain_text("Its bytes are gone from disk")
    deletion = dialog.locator("code").inner_text()
    page.keyboard.press("Escape")
    expect(page.get_by_text("The bytes were deleted on request.")).to_be_visible(timeout=LONG)
    page.goto(f"{spilt.url}/admin?tab=deletions")
    row = page.get_by_role("grid", name="Deletions").locator("tbody tr").filter(has_text=deletion)
    expect(row).to_contain_text("1 point, 1 record, 1 payload", timeout=LONG)
    expect(row).to_contain_text(re.compile(r"applied.*erased from disk"), timeout=LONG)
    assert spilt.client.get(f"/v1/receipts/{receipt}/payload").status_code in (404, 410)


def test_bytes_of_a_large_payload_are_paged(visit: Visits, spilt: Server) -> None:
    """The record that is opened is in the third 64 KiB: that is where they begin, and its bytes are marked."""
    records = [
        {"t": f"2026-03-10T11:{n // 60 % 60:02d}:{n % 60:02d}+00:00", "pump": f"q{n // 3600}", "bar": 5.0}
        for n in range(2500)
    ]
    headers = {"Content-Type": "application/json", "Prefer": "wait=60"}
    answer = spilt.client.post("/v1/feeds/pumps", content=json.dumps(records), headers=headers, timeout=90)
    receipt, size = answer.json()["id"], len(json.dumps(records))
    assert size > 2 * 65_536
    page = visit(spilt.url).open(f"/receipts/{receipt}?view=bytes")
    region = page.get_by_role("region", name="Bytes", exact=True)
    expect(region).to_contain_text(f"0 to 65,536 of {size:,}")
    before, after = (region.get_by_role("button", name=name) for name in ("The 64 KiB before", "The next 64 KiB"))
    expect(before).to_be_disabled()
    after.click()
    expect(region).to_contain_text("65,536 to 131,072 of")
    expect(region.get_by_role("group", name="Bytes as text")).to_contain_text('"pump": "q0"')
    after.click()
    expect(region).to_contain_text(f"131,072 to {min(size, 196_608):,} of")
    before.click()
    expect(region).to_contain_text("65,536 to 131,072 of")
