"""A newcomer's task: a server that has received nothing, a curl line, its receipt, its point on a chart."""

import re
import subprocess
import time

from playwright.sync_api import expect

from tests.page.visits import Visits
from tests.support.server import Server


def test_a_newcomer_sends_a_record_and_watches_it_arrive(fresh: Server, visit: Visits) -> None:
    browsing = visit(fresh.url, permissions=["clipboard-read", "clipboard-write"])
    page = browsing.open("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("First steps")
    expect(page.get_by_text("Waiting for it.")).to_be_visible()
    page.get_by_role("button", name="Copy the curl line").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    line = page.evaluate("navigator.clipboard.readText()")
    sent = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert '"accepted":1' in sent.stdout, sent.stdout
    began = time.monotonic()
    expect(page.get_by_text(re.compile("1 record accepted"))).to_be_visible()
    expect(page.get_by_text(re.compile("^mean 0.9533"))).to_be_visible()
    assert time.monotonic() - began < 20
    page.get_by_role("button", name="See what flows").click()
    balance = page.get_by_role("region", name="The balance of the last 24 hours")
    expect(balance).to_contain_text("1 records received")
    expect(page.get_by_role("row", name=re.compile("dropzone"))).to_contain_text("1")


def test_its_point_opens_in_explore(fresh: Server, visit: Visits) -> None:
    body = '{"time_stamp": "2026-01-01T06:00:00Z", "data": [1, 2]}'
    fresh.client.post("/v1/feeds/dropzone", content=body, headers={"Prefer": "wait=20"})
    page = visit(fresh.url).open("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("What flows")
    series = fresh.client.get("/v1/series", params={"feed": "dropzone"}).json()["items"][0]["id"]
    page.goto(f"{fresh.url}/explore?s={series}")
    expect(page.get_by_role("heading", level=1)).to_be_attached()
