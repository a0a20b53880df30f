"""What only a raw socket can do: slow, hanging, lying and half-gone clients."""

import contextlib
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
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
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
    wire.send(b"POST /v1/feeds/dropzone HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    wire.problem(408, "too_slow")
    assert wire.closed()


def test_a_silent_connection_is_closed(wire: Wire) -> None:
    assert wire.closed()


def test_answers_that_nobody_reads_are_given_up(api: Api) -> None:
    with connected(api) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
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
    wire.send(b"POST /v1/feeds/dropzone HTTP/1.1\r\nHost: localhost\r\n")
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


@pytest.mark.parametrize(
    "start",
    [
        b"GET /v1/feeds HTTP/1.1\r\n\r\n",
        b"GET /v1/feeds HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /v1/feeds HTTP/1.1\r\nHost: localhost\r\nhOST: evil.example\r\n\r\n",
        b"GET /v1/feeds HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET /v1/feeds HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /v1/feeds HTTP/1.1\r\nHost: localhost:80x\r\n\r\n",
        b"GET /v1/feeds HTTP/1.1\r\nHost: me@localhost\r\n\r\n",
        b"GET http://localhost/v1/feeds HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"POST /v1/feeds/dropzone HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"POST /v1/feeds/dropzone HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_a_head_that_is_no_http_is_400(api: Api, start: bytes) -> None:
    before = api.services.log.last_seq()
    with connected(api) as wire:
        wire.send(start)
        wire.problem(400, "invalid")
    assert api.services.log.last_seq() == before


@pytest.mark.parametrize("expected", ["the-moon", "100-continue, the-moon", "", "200-ok"])
@pytest.mark.parametrize("path", ["/v1/feeds/dropzone", "/v1/replays"])
def test_an_unknown_expectation_is_417(wire: Wire, expected: str, path: str) -> None:
    wire.send(request(b"", "Content-Length: 2", f"Expect: {expected}", path=path))
    wire.problem(417, "expectation_failed")


def test_the_authority_of_a_whole_url_counts_and_host_does_not(api: Api) -> None:
    for authority, host, status in (
        ("localhost", "evil.example", 200),
        (f"127.0.0.1:{api.port}", "localhost", 200),
        ("evil.example", "localhost", 421),
        ("evil.example:80", "localhost", 421),
    ):
        with connected(api) as wire:
            wire.send(f"GET http://{authority}/v1/codes HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert wire.answer()[0] == status, (authority, host)


def test_trailers_are_no_headers(api: Api) -> None:
    sent = body(row())
    with connected(api) as wire:
        wire.send(
            request(chunks(sent) + b"0\r\nPrefer: wait=9\r\nIdempotency-Key: a\r\n\r\n", "Transfer-Encoding: chunked")
        )
        status, headers, _ = wire.answer()
        assert (status, "preference-applied" in headers) == (202, False)
        wire.send(request(sent, "Idempotency-Key: a"))
        status, headers, _ = wire.answer()
    assert (status, "idempotency-replayed" in headers) == (202, False)


def flood(wire: Wire, piece: bytes, limit: int) -> int:
    """Send a piece again and again until the server has had enough of it; how many bytes that took."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < limit:
            wire.send(piece)
            sent += len(piece)
    return sent


def test_chunk_extensions_count(wire: Wire) -> None:
    wire.send(request(b"", "Transfer-Encoding: chunked"))
    assert flood(wire, b"1;" + b"x" * 1000 + b"\r\n \r\n", 16 << 20) < 16 << 20


def test_one_endless_chunk_extension_counts(wire: Wire) -> None:
    wire.send(request(b"", "Transfer-Encoding: chunked") + b"1;")
    assert flood(wire, b"x" * 1000, 16 << 20) < 16 << 20


def test_trailers_count(wire: Wire) -> None:
    wire.send(request(chunks(b"{}") + b"0\r\n", "Transfer-Encoding: chunked"))
    assert flood(wire, b"x-trailer: " + b"y" * 1000 + b"\r\n", 16 << 20) < 16 << 20


def test_too_much_beside_a_body_is_said_to_be_too_much(wire: Wire) -> None:
    wire.send(request(b"", "Transfer-Encoding: chunked"))
    for _ in range(6):
        time.sleep(0.02)
        wire.send(b"1;" + b"x" * 15_000 + b"\r\n \r\n")
    wire.problem(431, "headers_too_large")
    assert wire.closed()


def test_a_body_of_very_small_chunks_is_taken(wire: Wire) -> None:
    sent = body(row()).ljust(19_000)
    wire.send(request(b"", "Transfer-Encoding: chunked"))
    for at in range(0, len(sent), 1000):
        wire.send(chunks(*(sent[n : n + 1] for n in range(at, at + 1000))))
    wire.send(b"0\r\n\r\n")
    assert wire.answer()[0] == 202


def test_what_is_malformed_is_answered_in_its_turn(wire: Wire) -> None:
    wire.send(request(body(row())) + request(body(row())) + b"no http at all\r\n\r\n")
    assert [wire.answer()[0] for _ in range(3)] == [202, 202, 400]
    assert wire.closed()


def test_a_body_that_is_malformed_is_answered_in_its_turn(wire: Wire) -> None:
    bad = request(b"zz\r\n", "Transfer-Encoding: chunked")
    wire.send(request(body(row())) + request(body(row())) + bad)
    assert [wire.answer()[0] for _ in range(3)] == [202, 202, 400]
    assert wire.closed()


def test_another_protocol_is_not_taken_up(wire: Wire) -> None:
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert wire.answer()[0] == 200
    assert wire.closed()


@pytest.mark.parametrize(
    "sent",
    [
        b"garbage\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"OPTIONS /v1/feeds HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/codes HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/series HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PUT /location HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_every_answer_forbids_to_guess_and_to_embed(wire: Wire, sent: bytes) -> None:
    wire.send(sent)
    _, headers, _ = wire.answer()
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
