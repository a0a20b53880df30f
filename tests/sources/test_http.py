"""The safe client against servers that answer byte for byte what a test says."""

import asyncio
import gzip
import socket
import threading
from contextlib import contextmanager

import pytest

from tidemill.sources.http import Fetched, FetchFailure, HttpClient, Limits

LIMITS = Limits(timeout_s=0.3, deadline_s=0.8, max_bytes=10_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def serving(*answers, pause_s=0.0):
    """A server in a thread that gives its answers in turn (the last for ever): bytes, a list of bytes sent with pauses,
    or None to stay silent. An answer that ends in b"<close>" closes the connection."""
    seen = {"requests": [], "connections": 0}
    turn = iter(range(10**9))

    async def handle(reader, writer):
        seen["connections"] += 1
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                seen["requests"].append(request.decode("latin-1"))
                answer = answers[min(next(turn), len(answers) - 1)]
                if answer is None:
                    await asyncio.sleep(5)
                for part in answer if isinstance(answer, list) else [answer]:
                    writer.write(part.removesuffix(b"<close>"))
                    await writer.drain()
                    if part.endswith(b"<close>"):
                        return
                    await asyncio.sleep(pause_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    started, ended = threading.Event(), []

    async def main():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        ended.extend([asyncio.get_running_loop(), asyncio.Event()])
        seen["url"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await ended[1].wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(5)
    try:
        yield seen
    finally:
        ended[0].call_soon_threadsafe(ended[1].set)
        thread.join(5)


def get(*urls, headers=None, limits=LIMITS, expected=(200,), pause_s=0.0):
    """Fetch with one client; the answer to the last URL."""

    async def main():
        client = HttpClient()
        try:
            for url in urls:
                answer = await client.get(url, headers or {}, limits, expected)
                await asyncio.sleep(pause_s)
            return answer
        finally:
            client.close()

    return asyncio.run(main())


def body(*answers, **more):
    with serving(*answers) as server:
        answer = get(server["url"], **more)
    assert isinstance(answer, Fetched), answer
    return answer.body


def failure(*answers, pause_s=0.0, **more):
    with serving(*answers, pause_s=pause_s) as server:
        answer = get(server["url"], **more)
    assert isinstance(answer, FetchFailure), answer
    assert answer.message
    return answer.reason


def test_bodies_in_every_framing():
    assert body(OK) == b"ok"
    assert body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n") == b"ok"
    assert body(b"HTTP/1.0 200 OK\r\n\r\nok<close>") == b"ok"
    assert body(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK) == b"ok"
    assert body(b"HTTP/1.1 204 No Content\r\n\r\n", expected=(204,)) == b""
    assert body([OK[:20], OK[20:40], OK[40:]]) == b"ok"


def packed(content, encoding=b"gzip"):
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        encoding,
        len(content),
        content,
    )


def test_compressed_body_is_unpacked_within_the_limit():
    assert body(packed(gzip.compress(b"ok"))) == b"ok"
    assert failure(packed(gzip.compress(b"0" * 1_000_000))) == "too_large"
    assert failure(packed(gzip.compress(b"ok")[:-4])) == "protocol"
    assert failure(packed(b"not gzip")) == "protocol"
    assert failure(packed(b"ok", b"br")) == "protocol"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n<close>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok<close>",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"<close>",
    ],
)
def test_broken_answers_are_protocol_failures(answer):
    assert failure(answer) == "protocol"


def test_large_bodies_end_at_the_limit():
    assert failure(b"HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n") == "too_large"
    assert failure([b"HTTP/1.1 200 OK\r\n\r\n"] + [b"x" * 4000] * 10) == "too_large"
    assert len(body(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10_000)) == 10_000


def test_silence_and_endless_trickle_are_timeouts():
    assert failure(None) == "timeout"
    assert failure([OK[:20], OK[20:]], pause_s=0.5) == "timeout"
    assert failure([OK[n : n + 1] for n in range(len(OK))], pause_s=0.1) == "timeout", "never silent, never done"


def test_status_that_is_not_expected_carries_retry_after():
    with serving(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n") as server:
        answer = get(server["url"])
    assert (answer.reason, answer.status, answer.retry_after_s) == ("bad_status", 503, 7.0)


def test_where_nobody_listens():
    with serving(OK) as server:
        url = server["url"]
    assert get(url).reason == "refused"
    assert get("http://no-such-name.invalid/", limits=Limits(5, 10, 100)).reason in {"dns", "timeout"}


def test_tls_to_a_server_that_does_not_speak_it():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail.example.org ESMTP\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        answer = get(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(5)
    assert answer.reason == "tls"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "/only/a/path", "http://", "http://[::1"])
def test_only_http_urls_are_fetched(url):
    assert get(url).reason == "protocol"


def redirect(location, status=302):
    return f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def test_redirects_are_followed_three_times():
    assert body(*[redirect("/next")] * 3, OK) == b"ok"
    assert failure(redirect("/again")) == "redirects"
    assert failure(redirect("ftp://127.0.0.1/")) == "protocol"


def test_credentials_stay_with_their_origin():
    with serving(OK) as other, serving(redirect("/here"), redirect(f"{other['url']}/there")) as first:
        answer = get(first["url"], headers={"Authorization": "Bearer secret"})
    assert answer.body == b"ok"
    assert all("secret" in request for request in first["requests"]) and len(first["requests"]) == 2
    assert not any("secret" in request for request in other["requests"])


def test_header_cannot_break_out_of_its_line():
    with serving(OK) as server:
        answer = get(server["url"], headers={"X-Key": "a\r\nX-Other: b"})
        assert answer.reason == "protocol"
        assert server["requests"] == []


def test_user_and_password_of_the_url_become_basic_authentication():
    with serving(OK) as server:
        assert get(server["url"].replace("//", "//me:p%40ss@")).body == b"ok"
    assert "authorization: Basic bWU6cEBzcw==" in server["requests"][0]
    assert "me:" not in server["requests"][0].split("authorization")[0]


def test_environment_is_not_asked(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert body(OK) == b"ok"


def test_connection_is_kept_and_replaced_when_the_server_closed_it():
    with serving(OK) as server:
        assert get(*[server["url"]] * 5).body == b"ok"
    assert server["connections"] == 1
    with serving(OK + b"<close>") as server:
        assert get(*[server["url"]] * 3, pause_s=0.05).body == b"ok"
    assert server["connections"] == 3
