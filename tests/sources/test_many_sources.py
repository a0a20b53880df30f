"""One slow source never delays another."""

import asyncio
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager

from tests.sources.conftest import FAST, HERE, until
from tidemill.feeds.definition import Feed
from tidemill.feeds.source import Source

SOURCES, HANGING = 200, 20
EVERY_S = 0.5
ROUNDS = 4


@contextmanager
def serving():
    """A server whose `/hang...` never answers and whose other paths give a value at once; counts requests by path."""
    asked: Counter[str] = Counter()
    listener = socket.create_server(("127.0.0.1", 0), backlog=SOURCES)

    async def handle(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                asked[path] += 1
                if path.startswith("/hang"):
                    await asyncio.sleep(60)
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"v": 1}')
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    async def main():
        async with await asyncio.start_server(handle, sock=listener):
            await ended.wait()

    def serve():
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(5)


class Taking:
    """Intake that takes everything at once: only the pace of the poller counts here."""

    def __init__(self):
        self.taken: Counter[str] = Counter()

    async def submit(self, tenant, feed, body, content_type, idempotency_key, *, request_values):
        self.taken[feed] += 1
        return idempotency_key


def feed(number, url):
    path = "hang" if number % (SOURCES // HANGING) == 0 else "good"
    source = Source(url=f"{url}/{path}{number}", every=f"{EVERY_S}s", timeout="20s", allow=HERE)
    return Feed(name=f"{path}{number}", source=source)


def test_two_hundred_sources_keep_their_pace_while_twenty_hang(polling, intake, states):
    intake.submit = (taking := Taking()).submit
    with serving() as (url, asked):
        feeds = [feed(number, url) for number in range(SOURCES)]
        with polling(feeds, pacing=FAST):
            started = time.monotonic()
            good = [one.name for one in feeds if one.name.startswith("good")]
            until(lambda: all(taking.taken[name] >= ROUNDS for name in good))
            took = time.monotonic() - started
            slowest, quickest = (pick(taking.taken[name] for name in good) for pick in (min, max))
            assert quickest - slowest <= 2, "none is behind the others"
    assert sum(asked[f"/hang{number}"] for number in range(SOURCES)) == HANGING, "each hangs in its first poll"
    # Rounds begin EVERY_S after the last one ended; the hanging ones would take 20 s each.
    assert (ROUNDS - 1) * EVERY_S <= took < 19
    assert {states()[name].state for name in good} == {"ok"}
    assert sum(state.polls == 0 for state in states().values()) == HANGING
