"""A payload counts once, however often it had to be sent: lost answers, refused connections, 503 with Retry-After."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
import pytest

from tests.support.api import Api
from tests.support.server import CLOSED_PORT
from tidemill.client import AsyncTidemill, InputProblemError, Tidemill, UnavailableProblemError
from tidemill.client.exchange import exchange
from tidemill.client.operations import ClientOperations
from tidemill.client.steps import HttpReply, HttpRequest, NoReply, Pause
from tidemill.errors import UnavailableError

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Type: application/problem+json\r\nContent-Length: 40\r\n\r\n"
    b'{"code":"overloaded","detail":"not now"}'
)
Trouble = Literal["drop", "lose_answer", "cut_answer", "busy"]


@contextmanager
def bad_line(port: int, troubles: list[Trouble]) -> Iterator[str]:
    """A relay to a port of loopback, a connection for each request, with one trouble for each of the first ones."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = list(troubles)

    def relay() -> None:
        while True:
            try:
                incoming, _ = listener.accept()
            except OSError:
                return
            with incoming:
                trouble = left.pop(0) if left else None
                sent = b""
                while b"\r\n\r\n" not in sent:
                    sent += incoming.recv(65536)
                head, _, body = sent.partition(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                while len(body) < length:
                    body += incoming.recv(65536)
                if trouble == "drop":
                    continue
                if trouble == "busy":
                    incoming.sendall(BUSY)
                    continue
                lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
                with socket.create_connection(("127.0.0.1", port)) as outgoing:
                    outgoing.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
                    answer = b"".join(iter(lambda: outgoing.recv(65536), b""))
                if trouble != "lose_answer":
                    incoming.sendall(answer[:-20] if trouble == "cut_answer" else answer)

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def received(tidemill: Tidemill, whole: Api, pump: str) -> tuple[int, list[float]]:
    """How many payloads of the feed name a pump, and the pump's values."""
    items = whole.client.get("/v1/receipts", params={"feed": "pumps", "limit": 1000}).json()["items"]
    bodies = [whole.client.get(item["links"]["payload"]).text for item in items]
    points = tidemill.points(feed="pumps", field="bar", tags={"pump": pump})
    return sum(f'"{pump}"' in body for body in bodies), points["value"].to_list()


def record(pump: str) -> list[dict[str, object]]:
    return [{"t": "2026-02-01T00:00:00Z", "pump": pump, "bar": 3.0}]


def test_a_payload_counts_once_over_a_bad_line(tidemill: Tidemill, whole: Api) -> None:
    with (
        bad_line(whole.port, ["drop", "lose_answer", "busy", "cut_answer", "lose_answer"]) as url,
        Tidemill(url) as client,
    ):
        begun = time.monotonic()
        receipt = client.send("pumps", record("bad-line"), wait=30)
        assert receipt.state == "applied"
        assert time.monotonic() - begun >= 1.0, "Retry-After was not respected"
    assert received(tidemill, whole, "bad-line") == (1, [3.0])


def test_the_async_client_sends_once_too(tidemill: Tidemill, whole: Api) -> None:
    async def send(url: str) -> None:
        async with AsyncTidemill(url) as client:
            assert (await client.send("pumps", record("async-line"), wait=30)).state == "applied"

    with bad_line(whole.port, ["lose_answer", "cut_answer"]) as url:
        asyncio.run(send(url))
    assert received(tidemill, whole, "async-line") == (1, [3.0])


def test_two_calls_are_two_payloads_unless_the_key_is_the_callers(tidemill: Tidemill, whole: Api) -> None:
    first, second = (tidemill.send("pumps", record("twice"), wait=30) for _ in range(2))
    assert first.id != second.id
    again = [tidemill.send("pumps", record("keyed"), idempotency_key="batch-7", wait=30) for _ in range(2)]
    assert again[0].id == again[1].id


def test_reads_are_repeated_too(whole: Api, tidemill: Tidemill) -> None:
    with bad_line(whole.port, ["cut_answer", "lose_answer"]) as url, Tidemill(url) as client:
        assert client.feeds() == tidemill.feeds()


def test_patience_ends(whole: Api) -> None:
    with Tidemill(f"http://127.0.0.1:{CLOSED_PORT}", patience_s=0.5) as client, pytest.raises(UnavailableError) as lost:
        client.feeds()
    assert "TIDEMILL_URL" in str(lost.value)
    with bad_line(whole.port, ["busy"]) as url, Tidemill(url, patience_s=0.9) as client:
        with pytest.raises(UnavailableProblemError) as busy:
            client.feeds()
        assert busy.value.retry_after_s == 1.0


def test_pauses_grow_and_end_and_faults_are_not_repeated() -> None:
    steps = exchange(HttpRequest("GET", "/v1/feeds"), 10.0)
    pauses, step = [], next(steps)
    with pytest.raises(UnavailableError):
        while True:
            step = steps.send(None if isinstance(step, Pause) else NoReply("the line is cut"))
            pauses += [step.seconds] if isinstance(step, Pause) else []
    assert sum(pauses) <= 10.0 and len(pauses) >= 5
    assert all(0.1 * 2**n <= pause <= 0.2 * 2**n for n, pause in enumerate(pauses))
    steps = exchange(HttpRequest("GET", "/v1/feeds"), 10.0)
    next(steps)
    with pytest.raises(InputProblemError) as fault:
        steps.send(HttpReply(418, {}, b"<html>a proxy"))
    assert fault.value.status == 418 and "a proxy" in str(fault.value)


class Scripted:
    """Runs a call on replies given beforehand, without a network and without pauses."""

    patience_s = 0.5

    def __init__(self, *replies: HttpReply) -> None:
        self.replies = list(replies)
        self.requests: list[HttpRequest] = []

    def run_call(self, call: Any) -> Any:
        reply = None
        while True:
            try:
                step = call.send(reply)
            except StopIteration as end:
                return end.value
            if isinstance(step, HttpRequest):
                self.requests.append(step)
            reply = self.replies.pop(0) if isinstance(step, HttpRequest) else None


class ScriptedTidemill(Scripted, ClientOperations):
    pass


def receipt(state: str) -> HttpReply:
    document = {"id": "r1", "feed": "pumps", "received_at": "2026-01-01T00:00:00Z", "bytes": 2, "sha256": ""}
    return HttpReply(202, {}, msgspec.json.encode({**document, "state": state}))


def test_send_waits_on_where_the_server_answers_before_the_payload_is_applied() -> None:
    client = ScriptedTidemill(receipt("stored"), receipt("stored"), receipt("applied"))
    assert client.send("pumps", "[]", wait=60).state == "applied"
    assert [request.path for request in client.requests] == ["/v1/feeds/pumps", *["/v1/receipts/r1"] * 2]
    client = ScriptedTidemill(receipt("stored"), HttpReply(503, {"retry-after": "9"}, b"{}"))
    assert client.send("pumps", "[]", wait=60).state == "stored", "a durable payload is no error"
    client = ScriptedTidemill(receipt("stored"))
    assert client.send("pumps", "[]").state == "stored"
