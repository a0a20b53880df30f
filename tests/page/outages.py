"""Parts that are away: killed, and held before they have started again, for as long as a test looks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.support.server import Server

DEADLINE_S = 60


@contextmanager
def away(server: Server, role: str) -> Iterator[None]:
    """Kills the process of a role; the one that the supervisor starts in its place stands still until the block ends,
    as one that takes long to start."""
    before = server.part(role).pid
    server.kill(role)
    after = _successor(server, role, before)
    after.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            after.resume()


def _successor(server: Server, role: str, before: int) -> psutil.Process:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with suppress(LookupError, psutil.Error):
            part = server.part(role)
            if part.pid != before:
                return part
        time.sleep(0.005)
    raise TimeoutError(f"{role} was not started again")
