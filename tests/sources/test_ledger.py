"""The poll ledger in the real store: what is written is read, by feed and time, from few rows."""

import msgspec
import pytest

from tests.support.engine import running_engine
from tidemill.sources.ledger import poll_rows
from tidemill.sources.state import Poll
from tidemill.store.client import Store
from tidemill.store.migrate import migrate
from tidemill.store.queries import query

SECOND = 10**9
START = 1_700_000_000 * SECOND
POLLS = 20_000  # of each feed, one a second
QUERIES = {
    "newest": query(
        "newest",
        "SELECT * EXCEPT sha256, hex(sha256) AS sha256 FROM polls FINAL"
        " WHERE tenant = {tenant:String} AND feed = {feed:String} ORDER BY started_at DESC, item DESC LIMIT 3",
    ),
    "between": query(
        "between",
        "EXPLAIN indexes = 1 SELECT * FROM polls WHERE tenant = {tenant:String} AND feed = {feed:String}"
        " AND started_at >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')"
        " AND started_at < fromUnixTimestamp64Nano({end:Int64}, 'UTC')",
    ),
}


def poll(feed, number, **more):
    return Poll(tenant="t", feed=feed, item="a", started_ns=START + number * SECOND, result="empty", **more)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with running_engine(tmp_path_factory.mktemp("ledger") / "engine") as address:
        migrate(address)
        store = Store(address, queries=QUERIES)
        yield store
        store.close()


def test_polls_are_read_as_they_were_written_and_written_once(store):
    newest = poll("b", POLLS, status=200, latency_ms=1.5, size_bytes=7, records=2, sha256=b"\1" * 32, receipt="r")
    newest = msgspec.structs.replace(newest, result="data", detail="d", next_due_ns=newest.started_ns + SECOND)
    polls = [poll(feed, number) for feed in "abc" for number in range(POLLS)]
    store.insert("polls", poll_rows(polls))
    for _ in range(2):
        store.insert("polls", poll_rows([newest, poll("b", POLLS + 1, next_due_ns=None)]))
    last, data, before = store.rows("newest", tenant="t", feed="b")
    assert (last["next_due"], last["records"], last["sha256"]) == (None, 0, "00" * 32)
    assert (before["result"], before["status"]) == ("empty", 0)
    shown = {name: data[name] for name in ("item", "result", "status", "latency_ms", "bytes", "records", "receipt")}
    assert shown == {
        "item": "a", "result": "data", "status": 200, "latency_ms": 1.5, "bytes": 7, "records": 2, "receipt": "r"
    }  # fmt: skip
    assert data["sha256"] == "01" * 32 and data["detail"] == "d"
    assert data["next_due"] == data["started_at"] + SECOND == newest.next_due_ns


def test_polls_of_a_stretch_of_time_are_found_by_the_key(store):
    start = START + 5_000 * SECOND
    plan = "\n".join(str(row) for row in store.rows("between", tenant="t", feed="b", start=start, end=start + SECOND))
    assert "started_at" in plan and "Granules: 1/" in plan, plan
