"""Submitting to intake: what is final, what comes again, and connections that are kept."""

import asyncio

import pytest

from tests.sources.test_http import serving
from tidemill.errors import ConflictError, InputError, UnavailableError
from tidemill.sources.outbox import KeptRefusalError
from tidemill.sources.submit import InternalIntake


def answer(status, body, *headers):
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()


TAKEN = answer(202, '{"id": "r1", "feed": "meters"}')


def submit(*answers, times=1, pause_s=0.0, together=False):
    """Submit payloads; (results, what the server saw)."""

    async def one(intake):
        return await intake("a b", "meters", b'{"x": 1}', "application/json", "key-1")

    async def main(port):
        intake = InternalIntake(port, "secret")
        if together:
            return await asyncio.gather(*(one(intake) for _ in range(times)))
        results = []
        for _ in range(times):
            results.append(await one(intake))
            await asyncio.sleep(pause_s)
        return results

    with serving(*answers) as server:
        return asyncio.run(main(int(server["url"].rpartition(":")[2]))), server


def test_payload_is_posted_as_the_internal_route_wants_it():
    results, server = submit(TAKEN)
    assert results == ["r1"]
    (request,) = server["requests"]
    assert request.startswith("POST /internal/payloads?tenant=a%20b&feed=meters HTTP/1.1\r\n")
    for header in ("x-tidemill-secret: secret", "idempotency-key: key-1", "content-type: application/json"):
        assert f"\r\n{header}\r\n" in request
    assert "content-length: 8\r\n" in request


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(409, '{"detail": "other body"}'), ConflictError),
        (answer(400, '{"detail": "bad"}'), InputError),
        (answer(413, '{"detail": "large"}'), InputError),
        (answer(422, '{"detail": "bad", "receipt": "r1"}'), KeptRefusalError),
        (answer(404, '{"detail": "no such feed"}'), UnavailableError),
        (answer(429, '{"detail": "slowly"}'), UnavailableError),
        (answer(503, '{"detail": "away"}', "Retry-After: 3"), UnavailableError),
        (answer(507, '{"detail": "full"}'), UnavailableError),
        (answer(202, "{}"), UnavailableError),
        (answer(202, "not json"), UnavailableError),
        (TAKEN[:-5] + b"<close>", UnavailableError),
        (b"<close>", UnavailableError),
    ],
)
def test_only_a_refusal_of_the_bytes_is_final(reply, error):
    with pytest.raises(error) as raised:
        submit(reply)
    if b"Retry-After" in reply:
        assert raised.value.retry_after_s == 3.0


def test_nobody_listening_is_unavailable():
    with serving(TAKEN) as server:
        port = int(server["url"].rpartition(":")[2])
    with pytest.raises(UnavailableError):
        asyncio.run(InternalIntake(port, "s")("t", "f", b"{}", "application/json", "k"))


def test_connections_are_kept_and_replaced():
    _, server = submit(TAKEN, times=5)
    assert server["connections"] == 1
    _, server = submit(TAKEN, times=8, together=True)
    assert server["connections"] <= 8
    results, server = submit(TAKEN + b"<close>", times=3, pause_s=0.05)
    assert results == ["r1"] * 3
