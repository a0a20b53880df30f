"""A real browser before a real server: `visit` opens pages, and each test ends with the proof that nothing went wrong
in any of them (`tests/page/visits.py`)."""

import shutil
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.page.seeds import seed
from tests.page.visits import ROOT, Visits, page_is_built
from tests.support.server import Server, running_server
from tidemill.catalog.keys import create_key
from tidemill.catalog.sqlite import SqliteCatalog

expect.set_options(timeout=30_000)  # what is waited for comes at once, but on a machine with much to do
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the browser, and skip it where there is none."""
    without = "" if CHROMIUM else "no chromium here: the web page is not tried in a browser"
    without = without or ("" if page_is_built() else "the web page is not built: make ui")
    for item in items:
        if item.path.is_relative_to(ROOT / "tests/page"):
            item.add_marker(pytest.mark.page)
            item.add_marker(pytest.mark.timeout(180))
            if without:
                item.add_marker(pytest.mark.skip(reason=without))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"]
        )
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visits]:
    """Opens pages; what went wrong in one of them fails the test at its end."""
    visits = Visits(browser)
    yield visits
    visits.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has received some of everything; nothing more comes unless a test sends it."""
    with running_server(tmp_path_factory.mktemp("page") / "data") as server:
        seed(server)
        yield server


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has received nothing."""
    with running_server(tmp_path_factory.mktemp("fresh") / "data") as server:
        wait_for_store(server)
        yield server


def wait_for_store(server: Server) -> None:
    """Until the store has its tables: a server answers before."""
    deadline = time.monotonic() + 60
    while server.client.get("/v1/flow").status_code != 200:
        assert time.monotonic() < deadline, "the store has no tables"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that needs a key, and the secrets of a reader's, a writer's and an administrator's."""
    data = tmp_path_factory.mktemp("keyed") / "data"
    with running_server(data) as server:
        seed(server)
        catalog = SqliteCatalog(data / "catalog.sqlite")
        secrets = {
            "reader": create_key(catalog, "default", ["read"], "a reader")[1],
            "writer": create_key(catalog, "default", ["write"], "a writer")[1],
            "admin": create_key(catalog, "default", ["admin"], "an administrator")[1],
        }
        deadline = time.monotonic() + 60
        while server.client.get("/v1/feeds").status_code != 401:  # until the server has seen its first key, it is open
            assert time.monotonic() < deadline, "the server needs no key"
            time.sleep(0.02)
        yield server, secrets
