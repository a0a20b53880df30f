"""Parts that stand still under an open page: a bar says which, what goes on, and goes when it is over."""

import re
import signal
from pathlib import Path

from playwright.sync_api import expect

from tests.page.seeds import seed
from tests.page.visits import Visits
from tests.support.server import Server, running_server

AWAY = (r"^answered 5\d\d", r"^failed request", r"status of 5\d\d", "net::ERR", "Failed to fetch")


def test_a_store_that_hangs_is_said_on_every_page(fresh: Server, visit: Visits) -> None:
    seed(fresh)
    page = visit(fresh.url, allowed=AWAY).open("/")
    expect(page.locator(".live")).to_contain_text("Live")
    store = fresh.part("store")
    store.send_signal(signal.SIGSTOP)
    try:
        bar = page.get_by_text("The store does not answer. Payloads are accepted; charts wait.")
        expect(bar).to_be_visible(timeout=60_000)
        page.keyboard.press("g")
        page.keyboard.press("f")
        expect(bar).to_be_visible()
    finally:
        store.send_signal(signal.SIGCONT)
    expect(bar).to_be_hidden(timeout=60_000)


def test_a_server_that_is_away_is_said_and_taken_up_again(visit: Visits, tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        seed(server)
        browsing = visit(server.url, allowed=AWAY)
        page = browsing.open("/")
        expect(page.locator(".live")).to_contain_text("Live")
        server.stop()
        expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=60_000)
        expect(page.locator(".live")).to_contain_text("Reconnecting")
        with running_server(tmp_path / "data", listen_port=server.port):
            expect(page.get_by_text("The server does not answer.")).to_be_hidden(timeout=60_000)
            expect(page.locator(".live")).to_contain_text("Live", timeout=60_000)
            expect(page.get_by_role("region", name=re.compile("^The balance"))).to_contain_text("records received")
            browsing.check()
            browsing.context.close()
