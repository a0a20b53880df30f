"""Sources over HTTP: their states, their polls page by page, and what of the time they speak for."""

import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.api.samples import problem
from tests.support.api import Api, running_api
from tests.support.engine import running_engine
from tidemill.catalog.keys import create_key
from tidemill.model.time import NS_PER_S, format_instant, parse_instant
from tidemill.sources.ledger import poll_rows
from tidemill.sources.source_spec import source_key
from tidemill.sources.state import Poll, SourceState
from tidemill.sources.state_store import read_states
from tidemill.store.migrate import migrate

START = parse_instant("2026-03-01T12:00:00Z")
SHA256 = bytes(range(32))


def at(minutes: float) -> str:
    return format_instant(START + round(minutes * 60) * NS_PER_S)


def poll(minutes: float, result: str, *, tenant: str, item: str = "", every: float | None = 10, **more: Any) -> Poll:
    """A poll so many minutes after START; the next was due `every` minutes later."""
    started = START + round(minutes * 60) * NS_PER_S
    due = None if every is None else started + round(every * 60) * NS_PER_S
    status = more.pop("status", 0 if result in ("timeout", "refused") else 200)
    return Poll(
        tenant=tenant,
        feed="telemetry",
        item=item,
        started_ns=started,
        result=result,
        status=status,
        next_due_ns=due,
        latency_ms=12.5,
        **more,
    )


