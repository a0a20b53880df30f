"""Store, mill and api killed under every open page: it says so, keeps what it showed, recovers by itself."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.page.outages import away
from tests.page.seeds import record, seed, send
from tests.page.spills import HIGH_AT, RANGE, fill_the_ledger
from tests.page.visits import Visit, Visits
from tests.support.server import Server, running_server

LONG = 60_000
# What failed because a part was away is what these tests are about; nothing else may.
AWAY = (r"^answered 50[234]", r"^failed request", r"status of 50[234]", "net::ERR_")
SHOWN = {
    "home": "records received",
    "explore": "windows of|points",
    "analyse": "looks like|values",
    "ledger": "outside_range",
    "why": "was rejected",
    "receipt": "matches the receipt",
    "feeds": "pumps",
    "feed": "in force since",
    "sources": "source",
    "admin": "acknowledging",
}
"""A text of each page that only an answer of the API brings."""
FROM_STORE = ("home", "explore", "analyse", "ledger", "why")


@pytest.fixture(scope="module")
def opened(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Visit, dict[str, Page]]]:
    """A server of its own, and each page of one browser in a tab."""
    with running_server(tmp_path_factory.mktemp("outages") / "data") as server:
        seed(server)
        series = fill_the_ledger(server)
        receipt = server.client.get("/v1/receipts", params={"feed": "pumps", "limit": 1}).json()["items"][0]["id"]
        paths = {
            "home": "/",
            "explore": f"/explore?s={series}&tz=UTC",
            "analyse": f"/analyse/{series}",
            "ledger": f"/ledger?feed=pumps&reason=outside_range&{RANGE}",
            "why": f"/why?series={series}&time={HIGH_AT}&tz=UTC",
            "receipt": f"/receipts/{receipt}",
            "feeds": "/feeds",
            "feed": "/feeds/pumps",
            "sources": "/sources",
            "admin": "/admin?tab=parts",
        }
        visits = Visits(browser)
        visit = visits(server.url)
        tabs = {name: visit.another(path) for name, path in paths.items()}
        yield server, visit, tabs
        visits.close()


def trouble(page: Page) -> Locator:
    """The bar below the head."""
    return page.locator(".trouble")


def shows(name: str, page: Page, timeout: float = 30_000) -> None:
    expect(page.locator("main"), name).to_contain_text(re.compile(SHOWN[name]), timeout=timeout)


def recovers(tabs: dict[str, Page]) -> None:
    """Until nothing is said to stand still, and what every page shows is there, without a hand on it."""
    for name, page in tabs.items():
        expect(trouble(page), name).to_have_text("", timeout=LONG)
        expect(page.locator("main [role=alert]"), name).to_have_count(0, timeout=LONG)
        shows(name, page, LONG)
        expect(page.locator(".live"), name).to_contain_text("Live", timeout=LONG)


def test_a_store_that_is_killed(opened: tuple[Server, Visit, dict[str, Page]]) -> None:
    """Also a page that is opened while the store is away has its answer once the store is back."""
    server, visit, tabs = opened
    for name, page in tabs.items():
        shows(name, page)
    visit.allow(*AWAY)
    with away(server, "store"):
        for name, page in tabs.items():
            said = trouble(page)
            expect(said, name).to_contain_text("The store does not answer. Payloads are accepted", timeout=LONG)
            shows(name, page)
        late = {name: visit.another(tabs[name].url.removeprefix(server.url)) for name in FROM_STORE}
        for name, page in late.items():
            expect(page.locator("main [role=alert]").first, name).to_be_visible(timeout=LONG)
    recovers(tabs)
    recovers(late)
    for page in late.values():
        page.close()


def test_a_mill_that_is_killed(opened: tuple[Server, Visit, dict[str, Page]]) -> None:
    """What is sent meanwhile waits, is said to wait, and is counted once the mill is back."""
    server, visit, tabs = opened
    visit.allow(*AWAY)
    with away(server, "mill"):
        for name, page in tabs.items():
            expect(trouble(page), name).to_contain_text("The mill does not run. Payloads are accepted", timeout=LONG)
            shows(name, page)
        sent = server.client.post("/v1/feeds/dropzone", json=record(910, 1.0))
        assert sent.status_code == 202
        waiting = tabs["home"].locator(".sum > div").last.locator(".num")
        expect(waiting).to_have_text("1", timeout=LONG)
    recovers(tabs)
    expect(tabs["home"].get_by_role("log")).to_contain_text("dropzone 1 record", timeout=LONG)
    expect(waiting).to_have_text("0", timeout=LONG)


def test_an_api_that_is_killed(opened: tuple[Server, Visit, dict[str, Page]]) -> None:
    server, visit, tabs = opened
    visit.allow(*AWAY)
    silent = "The server does not answer. Shown: what came before."
    with away(server, "api"):
        for name, page in tabs.items():
            expect(page.locator(".live"), name).to_contain_text("Reconnecting", timeout=LONG)
            shows(name, page)
        expect(trouble(tabs["home"])).to_contain_text(silent, timeout=LONG)
    recovers(tabs)
    send(server, record(911, 2.0))
    expect(tabs["home"].get_by_role("log")).to_contain_text("dropzone 1 record", timeout=LONG)
