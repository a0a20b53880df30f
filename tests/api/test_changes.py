"""Whoever follows changes misses none and sees none twice, whatever is cut off or killed; streams end when asked."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.samples import problem, row
from tests.support.api import Api, running_api, running_mill
from tests.support.engine import running_engine
from tests.support.server import Server, running_server
from tidemill.api import followers
from tidemill.store.migrate import migrate

STREAM = "/v1/changes/stream"
WAIT = {"Prefer": "wait=10"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("changes")
    with running_engine(folder / "store") as address:
        migrate(address)
        with running_api(folder, store=address) as running, running_mill(folder, address, running.hints):
            yield running


class Events:
    """The events of a stream: `take_events(n)` gives more changes; `last` is the id to resume after."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        self.lines, self.last = answer.iter_lines(), ""
        self.deadline = time.monotonic() + 30

    def __iter__(self) -> Iterator[dict[str, Any]]:
        name = ""
        for line in self.lines:
            assert time.monotonic() < self.deadline, "it did not happen in time"
            key, _, text = line.partition(": ")
            if key == "id":
                self.last = text
            elif key == "event":
                name = text
            elif key == "data":
                assert name == "change"
                event = json.loads(text)
                assert event["id"] == self.last
                yield event

    def take_events(self, count: int) -> list[dict[str, Any]]:
        return list(islice(self, count))

    def begin(self) -> "Events":
        """Read until the stream has told where it begins."""
        assert next(self.lines) == "retry: 2000"
        key, _, self.last = next(self.lines).partition(": ")
        assert key == "id"
        assert not next(self.lines)
        return self


@contextlib.contextmanager
def follow(client: httpx.Client, last: str = "", **params: str) -> Iterator[Events]:
    headers = {"Last-Event-ID": last} if last else {}
    with client.stream("GET", STREAM, headers=headers, params=params, timeout=20) as answer:
        yield Events(answer)


def put(client: httpx.Client, at: str, value: float) -> None:
    """One number in a file of its own: only its mean can change."""
    answer = client.post("/v1/feeds/dropzone", json=row(time_stamp=at, data=[value]), headers=WAIT)
    assert answer.status_code == 200, answer.text


def test_a_follower_hears_of_a_change_and_goes_on_where_it_was(api: Api) -> None:
    at = "2020-01-01T00:00:00Z"
    put(api.client, at, 1.0)
    with follow(api.client) as events:
        events.begin()
        put(api.client, at, 2.0)
        (first,) = events.take_events(1)
        assert (first["time"], first["old"], first["new"], first["why"]) == (at, 1.0, 2.0, "replaced")
        assert api.client.get(first["link"]).json()["feed"] == "dropzone"
    for value in (3.0, 4.0):
        put(api.client, at, value)
    with follow(api.client, events.last) as again:
        assert [(item["old"], item["new"]) for item in again.take_events(2)] == [(2.0, 3.0), (3.0, 4.0)]
    pages = api.client.get("/v1/changes", params={"feed": "dropzone", "series": first["series"], "since": first["id"]})
    assert [item["new"] for item in pages.json()["items"]] == [3.0, 4.0]


def test_a_stream_may_be_narrowed_and_begin_in_the_past(api: Api) -> None:
    at = "2020-01-02T00:00:00Z"
    for value in (1.0, 2.0):
        put(api.client, at, value)
    with follow(api.client, since="2020-01-01", feed="dropzone", kind="point") as events:
        received = []
        for item in events:
            received.append(item)
            if item["time"] == at:
                break
    assert received[-1]["new"] == 2.0
    problem(api.client.get(STREAM, params={"kind": "neither"}), 400, "invalid")
    for route in ("/v1/changes", STREAM):
        assert api.client.get(route, params={"feed": "nope"}).status_code == 404
    document = problem(api.client.get(STREAM, headers={"Last-Event-ID": "0815"}), 400, "invalid")
    assert document["errors"][0]["path"] == "$header.Last-Event-ID"


