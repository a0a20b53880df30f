"""`tidemill feed remove` and `tidemill receipts`, at a real API with store and mill."""

from collections.abc import Iterator

import pytest

from tests.cli.running import Run, runner
from tests.support.api import Api, running_api, running_mill
from tests.support.engine import running_engine
from tidemill.store.migrate import migrate

FEED = 'name = "pumps"\n[input]\non_fault = "reject"\n[time]\npath = "$.t"\n[fields.v]\npath = "$.v"\n'
NOON = "2026-03-02T12:00:00Z"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("remove")
    with running_engine(folder / "store") as address:
        migrate(address)
        with running_api(folder, store=address) as running, running_mill(folder, address, running.hints):
            yield running


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, "feed")


@pytest.fixture
def receipts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys, "receipts")


def test_a_feed_is_removed_once_both_choices_are_known(server: Api, feed: Run, receipts: Run) -> None:
    assert server.client.put("/v1/feeds/pumps", content=FEED).status_code == 201
    body = [{"t": NOON, "v": 1}, {"t": NOON}]
    sent = server.client.post("/v1/feeds/pumps", json=body, headers={"Prefer": "wait=10"})
    assert sent.status_code == 200, sent.text
    listed = receipts("--feed", "pumps", "--url", server.url).out.splitlines()
    assert [line.split()[1:6] for line in listed[1:]] == [[sent.json()["id"], "pumps", "applied", "1", "1"]]
    assert receipts("--state", "poison", "--url", server.url).out.count("\n") == 1
    unsaid = feed("remove", "pumps", "--url", server.url)
    assert unsaid.status == 2 and "--keep-data" in unsaid.err and "--delete-data" in unsaid.err
    assert "1 points in 1 series, 1 receipts and 1 rejections" in unsaid.out
    assert "pumps" in feed("list", "--url", server.url).out
    removed = feed("remove", "pumps", "--keep-data", "--yes", "--url", server.url)
    assert "is removed (it was at version 1)" in removed.out
    assert "pumps" not in feed("list", "--url", server.url).out
    deleted = feed("remove", "pumps", "--delete-data", "--yes", "--url", server.url)
    assert "Deletion receipt: " in deleted.out
    assert feed("remove", "never", "--keep-data", "--url", server.url).status == 1
