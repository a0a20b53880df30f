"""The safe client and addresses: what it resolves, what it refuses, and what it connects to."""

import socket
import threading
import time

import pytest

from tests.sources.answering import LOOPBACK, OK, get, redirect, serving
from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.http import FetchLimits

NOTHING = AddressPolicy()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.1",
        "127.0.0.1.",
        "127。0。0。1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "[::]",
        "0",
        "0.0.0.0",
        "localhost",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
    ],
)
def test_address_is_refused_however_it_is_written(host):
    with serving(OK) as server:
        answer = get(f"http://{host}:{server['port']}/", policy=NOTHING)
        assert answer.reason == "address"
        assert "To allow it, start the server with TIDEMILL_SOURCE_ALLOW=" in answer.message
    assert server["connections"] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "localhost"])
def test_allowed_address_is_reached_however_it_is_written(host):
    with serving(OK) as server:
        answer = get(f"http://{host}:{server['port']}/", policy=AddressPolicy.parse("127.0.0.0/8, ::1/128"))
    assert answer.body == b"ok"


def test_refusal_names_the_address_and_the_line_that_is_missing():
    assert get("http://10.1.2.3/", policy=LOOPBACK).message == (
        "10.1.2.3 is a private address, and sources may not reach it. To allow it, start the server with "
        "TIDEMILL_SOURCE_ALLOW=127.0.0.0/8,10.1.2.3/32."
    )
    feed = LOOPBACK.within(NOTHING)
    assert get("http://127.0.0.1/", policy=feed).message == (
        "127.0.0.1 is a loopback address, and sources may not reach it. To allow it, write "
        'allow = ["127.0.0.1/32"] in [source] of the feed.'
    )
    assert get("http://0x7f.1/", policy=NOTHING).message.startswith("0x7f.1 has the address 127.0.0.1: 127.0.0.1 is")


@pytest.fixture
def names(monkeypatch):
    """A name server of the test's own: `names[host]` is a list of answers, given in turn."""
    known, real = {}, socket.getaddrinfo

    def look_up(host, port, *more, flags=0, **named):
        if host not in known or flags & socket.AI_NUMERICHOST:
            return real(host, port, *more, flags=flags, **named)
        answer = known[host].pop(0)
        return answer() if callable(answer) else [(0, 0, 0, "", (address, port)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def test_name_with_one_address_that_is_refused_is_refused_whole(names):
    with serving(OK) as server:
        for mixed in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]):
            names["mixed.example"] = [mixed]
            answer = get(f"http://mixed.example:{server['port']}/")
            assert answer.reason == "address"
            assert answer.message.startswith("mixed.example has the address 10.0.0.1: 10.0.0.1 is a private address")
    assert server["connections"] == 0


def test_name_is_looked_up_once_and_what_was_checked_is_connected_to(names):
    names["changing.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    with serving(OK) as server:
        url = f"http://changing.example:{server['port']}/"
        assert get(url).body == b"ok"
        assert len(names["changing.example"]) == 1, "connecting did not look it up again"
        assert get(url).reason == "address", "the next connection does, and checks again"
    assert "host: changing.example" in server["requests"][0]


def test_other_addresses_of_a_name_are_tried(names):
    names["two.example"] = [["127.0.0.2", "127.0.0.1"]]
    with serving(OK) as server:
        assert get(f"http://two.example:{server['port']}/").body == b"ok"


def test_redirect_to_an_address_that_is_refused_is_not_followed():
    for host in ("127.0.0.2", "0x7f.2", "[::ffff:127.0.0.2]", "169.254.169.254", "[::1]"):
        with serving(OK) as server:
            inside = f"http://{host}:{server['port']}/latest/meta-data"
            with serving(redirect(inside)) as first:
                answer = get(first["url"], policy=AddressPolicy.parse("127.0.0.1"))
        assert answer.reason == "address"
        assert server["connections"] == 0


def test_name_server_that_hangs_ends_at_the_deadline_and_holds_up_nobody(names):
    released = threading.Event()
    names["hanging.example"] = [lambda: released.wait(10) and []]
    started = time.monotonic()
    try:
        answer = get("http://hanging.example/", limits=FetchLimits(0.1, 0.2, 100))
        assert answer.reason == "timeout" and time.monotonic() - started < 9
        with serving(OK) as server:
            assert get(server["url"]).body == b"ok"
    finally:
        released.set()


def test_name_that_is_none_says_where_to_look():
    answer = get("http://no-such-name.invalid/", limits=FetchLimits(5, 10, 100))
    assert answer.reason in {"dns", "timeout"}
    assert get("http://a..b/").reason == "dns"
    assert "look at source.url" in get("http://a%20b/").message
