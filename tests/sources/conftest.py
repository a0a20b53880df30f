"""What the source tests share: a real catalog, a real log as intake, and a poller that is surely stopped."""

import hashlib
import socket
import time
from contextlib import contextmanager

import pytest

from tests.sources.web import Web
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.errors import UnavailableError
from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source
from tidemill.log.sqlite import SqliteLog
from tidemill.model.ids import new_receipt
from tidemill.model.payload import Payload, format_with_tags
from tidemill.simulate.server import running
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.pacing import Backoff, Pacing
from tidemill.sources.poller import Poller
from tidemill.sources.state_store import read_states

HERE = ("127.0.0.0/8",)
LOCAL = AddressPolicy.parse("127.0.0.0/8")
FAST = Pacing(
    first_backoff_s=0.02,
    submit_backoff=Backoff(0.01, 0.1),
    fetch_grace_s=0.5,
    submit_grace_s=0.5,
    write_every_s=0.05,
    look_again_s=0.1,
)


class Intake:
    """The real log behind `submit`; `up` False is an API that cannot be reached, `lost_answers` an API that took the
    payload and died before it could say so."""

    def __init__(self, log):
        self.log = log
        self.up = True
        self.lost_answers = 0
        self.calls = 0

    async def submit(self, tenant, feed, body, content_type, idempotency_key, *, request_values):
        self.calls += 1
        if not self.up:
            raise UnavailableError("the API is not there", 0.01)
        now = time.time_ns()
        digest = hashlib.sha256(body).digest()
        form = format_with_tags(content_type, request_values)
        payload = Payload(new_receipt(now), tenant, feed, 1, now, form, body, digest)
        appended = await self.log.append_async(payload, idempotency_key)
        if self.lost_answers > 0:
            self.lost_answers -= 1
            raise UnavailableError("the API died", 0.01)
        return appended.receipt

    def bodies(self):
        found, after = [], 0
        while entries := self.log.read(after, 5000, 64 << 20):
            found += [entry.payload for entry in entries]
            after = entries[-1].seq
        return [payload.body for payload in found]


@pytest.fixture
def intake(tmp_path):
    log = SqliteLog(tmp_path / "log")
    yield Intake(log)
    log.close()


@pytest.fixture
def catalog(tmp_path):
    catalog = SqliteCatalog(tmp_path / "catalog.sqlite")
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def web():
    """One server for all tests that say what it answers."""
    served = Web(lambda request: (404, {}, b""))
    with running(served) as served.url:
        yield served


@pytest.fixture
def polling(catalog, intake):
    """`with polling(feed, ...) as poller`: poll these feeds for as long as the `with` lasts."""

    @contextmanager
    def run(*feeds, pacing=FAST, **more):
        listed = feeds[0] if feeds and isinstance(feeds[0], list) else feeds
        more = {"pacing": pacing, "policy": LOCAL, **more}
        poller = Poller(lambda: [("default", feed) for feed in listed], catalog, intake.submit, **more)
        poller.start()
        try:
            yield poller
        finally:
            assert poller.stop(), "the poller did not end in time"

    return run


@pytest.fixture
def states(catalog):
    """The states of all sources by feed, or `feed/item`."""

    def read():
        return {"/".join(filter(None, (s.feed, s.item))): s for s in read_states(catalog, "default")}

    return read


def until(condition, timeout_s=60.0):
    """Wait for a condition and return its value; fail when it does not come true."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


def drained(name, url, **more):
    options = {"every": "50ms", "drain": True, "timeout": "300ms", "allow": HERE, **more}
    return Feed(name=name, source=Source(url=url, **options))


def closed_port():
    """The URL of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