def test_silence_is_kept_alive(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.api.changes.KEEP_ALIVE_S", 0.1)
    with follow(api.client) as events:
        events.begin()
        assert ": keep-alive" in [next(events.lines) for _ in range(3)]


def test_too_many_streams_are_told_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "MAX_STREAMS", 1)
    deadline = time.monotonic() + 60
    while True:  # those of the tests before end when the server notices
        with contextlib.suppress(AssertionError), follow(api.client) as events:
            events.begin()
            refused = httpx.get(f"{api.url}{STREAM}", trust_env=False)
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    problem(refused, 503, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1


def test_a_stream_ends_when_the_server_does(tmp_path: Path) -> None:
    with running_engine(tmp_path / "store") as address:
        migrate(address)
        with contextlib.ExitStack() as stack, httpx.Client(trust_env=False) as client:
            running = stack.enter_context(running_api(tmp_path, store=address))
            client.base_url = httpx.URL(running.url)
            with follow(client) as events:
                events.begin()
                begun = time.monotonic()
                stack.close()
                assert list(events) == []
            assert time.monotonic() - begun < 30


class Faithful(threading.Thread):
    """Follows for as long as it takes, across every end of its connection."""

    def __init__(self, url: str, until: float) -> None:
        super().__init__()
        self.url, self.until, self.seen, self.connections = url, until, [], 0
        self.begun = threading.Event()
        self.last = ""

    def run(self) -> None:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(httpx.HTTPError, AssertionError),
                httpx.Client(base_url=self.url, trust_env=False) as client,
                follow(client, self.last) as events,
            ):
                events.begin()
                self.connections += 1
                self.begun.set()
                for item in self._noting_last_id(events):
                    self.seen.append((item["old"], item["new"]))
                    if item["new"] == self.until:
                        return
            time.sleep(0.05)

    def _noting_last_id(self, events: Events) -> Iterator[dict[str, Any]]:
        self.last = events.last or self.last
        for item in events:
            self.last = events.last
            yield item


def send(server: Server, at: str, value: float) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            answer = server.client.post(
                "/v1/feeds/dropzone", json=row(time_stamp=at, data=[value]), headers={"Idempotency-Key": f"{value}"}
            )
            if answer.status_code in (200, 202):
                return
        time.sleep(0.05)
    raise AssertionError("not taken")


def test_nothing_is_missed_or_doubled_when_processes_are_killed(tmp_path: Path) -> None:
    last = 12.0
    with running_server(tmp_path / "data") as server:
        send(server, "2020-01-03T00:00:00Z", 0.0)
        faithful = Faithful(server.url, last)
        faithful.start()
        assert faithful.begun.wait(10)
        for value in range(1, int(last) + 1):
            send(server, "2020-01-03T00:00:00Z", float(value))
            if value == 4:
                server.kill("mill")
            elif value == 8:
                server.kill("api")
            time.sleep(0.03)
        faithful.join(45)
        assert faithful.connections >= 2
        assert faithful.seen == [(float(v - 1), float(v)) for v in range(1, int(last) + 1)]
        begun = time.monotonic()
        with follow(server.client) as events:
            events.begin()
            assert server.stop() == 0
        assert time.monotonic() - begun < 10


def test_a_cursor_is_for_its_tenant_and_says_nothing_of_the_log(api: Api) -> None:
    at = "2020-01-04T00:00:00Z"
    for value in (1.0, 2.0):
        put(api.client, at, value)
    page = api.client.get("/v1/changes", params={"since": "2020-01-01", "limit": "1000"}).json()
    with follow(api.client) as events:
        events.begin()
        begin = events.last
    given = [page["next"], page["items"][-1]["id"], begin]
    for text in given:
        raw = base64.urlsafe_b64decode(text + "==")
        assert len(raw) == 69  # whatever is in it
        with pytest.raises(ValueError):
            json.loads(raw)
    again = api.client.get("/v1/changes", params={"cursor": page["next"]}).json()
    more = api.client.get("/v1/changes", params={"cursor": page["next"]}).json()
    assert again["items"] == more["items"] == []
    assert again["next"] != more["next"]  # also when nothing happened: an unchanged one would say so
    seals = api.services.queries.changes
    for text in given:
        with pytest.raises(ValueError, match="is not a cursor"):
            seals.open_cursor("bravo", text)
        assert seals.open_cursor("default", text)
