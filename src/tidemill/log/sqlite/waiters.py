"""Those who wait for a commit, and how they are told: futures of threads one by one, those of an event loop together.

Waking an event loop from another thread costs about as much as an append, so a commit wakes each loop once.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

import msgspec

from tidemill.errors import TidemillError
from tidemill.log.contract import Appended
from tidemill.model.payload import Payload

Outcome = Appended | TidemillError


class Waiter(msgspec.Struct, gc=False):
    """A payload on its way into the log and the future that waits for it; `loop` is None for a thread's future."""

    payload: Payload
    key: str | None
    future: "Future[Appended] | asyncio.Future[Appended]"
    loop: asyncio.AbstractEventLoop | None


def settle(waiters: Sequence[Waiter], outcomes: Sequence[Outcome]) -> None:
    """Tell each waiter its outcome. Waiters that gave up meanwhile are passed over."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Appended], Outcome]]] = {}
    for waiter, outcome in zip(waiters, outcomes, strict=True):
        future = waiter.future
        if isinstance(future, Future):
            if future.set_running_or_notify_cancel():
                _tell(future, outcome)
        elif waiter.loop is not None:
            loops.setdefault(waiter.loop, []).append((future, outcome))
    for loop, pairs in loops.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_tell_all, pairs)


def fail(waiters: Sequence[Waiter], error: TidemillError) -> None:
    """Tell each waiter that nothing was acknowledged, with an exception of its own (tracebacks are not shared)."""
    settle(waiters, [copy_of(error) for _ in waiters])


def copy_of(error: TidemillError) -> TidemillError:
    """The same error as a new object."""
    fresh = type(error).__new__(type(error))
    fresh.__dict__.update(error.__dict__)
    fresh.args = error.args
    return fresh


def _tell_all(pairs: list[tuple[asyncio.Future[Appended], Outcome]]) -> None:
    for future, outcome in pairs:
        if not future.done():
            _tell(future, outcome)


def _tell(future: "Future[Appended] | asyncio.Future[Appended]", outcome: Outcome) -> None:
    if isinstance(outcome, Appended):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
