"""What only a raw socket can do: slow, hanging, lying and half-gone clients."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api.samples import body, fix, row
from tests.support.api import Api


class Wire:
    """A connection, and the answers that come over it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self._file.read(int(headers.get("content-length", 0)))

    def problem(self, status: int, code: str) -> dict[str, Any]:
        got, headers, content = self.answer()
        assert got == status, content
        assert headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(content)
        assert document["code"] == code
        return document

    def closed(self, within_s: float = 3) -> bool:
        self.socket.settimeout(within_s)
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


@contextmanager
def connected(api: Api) -> Iterator[Wire]:
    wire = Wire(api.port)
    try:
        yield wire
    finally:
        wire.socket.close()


@pytest.fixture
def wire(api: Api) -> Iterator[Wire]:
    with connected(api) as connection:
        yield connection


def request(content: bytes, *headers: str, method: str = "POST", path: str = "/v1/feeds/dropzone") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def test_a_chunked_body_is_taken(wire: Wire) -> None:
    sent = body(row())
    wire.send(request(chunks(sent[:10], sent[10:]) + b"0\r\n\r\n", "Transfer-Encoding: chunked"))
    status, _, content = wire.answer()
    assert status == 202
    assert json.loads(content)["bytes"] == len(sent)


def test_a_chunked_body_over_the_limit_is_refused_and_closed(wire: Wire) -> None:
    wire.send(request(b"", "Transfer-Encoding: chunked") + chunks(b" " * 15_000, b" " * 15_000))
    document = wire.problem(413, "too_large")
    assert [fault["code"] for fault in document["errors"]] == ["max_body"]
    assert wire.closed()


def test_an_endless_body_is_cut_off(wire: Wire) -> None:
    wire.send(request(b"", "Transfer-Encoding: chunked"))
    sent = 0
    with pytest.raises(OSError):
        while sent < 1 << 30:
            wire.send(chunks(b" " * 60_000))
            sent += 60_000
    assert sent < 1 << 30


def test_a_declared_size_over_the_limit_is_answered_before_the_body(wire: Wire) -> None:
    wire.send(request(b"", "Content-Length: 99999999999"))
    wire.problem(413, "too_large")
    assert wire.closed()


def test_expect_100_continue_is_answered(wire: Wire) -> None:
    sent = body(row())
    wire.send(request(b"", f"Content-Length: {len(sent)}", "Expect: 100-continue"))
    assert wire.answer()[0] == 100
    wire.send(sent)
    assert wire.answer()[0] == 202


def test_expect_100_continue_is_not_answered_where_the_body_is_not_wanted(wire: Wire) -> None:
    wire.send(request(b"", "Content-Length: 30000", "Expect: 100-continue"))
    wire.problem(413, "too_large")
    assert wire.closed()


def test_a_slow_body_is_ended_in_time(wire: Wire) -> None:
    wire.send(request(b"{", "Content-Length: 100"))
    began = time.monotonic()
    wire.problem(408, "too_slow")
    assert 0.5 < time.monotonic() - began < 60
    assert wire.closed()


def test_a_body_that_drips_is_ended_in_time(wire: Wire) -> None:
    wire.send(request(b"", "Content-Length: 1000"))
    began = time.monotonic()
    with pytest.raises(OSError):
        while time.monotonic() - began < 40:  # all of the body would take 50 s
            wire.send(b" ")
            time.sleep(0.05)


def test_slow_headers_are_ended_in_time(wire: Wire) -> None:
    wire.send(b"POST /v1/feeds/dropzone HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    wire.problem(408, "too_slow")
    assert wire.closed()


def test_a_silent_connection_is_closed(wire: Wire) -> None:
    assert wire.closed()


def test_answers_that_nobody_reads_are_given_up(api: Api) -> None:
    with connected(api) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 400)
        deadline = time.monotonic() + 60
        with pytest.raises(OSError):  # a connection that was closed answers what is sent on it with a reset
            while time.monotonic() < deadline:
                wire.send(b"\r\n")
                time.sleep(0.05)


