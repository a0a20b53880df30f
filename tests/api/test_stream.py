"""One stream for a whole page: nothing is left out without its number, whoever reads slowly or comes back."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.samples import problem, row
from tests.support.api import Api, running_api, running_mill
from tests.support.engine import running_engine
from tidemill.catalog.keys import create_key, revoke_key
from tidemill.store.migrate import migrate

STREAM = "/v1/stream"
WAIT = {"Prefer": "wait=10"}
PUMPS = """name = "pumps"
[time]
path = "$.time"
[tags.pump]
path = "$.pump"
[fields.bar]
path = "$.bar"
[[rules]]
check = "range"
action = "reject"
options = { field = "bar", max = 16 }
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Two tenants with a feed each; every request needs a key."""
    folder = tmp_path_factory.mktemp("stream")
    with running_engine(folder / "store") as address:
        migrate(address)
        with running_api(folder, store=address, open_access=False) as running:
            for tenant in ("a", "b"):
                _, secret = create_key(running.services.catalog, tenant, ["admin"])
                running.client.headers["X-API-Key"] = secret
                until(lambda: running.client.put("/v1/feeds/pumps", content=PUMPS).is_success)
            with running_mill(folder, address, running.hints):
                yield running


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := true()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def key(api: Api, tenant: str, *scopes: str) -> tuple[str, dict[str, str]]:
    """The id of a new key, and the header that it is sent in."""
    info, secret = create_key(api.services.catalog, tenant, scopes)
    header = {"X-API-Key": secret}
    until(lambda: api.client.get("/v1/feeds", headers=header).status_code in (200, 403))
    return info.key_id, header


class Events:
    """The events of a stream; `last`: the id of the last batch."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        self.lines, self.last = answer.iter_lines(), ""
        assert next(self.lines) == "retry: 2000"

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        name, deadline = "", time.monotonic() + 60
        for line in self.lines:
            assert time.monotonic() < deadline, "it did not happen in time"
            word, _, text = line.partition(": ")
            if word == "id":
                self.last = text
            elif word == "event":
                name = text
            elif word == "data":
                yield name, json.loads(text)

    def receipts(self, payloads: int) -> list[dict[str, Any]]:
        """Events until they are of so many payloads, and the batch is whole."""
        events: list[dict[str, Any]] = []
        for name, event in self:
            assert name == "receipt"
            events.append(event)
            if sum(item["payloads"] for item in events) >= payloads:
                return events
        raise AssertionError("the stream ended")


@contextlib.contextmanager
def follow(api: Api, header: dict[str, str], last: str = "", **params: str) -> Iterator[Events]:
    headers = {**header, "Last-Event-ID": last} if last else header
    with api.client.stream("GET", STREAM, headers=headers, params=params, timeout=20) as answer:
        events = Events(answer)
        if not last:
            while not events.last:
                word, _, events.last = next(events.lines).partition(": ")
                assert word == "id"
        yield events


def send(api: Api, header: dict[str, str], *bars: float, wait: bool = True) -> dict[str, Any]:
    """A payload with a record for each of these values."""
    now = time.time_ns()
    records = [
        {"time": f"2026-01-01T00:00:00.{(now + n) % 10**9:09d}Z", "pump": "p1", "bar": bar}
        for n, bar in enumerate(bars)
    ]
    answer = api.client.post("/v1/feeds/pumps", json=records, headers={**header, **(WAIT if wait else {})})
    assert answer.status_code in (200, 202), answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def test_a_few_payloads_come_one_by_one_with_their_outcome(api: Api) -> None:
    _, mine = key(api, "a", "read", "write")
    _, others = key(api, "b", "write")
    with follow(api, mine, topics="receipts") as events:
        send(api, others, 1, 99)
        receipt = send(api, mine, 1, 2, 99)
        (event,) = events.receipts(1)
    assert (event["feed"], event["receipt"], event["payloads"]) == ("pumps", receipt["id"], 1)
    assert (event["accepted"], event["rejected"], event["states"]) == (2, 1, {"applied": 1})
    assert event["reasons"] == receipt["reasons"]
    assert event["bytes"] == receipt["bytes"]


