"""What users do wrong is no line in the log; what fails in floods is one line a minute; what is ours is an error."""

import asyncio
import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.samples import body, fix, row
from tests.support.api import Api, running_api
from tidemill.api.floods import EVERY_S, Floods
from tidemill.log.limits import LogLimits

HEAD = b"Host: localhost\r\n"
RAW = [
    b"no http\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HEAD + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"POST /v1/feeds/dropzone HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/replays HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/replays HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    b"PUT /v1/feeds/mine HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\nname",
    b"POST /v1/feeds/dropzone HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\n{",
    b"PUT /location HTTP/1.1\r\n" + HEAD + b"Expect: the-moon\r\nContent-Length: 2\r\n\r\n{}",
    b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 70_000,
]
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/location", {"content": b"{"}),
    ("PUT", "/location", {"content": b"\xff"}),
    ("POST", "/v1/feeds/never", {"json": row()}),
    ("POST", "/v1/feeds/dropzone", {"content": b"x" * 30_000}),
    ("POST", "/v1/feeds/dropzone", {"content": b"{}", "headers": {"Content-Encoding": "br"}}),
    ("POST", "/v1/feeds/dropzone", {"content": b"{}", "headers": {"Content-Encoding": "gzip"}}),
    ("POST", "/v1/series", {"json": {"values": "x"}}),
    ("POST", "/v1/replays", {"content": b"["}),
    ("POST", "/v1/replays", {"json": {"feed": "never", "start": "2100-01-01T00:00:00Z"}}),
    ("PUT", "/v1/feeds/mine", {"content": b"name = "}),
    ("PUT", "/v1/feeds/mine", {"content": b"\xff\x00"}),
    ("GET", "/v1/feeds/%00", {}),
    ("GET", "/v1/changes?cursor=x", {}),
    ("GET", "/v1/changes/stream", {"headers": {"Last-Event-ID": "x"}}),
    ("PATCH", "/v1/feeds", {}),
    ("GET", "/readyz", {"headers": {"X-API-Key": "wrong"}}),
    ("GET", "/v1/feeds", {"headers": {"Authorization": "Basic x"}}),
    ("DELETE", "/v1/feeds/dropzone", {"headers": {"Origin": "null"}}),
]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a server at its default level would write that is no information (see `telemetry.configure_logging`)."""
    return [
        f"{record.levelname} {record.name}: {record.getMessage()}"
        for record in caplog.records
        if record.levelno >= (logging.WARNING if record.name.startswith(("tidemill", "uvicorn")) else logging.ERROR)
    ]


def test_what_users_do_wrong_is_no_line_in_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for method, path, options in REQUESTS:
            assert 400 <= api.client.request(method, path, **options).status_code < 500, (method, path)
        for sent in RAW:
            for goes_away in (True, False):  # in the middle of it, or after the answer
                with socket.create_connection(("127.0.0.1", api.port), timeout=5) as wire:
                    wire.sendall(sent)
                    if goes_away:
                        time.sleep(0.02)
                    else:
                        wire.recv(65536)
        assert api.client.put("/location", json=fix()).status_code == 200
        time.sleep(0.1)
    assert lines(caplog) == []


def test_a_full_disk_is_one_line_however_many_requests(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO),
        running_api(tmp_path, limits=LogLimits(min_free_bytes=1 << 60)) as api,
    ):
        for _ in range(200):
            assert api.client.put("/location", json=fix()).status_code == 507
        for _ in range(50):
            assert api.client.get("/v1/series").status_code == 503
    assert [line for line in lines(caplog) if "tidemill.access" in line] == [
        "WARNING tidemill.access: requests fail"
    ] * 4  # the first of each, and how many more there were when the server ended
    assert len(lines(caplog)) <= 6


def test_a_flood_is_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    async def flood() -> None:
        floods = Floods(0.05)
        for status in (507, 507, 503, 507):
            floods.count(status, "/location")
        deadline = time.monotonic() + 20
        while len(caplog.records) < 3 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # silence: nothing more to say
        floods.count(503, "/v1/series")

    with caplog.at_level(logging.WARNING):
        asyncio.run(flood())
    counts = [(facts["status"], facts["count"]) for facts in (record.__dict__["facts"] for record in caplog.records)]
    assert counts == [(507, 1), (503, 1), (507, 2), (503, 1)]


def test_a_key_that_was_sent_is_in_no_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "tidemill"):
        api.client.put("/location", content=body(fix()), headers={"X-API-Key": "tm_very_secret"})
        api.client.get("/v1/series", headers={"Authorization": "Bearer tm_very_secret"})
    assert "tm_very_secret" not in caplog.text


def test_what_came_since_the_last_line_is_said_when_the_server_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_api(tmp_path, limits=LogLimits(min_free_bytes=1 << 62)) as api:
        for _ in range(4):
            assert api.client.put("/location", json=fix()).status_code == 507
    facts = [record.facts for record in caplog.records if record.getMessage() == "requests fail"]  # type: ignore[attr-defined]
    assert [(fact["status"], fact["count"]) for fact in facts] == [(507, 1), (507, 3)]
    assert 0 <= facts[1]["seconds"] <= EVERY_S
