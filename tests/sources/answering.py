"""Servers that answer byte for byte what a test says, and a client to ask them with."""

import asyncio
import socket
import struct
import threading
from contextlib import contextmanager

import uvloop

from tidemill.sources.addresses import AddressPolicy
from tidemill.sources.http import Fetched, FetchFailure, FetchLimits, HttpClient

LIMITS = FetchLimits(timeout_s=0.3, deadline_s=0.8, max_bytes=10_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOOPBACK = AddressPolicy.parse("127.0.0.0/8")


def redirect(location, status=302):
    return f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def reset(writer):
    """End a connection as a crash does: with a reset instead of an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def serving(*answers, pause_s=0.0, tls=None):
    """A server in a thread that gives its answers in turn (the last for ever): bytes, a list of bytes sent with pauses,
    or None to stay silent. An answer that ends in b"<close>" or b"<reset>" ends the connection so."""
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
                    writer.write(part.removesuffix(b"<close>").removesuffix(b"<reset>"))
                    await writer.drain()
                    if part.endswith(b"<reset>"):
                        await asyncio.sleep(0.05)  # what was written goes first
                        return reset(writer)
                    if part.endswith(b"<close>"):
                        return None
                    await asyncio.sleep(pause_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    started, ended = threading.Event(), []

    async def main():
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        ended.extend([asyncio.get_running_loop(), asyncio.Event()])
        seen["port"] = server.sockets[0].getsockname()[1]
        seen["url"] = f"{'https' if tls else 'http'}://127.0.0.1:{seen['port']}"
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


def get(*urls, headers=None, limits=LIMITS, expected=(200,), validators=None, pause_s=0.0, policy=LOOPBACK, tls=None):
    """Fetch with one client; the answer to the last URL."""

    async def main():
        client = HttpClient(policy, tls)
        try:
            for url in urls:
                answer = await client.get(url, headers or {}, limits, expected, validators)
                await asyncio.sleep(pause_s)
            return answer
        finally:
            client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the poller does
        return runner.run(main())


def body(*answers, **more):
    """The body of what a server with these answers gives."""
    with serving(*answers) as server:
        answer = get(server["url"], **more)
    assert isinstance(answer, Fetched), answer
    return answer.body


def failure(*answers, pause_s=0.0, hint="", **more):
    """The reason why a server with these answers gives nothing; its message has `hint` in it."""
    with serving(*answers, pause_s=pause_s) as server:
        answer = get(server["url"], **more)
    assert isinstance(answer, FetchFailure), answer
    assert answer.message and hint in answer.message
    return answer.reason