def test_slow_headers_after_a_good_request_are_ended_in_time(wire: Wire) -> None:
    wire.send(request(body(row())) + b"POST /v1/fe")
    assert wire.answer()[0] == 202
    wire.problem(408, "too_slow")


def test_slow_clients_do_not_hold_up_others(api: Api) -> None:
    wires = [Wire(api.port) for _ in range(50)]
    for wire in wires:
        wire.send(request(b"{", "Content-Length: 100"))
    began = time.monotonic()
    assert api.client.put("/location", json=fix()).status_code == 200
    assert time.monotonic() - began < 30
    for wire in wires:
        wire.socket.close()


def test_a_client_that_goes_away_in_its_body_harms_nothing(api: Api) -> None:
    before = api.services.log.last_seq()
    with connected(api) as wire:
        wire.send(request(b"{", "Content-Length: 100"))
    time.sleep(0.1)
    assert api.services.log.last_seq() == before
    assert api.client.put("/location", json=fix()).status_code == 200


def test_large_headers_are_refused(wire: Wire) -> None:
    wire.send(request(b"{}", "X-Large: " + "x" * 70_000))
    wire.problem(431, "headers_too_large")
    assert wire.closed()


def test_endless_headers_are_refused(wire: Wire) -> None:
    wire.send(b"POST /v1/feeds/dropzone HTTP/1.1\r\nHost: x\r\n")
    with pytest.raises(OSError):
        for n in range(100_000):
            wire.send(b"X-%d: %s\r\n" % (n, b"y" * 1000))


def test_a_large_body_in_the_same_piece_as_its_headers_is_no_large_header(wire: Wire) -> None:
    content = body({"name": "n", "values": [0] * 40_000, "interval": "1s", "start": "2026-01-01T00:00:00Z"})
    wire.send(request(content, path="/v1/feeds/signals"))
    assert wire.answer()[0] in (202, 400)


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\x00" * 100, b"G" * 70_000],
)
def test_garbage_is_a_problem_and_the_connection_closes(wire: Wire, garbage: bytes) -> None:
    wire.send(garbage)
    status, headers, _ = wire.answer()
    assert status in (400, 408, 431)
    assert headers["content-type"] == "application/problem+json"
    assert wire.closed()


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: -1",),
        ("Content-Length: abc",),
        ("Transfer-Encoding: chunked, gzip",),
    ],
)
def test_requests_whose_length_is_ambiguous_are_refused(wire: Wire, headers: tuple[str, ...]) -> None:
    wire.send(request(b"0\r\n\r\n", *headers))
    status, _, _ = wire.answer()
    assert status in (400, 408)
    assert wire.closed()


def test_requests_in_one_piece_are_answered_in_order(wire: Wire) -> None:
    good, bad = body(row()), b"{}"
    wire.send(request(good) + request(bad) + request(good, path="/v1/feeds/nope") + request(good))
    assert [wire.answer()[0] for _ in range(4)] == [202, 400, 404, 202]


@pytest.mark.parametrize("path", ["/v1/feeds/nope", "/v1/series/xyz/none", "/location"])
def test_the_connection_stays_after_an_error_with_a_body(wire: Wire, path: str) -> None:
    method = "PUT" if path == "/location" else "POST"
    wire.send(request(b"x" * 5000, method=method, path=path))
    assert wire.answer()[0] in (400, 404, 405)
    wire.send(request(body(row())))
    assert wire.answer()[0] == 202


def test_an_error_before_a_large_body_has_come_is_answered_and_closed(wire: Wire) -> None:
    wire.send(request(b"x" * 1000, "Content-Length: 100000", path="/v1/feeds/nope"))
    wire.problem(404, "not_found")
    assert wire.closed()


def test_http_1_0_is_answered_and_closed(wire: Wire) -> None:
    wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert wire.answer()[0] == 200
    assert wire.closed()
