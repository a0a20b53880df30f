"""Whatever a source answers: its reason is in state and poll ledger, and a good source beside it goes on."""

import gzip
import ssl

import pytest

from tests.sources.answering import redirect, serving
from tests.sources.conftest import HERE, LOCAL, until
from tests.sources.test_http_tls import asked_names, certificate, server_tls  # noqa: F401  fixtures
from tests.sources.web import Web
from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source
from tidemill.simulate.server import running
from tidemill.sources.addresses import AddressPolicy


def response(body, **headers):
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


BOMB = gzip.compress(bytes(5_000_000))
ENDLESS = [b"HTTP/1.1 200 OK\r\n\r\n", *([b"x" * 50_000] * 100)]
HTML = response(b"<html>Sorry!</html>", content_type="application/json")


def feed(name, url, **more):
    options = {"every": "30ms", "max_backoff": "30ms", "timeout": "300ms", "max_bytes": 100_000, "allow": HERE, **more}
    return Feed(name=name, source=Source(url=url, **options))


@pytest.fixture
def beside(web, polling, states):
    """Poll a bad source beside a good one until the bad one is known to be; its state and its rows of the ledger."""

    def poll(url, policy=LOCAL, **more):
        rows = []
        with web.answering(lambda request: (200, {}, b'{"v": 1}')) as good:
            with polling(feed("bad", url, **more), feed("good", good, timeout="5s"), record=rows.extend, policy=policy):
                state = until(lambda: (s := states().get("bad")) and s.failures_in_a_row >= 2 and s)
                asked = len(web.requests)
                until(lambda: len(web.requests) > asked + 2)
            assert states()["good"].state == "ok" and states()["good"].failures == 0
        found = [row for row in rows if row.feed == "bad"]
        assert found and {row.result for row in found} == {state.reason}
        assert {row.result for row in rows if row.feed == "good"} == {"data"}
        assert all(row.detail for row in found if row.result != "garbage")
        return state

    return poll


@pytest.mark.parametrize(
    ("answer", "reason", "hint"),
    [
        (HTML, "garbage", "none of json, ndjson"),
        (response(BOMB, content_encoding="gzip"), "too_large", "100000 bytes"),
        (ENDLESS, "too_large", "100000 bytes"),
        (None, "timeout", "0.3 s"),
        (redirect("https://192.0.2.1/"), "address", "192.0.2.1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf<close>", "protocol", "closed"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "protocol", ""),
    ],
    ids=["html", "bomb", "endless", "silent", "private-redirect", "cut", "not-http"],
)
def test_bad_answer_is_recorded_with_its_reason(answer, reason, hint, beside, intake):
    with serving(answer) as server:
        state = beside(server["url"])
    assert (state.state, state.reason) == ("failing", reason)
    assert hint in state.detail
    assert (b"<html>Sorry!</html>" in intake.bodies()) == (reason == "garbage")


def test_ten_redirects_are_not_followed(beside):
    def further(request):
        step = int(request.path.strip("/") or 0)
        return (302, {"location": f"/{step + 1}"}, b"") if step < 10 else (200, {}, b'{"v": 1}')

    with running(other := Web(further)) as url:
        state = beside(url)
    assert state.reason == "redirects" and "3" in state.detail
    assert max(request.path for request in other.requests) == "/3"


def test_certificate_that_nobody_vouches_for_is_a_failure(server_tls: ssl.SSLContext, beside):  # noqa: F811
    with serving(response(b'{"v": 1}'), tls=server_tls) as server:
        assert beside(server["url"]).reason == "tls"
        assert server["requests"] == []


@pytest.mark.parametrize(
    ("allow", "server_allows"), [((), "127.0.0.0/8"), (("10.0.0.0/8",), "127.0.0.0/8"), (HERE, "10.0.0.0/8")]
)
def test_private_address_is_reached_only_where_feed_and_server_allow_it(allow, server_allows, polling, states):
    rows = []
    with serving(response(b'{"v": 1}')) as server:
        with polling(
            feed("bad", server["url"], allow=allow), record=rows.extend, policy=AddressPolicy.parse(server_allows)
        ):
            state = until(lambda: (s := states().get("bad")) and s.failures_in_a_row and s)
        assert server["connections"] == 0
    assert (state.reason, rows[0].result) == ("address", "address")
    assert "127.0.0.1" in state.detail