class Tenant:
    """A tenant of its own on the shared server, and what writes its polls."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name = api, name
        self.keys = {scope: create_key(api.services.catalog, name, [scope])[1] for scope in ("read", "write", "admin")}
        api.services.texts.install(name, {"telemetry": api.services.texts.current("default", "telemetry").text})

    def write(self, *polls: Poll) -> None:
        self.api.services.store.insert("polls", poll_rows(polls))

    def get(self, path: str, *, scope: str = "read", **query: Any) -> Any:
        return self.api.client.get(path, params=query or None, headers={"X-API-Key": self.keys[scope]})


@pytest.fixture
def tenant(server: Api, request: pytest.FixtureRequest) -> Tenant:
    made = Tenant(server, request.node.name.removeprefix("test_").replace("_", "-")[:60])
    server.services.keys.refresh()  # else they are known within a moment, and asking for it counts as wrong keys
    assert made.get("/v1/sources").status_code == 200
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """With a store and without a mill: polls are written by the tests."""
    folder = tmp_path_factory.mktemp("sources")
    with running_engine(folder / "store") as address:
        migrate(address)
        with running_api(folder, store=address, open_access=False) as running:
            yield running


def polls(tenant: Tenant, **query: Any) -> Any:
    answer = tenant.get("/v1/sources/telemetry/polls", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def summary(tenant: Tenant, **query: Any) -> Any:
    answer = tenant.get("/v1/sources/telemetry/polls/summary", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_poll_says_all_that_is_known_of_it(tenant: Tenant) -> None:
    tenant.write(
        poll(0, "data", tenant=tenant.name, size_bytes=81, records=3, sha256=SHA256, receipt="r1"),
        poll(10, "timeout", tenant=tenant.name, detail="no byte came for 10 s", every=None),
    )
    failed, good = polls(tenant)["items"]
    assert good == {
        "started_at": at(0),
        "feed": "telemetry",
        "item": "",
        "result": "data",
        "status": 200,
        "latency_ms": 12.5,
        "bytes": 81,
        "records": 3,
        "sha256": SHA256.hex(),
        "receipt": "r1",
        "detail": None,
        "next_due": at(10),
        "links": {"receipt": "/v1/receipts/r1"},
    }
    assert failed["detail"] == "no byte came for 10 s"
    assert [failed[name] for name in ("status", "sha256", "receipt", "next_due", "links")] == [
        None,
        None,
        None,
        None,
        {},
    ]


def test_pages_stay_what_they_were_while_polls_are_made(tenant: Tenant) -> None:
    tenant.write(*(poll(n, "empty", tenant=tenant.name, item=item) for n in range(3) for item in ("muid=a", "muid=b")))
    whole = [(row["started_at"], row["item"]) for row in polls(tenant)["items"]]
    assert whole == [(at(n), item) for n in (2, 1, 0) for item in ("muid=b", "muid=a")]
    rows, query = [], {"limit": 1}
    for n in range(6):
        page = polls(tenant, **query)
        rows += [(row["started_at"], row["item"]) for row in page["items"]]
        tenant.write(poll(5 + n, "data", tenant=tenant.name, item="muid=a"))
        query = {"limit": 1, "cursor": page["next"]}
    assert (rows, page["next"]) == (whole, None)
    linked = tenant.get("/v1/sources/telemetry/polls", limit=2, item="muid=b")
    following = tenant.get(linked.headers["link"].partition(">")[0].removeprefix("<"))
    assert [row["started_at"] for row in following.json()["items"]] == [at(0)]


def test_polls_are_filtered(tenant: Tenant) -> None:
    for n, result in enumerate(("data", "empty", "timeout", "data")):
        tenant.write(poll(n, result, tenant=tenant.name, item=f"muid={n % 2}"))
    assert [row["started_at"] for row in polls(tenant, result="data")["items"]] == [at(3), at(0)]
    assert [row["started_at"] for row in polls(tenant, item="muid=0")["items"]] == [at(2), at(0)]
    assert [row["started_at"] for row in polls(tenant, start=at(1), end=at(3))["items"]] == [at(2), at(1)]
    assert polls(tenant, result="none-such") == {"items": [], "next": None}


def test_polls_come_as_lines_and_as_a_table_without_formulas(tenant: Tenant) -> None:
    tenant.write(
        poll(0, "data", tenant=tenant.name, item="=cmd|' /C calc'!A0", receipt="r1", sha256=SHA256),
        poll(1, "plugin", tenant=tenant.name, detail='=HYPERLINK("x")'),
    )
    lines = tenant.get("/v1/sources/telemetry/polls", format="ndjson")
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    rows = [msgspec.json.decode(line) for line in lines.text.splitlines()]
    assert [(row["started_at"], row["detail"], row["receipt"]) for row in rows] == [
        (at(1), '=HYPERLINK("x")', None),
        (at(0), None, "r1"),
    ]
    table = tenant.get("/v1/sources/telemetry/polls", format="csv")
    cells = [cell for row in csv.reader(io.StringIO(table.text)) for cell in row]
    assert not [cell for cell in cells if cell.startswith("=")]
    first = tenant.get("/v1/sources/telemetry/polls", format="csv", limit=1)
    assert len(first.text.splitlines()) == 2
    assert "next" in first.headers["link"]


def test_nothing_there_is_told_from_not_reached_and_from_not_asked(tenant: Tenant) -> None:
    results = ("data", "empty", "empty", "timeout", "garbage", "refused", "unchanged", "data")
    tenant.write(*(poll(10 * n, result, tenant=tenant.name, detail=f"no. {n}") for n, result in enumerate(results)))
    tenant.write(poll(200, "data", tenant=tenant.name))  # nobody asked from minute 80, when the next was due
    page = summary(tenant, start=at(0), end=at(210))
    minutes = {name: seconds / 60 for name, seconds in page["seconds"].items()}
    assert minutes == {"data": 40, "empty": 20, "unusable": 10, "unreached": 20, "unpolled": 120}
    assert page["polls"] == 9
    assert page["by_result"] == {"data": 3, "empty": 2, "timeout": 1, "garbage": 1, "refused": 1, "unchanged": 1}
    assert sum(page["share"].values()) == pytest.approx(1, abs=1e-5)
    assert page["longest_outage"] == {
        "item": "",
        "start": at(30),
        "end": at(60),
        "seconds": 1800,
        "polls": 3,
        "result": "refused",
        "detail": "no. 5",
    }


def test_the_poll_before_the_stretch_speaks_for_its_beginning(tenant: Tenant) -> None:
    tenant.write(poll(0, "empty", tenant=tenant.name, every=60), poll(60, "timeout", tenant=tenant.name, every=60))
    page = summary(tenant, start=at(30), end=at(90))
    assert (page["start"], page["end"], page["polls"], page["by_result"]) == (at(30), at(90), 1, {"timeout": 1})
    assert (page["seconds"]["empty"], page["seconds"]["unreached"]) == (1800, 1800)
    assert (page["longest_outage"]["end"], page["longest_outage"]["seconds"]) == (None, 1800)


def test_items_have_outages_of_their_own(tenant: Tenant) -> None:
    for n in range(4):
        tenant.write(poll(10 * n, "data", tenant=tenant.name, item="muid=a"))
        tenant.write(poll(10 * n + 5, "refused" if n in (1, 2) else "empty", tenant=tenant.name, item="muid=b"))
    both, single = summary(tenant, end=at(40)), summary(tenant, end=at(40), item="muid=a")
    assert both["start"] == at(0)
    assert (both["seconds"]["data"], both["seconds"]["unreached"], both["seconds"]["empty"]) == (2400, 1200, 900)
    assert (both["longest_outage"]["item"], both["longest_outage"]["seconds"]) == ("muid=b", 1200)
    assert (single["seconds"]["data"], single["longest_outage"]) == (2400, None)


def test_without_polls_there_is_nothing_to_share(tenant: Tenant) -> None:
    page = summary(tenant)
    assert (page["polls"], page["by_result"], page["share"], page["longest_outage"]) == (0, {}, None, None)
    assert page["start"] is None
    ahead = summary(tenant, start="2200-01-01", end="2200-01-02")
    assert ahead["polls"] == 0


def test_states_are_shown_feed_by_feed(tenant: Tenant) -> None:
    now = time.time_ns()
    kept = [
        SourceState(tenant=tenant.name, feed="telemetry", item="", state="failing", since_ns=now, reason="timeout"),
        SourceState(tenant=tenant.name, feed="meters", item="muid=a b", state="unchanged", since_ns=now),
    ]
    catalog = tenant.api.services.catalog
    for state in kept:
        catalog.put(f"{source_key(state.tenant, state.feed, state.item)}/state", msgspec.json.encode(state))
    assert len(read_states(catalog, tenant.name)) == 2
    assert {item["feed"] for item in tenant.get("/v1/sources").json()["items"]} == {"telemetry", "meters"}
    [item] = tenant.get("/v1/sources/telemetry").json()["items"]
    assert (item["state"], item["reason"], item["since_at"]) == ("failing", "timeout", format_instant(now))
    assert item["next_due_at"] is None
    assert tenant.get(item["links"]["polls"]).json() == {"items": [], "next": None}


def test_another_tenants_feeds_and_polls_are_not_there(tenant: Tenant) -> None:
    tenant.write(poll(0, "data", tenant="somebody-else"))
    assert polls(tenant)["items"] == []
    for path in ("", "/polls", "/polls/summary"):
        problem(tenant.get(f"/v1/sources/none-such{path}"), 404, "not_found")
        problem(tenant.get(f"/v1/sources/telemetry{path}", scope="write"), 403, "forbidden")


def test_faults_of_a_query_are_all_named(tenant: Tenant) -> None:
    answer = tenant.get("/v1/sources/telemetry/polls", limit="0", cursor="x", format="parquet", feed="y")
    faults = {fault["path"]: fault["code"] for fault in problem(answer, 400, "invalid")["errors"]}
    assert faults == {
        "$query.limit": "invalid",
        "$query.cursor": "invalid",
        "$query.format": "invalid",
        "$query.feed": "unknown_parameter",
    }
    problem(tenant.get("/v1/sources/telemetry/polls", limit="2000"), 400, "invalid")