def test_many_come_as_sums_and_none_is_left_out_by_a_slow_reader_or_a_lost_connection(api: Api) -> None:
    _, mine = key(api, "a", "read", "write")
    with follow(api, mine, topics="receipts") as events:
        for _ in range(60):
            send(api, mine, 1, 99, wait=False)
        send(api, mine, 3)  # applied with all before it, and nothing was read yet
        received = events.receipts(61)
    assert sum(event["payloads"] for event in received) == 61
    assert sum(event["accepted"] for event in received) == 61
    assert sum(event["rejected"] for event in received) == 60
    assert len(received) < 50
    for _ in range(20):
        send(api, mine, 4, wait=False)
    send(api, mine, 5)
    with follow(api, mine, events.last, topics="receipts") as again:
        (missed,) = again.receipts(21)
        assert (missed["payloads"], missed["accepted"], missed["feeds"]) == (21, 21, 1)
        send(api, mine, 6)
        assert [event["payloads"] for event in again.receipts(1)] == [1]


def test_changes_say_how_many_are_not_shown(api: Api) -> None:
    _, mine = key(api, "a", "admin")
    api.client.put("/v1/feeds/dropzone", content=shipped("dropzone"), headers=mine)
    for value in (1.0, 2.0):
        body = [row(time_stamp=f"2020-01-01T00:00:{second:02d}Z", data=[value]) for second in range(9)]
        text = "\n".join(json.dumps(item) for item in body)
        with follow(api, mine, topics="changes") as events:
            answer = api.client.post("/v1/feeds/dropzone", content=text, headers={**mine, **WAIT})
            assert answer.json()["accepted"] == 9
            if value == 2.0:
                name, event = next(iter(events))
    assert (name, event["count"], event["left_out"]) == ("change", 9, 6)
    assert [item["new"] for item in event["items"]] == [2.0] * 3
    after = api.client.get("/v1/changes", params={"since": event["items"][-1]["id"]}, headers=mine).json()
    assert after["items"] == []


def shipped(name: str) -> str:
    from tidemill.feeds.recipes import RECIPES

    return RECIPES[name]


def test_a_stream_may_be_narrowed_to_a_feed_and_refuses_by_name(api: Api) -> None:
    _, mine = key(api, "a", "read")
    for params, path in (({"topics": "receipts,news"}, "$query.topics[1]"), ({"topic": "polls"}, "$query.topic")):
        document = problem(api.client.get(STREAM, params=params, headers=mine), 400, "invalid")
        assert [fault["path"] for fault in document["errors"]] == [path]
    problem(api.client.get(STREAM, params={"feed": "nowhere"}, headers=mine), 404, "not_found")
    with follow(api, mine) as events:
        ours = events.last
    _, others = key(api, "b", "read")
    for header, last in ((mine, "0815"), (others, ours), (mine, "A" * 100)):
        document = problem(api.client.get(STREAM, headers={**header, "Last-Event-ID": last}), 400, "invalid")
        assert [fault["path"] for fault in document["errors"]] == ["$header.Last-Event-ID"]
    _, writer = key(api, "a", "write")
    problem(api.client.get(STREAM, headers=writer), 403, "forbidden")


def test_a_stream_ends_when_its_key_is_revoked(api: Api) -> None:
    identity, mine = key(api, "a", "read")
    with follow(api, mine, topics="health") as events:
        assert next(iter(events))[0] == "health"
        revoke_key(api.services.catalog, identity)
        assert all(name == "health" for name, _ in events)  # to its end


def test_health_is_streamed_while_the_store_is_down_and_numbers_are_for_administrators(tmp_path: Path) -> None:
    with running_api(tmp_path, open_access=False) as alone:
        shown = {}
        for scope in ("admin", "read"):
            _, header = key(alone, "default", scope)
            with follow(alone, header) as events:
                shown[scope] = next(event for name, event in events if name == "health" and event["store"] == "down")
        assert (shown["admin"]["ready"], shown["admin"]["lag"], shown["read"]["lag"]) == (True, 0, None)


def test_a_stream_ends_with_the_server(tmp_path: Path) -> None:
    with running_api(tmp_path) as alone, alone.client.stream("GET", STREAM, timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        alone.call(alone.services.applied.stop)
        assert "event: poll" not in list(lines)  # it ends
