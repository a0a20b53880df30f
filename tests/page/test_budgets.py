"""Budgets of the page: ticks of its main thread, bytes of its heap, requests, streams, what moves while it loads."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.page.processor import FRAMES, Processor, spent
from tests.page.seeds import seed
from tests.page.visits import Visits
from tests.support.server import Server, running_server

MB = 1_000_000
BEFORE_PAINT = 4  # the document, and the scripts and styles that it names
SHIFT = 0.02
GAUGES = 8
SECONDS = 12_500  # 8 gauges each second of 3 h 28 min: 100,000 points
START = datetime(2026, 3, 10, tzinfo=UTC)
EVENTS = 9_000  # 50 a second for three minutes
# Receipts as another tab hands them on, 100 at a time, each 20 ms after the one before by its own time.
SEND = """async ([first, count]) => {
  const channel = new BroadcastChannel("tidemill-stream");
  const start = Date.now() + 3_600_000;
  for (let n = first; n < first + count; n += 1) {
    const at = new Date(start + 20 * n).toISOString();
    const rejected = n % 50 === 0 ? 1 : 0;
    const data = JSON.stringify({ feed: `feed${n % 7}`, feeds: 1, payloads: 1, receipt: `r${n}`, received_at: at,
      bytes: 90, accepted: 12, rejected, late: 0, flagged: 0, reasons: rejected ? { outside_range: 1 } : {},
      states: { applied: 1 } });
    channel.postMessage({ event: { id: String(n), name: "receipt", data } });
    if (n % 100 === 99) await new Promise((done) => setTimeout(done, 100));
  }
  channel.close();
}"""


@pytest.fixture(scope="module")
def gauged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[str]]]:
    """A server with a little of everything and 100,000 points of eight gauges; the ids of their series."""
    with running_server(tmp_path_factory.mktemp("gauged") / "data") as server:
        seed(server)
        fields = "".join(f'[fields.g{n}]\npath = "$.g{n}"\nunit = "m"\n' for n in range(GAUGES))
        feed = f'name = "gauges"\n[time]\npath = "$.t"\n{fields}'
        assert server.client.put("/v1/feeds/gauges", content=feed).status_code == 201
        for first in range(0, SECONDS, 2500):
            rows = [gauges(second) for second in range(first, first + 2500)]
            headers = {"Content-Type": "application/x-ndjson", "Prefer": "wait=60"}
            answer = server.client.post("/v1/feeds/gauges", content="\n".join(rows), headers=headers, timeout=90)
            assert answer.status_code == 200, answer.text
        items = server.client.get("/v1/series", params={"feed": "gauges"}).json()["items"]
        yield server, [item["id"] for item in items]


def gauges(second: int) -> str:
    levels = {f"g{n}": 5 + n + (second * (n + 3) % 97) / 60 for n in range(GAUGES)}
    return json.dumps({"t": (START + timedelta(seconds=second)).isoformat()} | levels)


def settled_home(page: Page) -> None:
    """Until Home shows its balance, its chart and its tail."""
    expect(page.get_by_role("region", name="The balance of")).to_contain_text("records received")
    expect(page.get_by_role("application", name="Records every")).to_be_visible()
    expect(page.locator(".tail li")).not_to_have_count(0)
    expect(page.locator(".live")).to_contain_text("Live")


def drawn(page: Page) -> None:
    """Until the chart of Explore shows all that was asked."""
    expect(page.locator("#status")).to_contain_text("points")
    expect(page.get_by_role("region", name="Chart")).to_have_attribute("aria-busy", "false")


def test_opening_home_takes_little_work_and_few_requests(visit: Visits, gauged: tuple[Server, list[str]]) -> None:
    """A second of work is the most until all is there, four requests are what the first paint needs."""
    server, _ = gauged
    browsing = visit(server.url)
    page = browsing.open("/")
    settled_home(page)
    page.goto(f"{server.url}/docs")
    processor = Processor(browsing, page)
    browsing.requests.clear()
    with spent(processor) as work:
        page.goto(server.url)
        settled_home(page)
        assert work() < 1000
    document = browsing.context.request.get(server.url, headers={"Accept": "text/html"}).text()
    before_paint = re.findall(r'(?:src|href)="(/assets/[^"]+\.(?:js|css))"', document)
    assert 0 < len(before_paint) < BEFORE_PAINT, before_paint
    assert len(browsing.requests) < 40, browsing.requests


def test_the_first_draw_of_a_hundred_thousand_points(visit: Visits, gauged: tuple[Server, list[str]]) -> None:
    server, ids = gauged
    browsing = visit(server.url)
    page = browsing.open(f"/explore?s={ids[0]}&tz=UTC")
    drawn(page)
    processor = Processor(browsing, page)
    shown = "&".join(f"s={one}" for one in ids)
    with spent(processor) as work:
        page.goto(f"{server.url}/explore?{shown}&tz=UTC&every=1s")
        drawn(page)
        assert work() < 1500


def test_pages_that_nobody_touches_rest(visit: Visits, gauged: tuple[Server, list[str]]) -> None:
    """Five seconds of each page, when nothing comes: at most 2 % of a core, and the few questions of its clocks."""
    server, ids = gauged
    browsing = visit(server.url)
    paths = ("/", f"/explore?s={ids[0]}", "/ledger", "/feeds", "/admin?tab=parts")
    pages = [browsing.another(path) for path in paths]
    settled_home(pages[0])
    drawn(pages[1])
    for page in pages:
        expect(page.locator("main h1")).to_be_attached()
        expect(page.locator("main [aria-busy=true]")).to_have_count(0)
    processors = [Processor(browsing, page) for page in pages]
    pages[0].wait_for_timeout(1000)
    before = [processor.busy_ms() for processor in processors]
    browsing.requests.clear()
    pages[0].wait_for_timeout(5000)
    spent_ms = [processor.busy_ms() - at for processor, at in zip(processors, before, strict=True)]
    for path, busy in zip(paths, spent_ms, strict=True):
        assert busy < 100, f"{path} was busy for {busy:.0f} ms of 5 s"
    assert len(browsing.requests) < 25, browsing.requests


def test_one_stream_for_all_pages_of_a_browser(visit: Visits, gauged: tuple[Server, list[str]]) -> None:
    server, ids = gauged
    browsing = visit(server.url)
    for path in ("/", f"/explore?s={ids[0]}", "/ledger", "/feeds"):
        expect(browsing.another(path).locator(".live")).to_contain_text("Live")
    assert len([url for url in browsing.requests if "/v1/stream" in url]) == 1


def test_three_minutes_of_receipts_leave_the_heap_as_it_was(visit: Visits, gauged: tuple[Server, list[str]]) -> None:
    """As many receipts as three minutes at 50 a second bring: 2 MB more at most, and four repaints a second."""
    server, _ = gauged
    browsing = visit(server.url)
    leading = browsing.open("/docs")  # takes no part: it hands on what a leading tab would
    first = browsing.another("/")
    settled_home(first)
    page = browsing.another("/")
    settled_home(page)
    processor = Processor(browsing, page)
    leading.evaluate(SEND, [0, 1000])
    expect(page.locator(".tail li").first).to_contain_text("feed")
    page.wait_for_timeout(500)
    before = processor.heap_bytes()
    page.evaluate(FRAMES)
    began = page.evaluate("performance.now()")
    leading.evaluate(SEND, [1000, EVENTS])
    seconds = (page.evaluate("performance.now()") - began) / 1000
    frames = page.evaluate("window.frames_changed")
    page.wait_for_timeout(500)
    grown = processor.heap_bytes() - before
    assert grown < 2 * MB
    assert 0 < frames <= 4 * seconds + 2


def test_nothing_moves_while_a_page_loads(visit: Visits, gauged: tuple[Server, list[str]]) -> None:
    server, ids = gauged
    receipt = server.client.get("/v1/receipts", params={"limit": 1}).json()["items"][0]["id"]
    browsing = visit(server.url)
    page = browsing.open("/docs")
    moved: dict[str, float] = {}
    where: list[str] = []
    for path in (
        "/",
        f"/explore?s={ids[0]}",
        "/ledger",
        "/why",
        "/feeds",
        "/feeds/gauges",
        f"/receipts/{receipt}",
        "/sources",
        "/admin",
        "/admin?tab=parts",
        f"/analyse/{ids[0]}",
    ):
        page.goto(server.url + path)
        expect(page.locator("main h1")).to_be_attached()
        for region in page.locator("main section").all():
            expect(region).not_to_have_attribute("aria-busy", "true")
        page.wait_for_timeout(1000)
        moved[path] = page.evaluate("window.shift")
        where += [f"{path}: {text}" for text in page.evaluate("window.shifted")] if moved[path] >= SHIFT else []
    assert max(moved.values()) < SHIFT, "\n".join(where)
