"""Futures that wait for a commit, and their resolution.

The futures of a thread are resolved directly, the futures of an event loop by one call to the loop: waking a loop from
another thread costs about as much as an append, so a commit wakes each loop once.
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


def settle_waiters(waiters: Sequence[Waiter], outcomes: Sequence[Outcome]) -> None:
    """Resolve the future of each waiter with its outcome. Skips futures that were cancelled."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Appended], Outcome]]] = {}
    for waiter, outcome in zip(waiters, outcomes, strict=True):
        future = waiter.future
        if isinstance(future, Future):
            if future.set_running_or_notify_cancel():
                _resolve(future, outcome)
        elif waiter.loop is not None:
            loops.setdefault(waiter.loop, []).append((future, outcome))
    for loop, pairs in loops.items():
        with suppress(RuntimeError):  # the loop was closed: nothing waits in it any more
            loop.call_soon_threadsafe(_resolve_all, pairs)


def fail_waiters(waiters: Sequence[Waiter], error: TidemillError) -> None:
    """Resolve the future of each waiter with a copy of the error, so that tracebacks are not shared."""
    settle_waiters(waiters, [copy_of_error(error) for _ in waiters])


def copy_of_error(error: TidemillError) -> TidemillError:
    """The same error as a new object."""
    copied = type(error).__new__(type(error))
    copied.__dict__.update(error.__dict__)
    copied.args = error.args
    return copied


def _resolve_all(pairs: list[tuple[asyncio.Future[Appended], Outcome]]) -> None:
    for future, outcome in pairs:
        if not future.done():
            _resolve(future, outcome)


def _resolve(future: "Future[Appended] | asyncio.Future[Appended]", outcome: Outcome) -> None:
    if isinstance(outcome, Appended):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
