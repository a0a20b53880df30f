"""Applies a costly payload in a thread of its own while the loop goes on with what is cheap, of other tenants.

The thread has an applier of its own. Nothing is shared but the store, which takes both: keys begin with the tenant, and
a tenant is either here or there. What an applier remembers of the store is forgotten whenever a tenant changes sides.
"""

import threading
import time
from collections.abc import Mapping, Sequence

import msgspec

from tidemill.mill.apply import Applier
from tidemill.mill.costs import Like
from tidemill.mill.status import last_turn
from tidemill.model.payload import LogEntry


class Done(msgspec.Struct, frozen=True):
    """What was applied beside the loop, or why it was not, and the seconds `spent` on it."""

    entries: Sequence[LogEntry]
    error: BaseException | None
    spent: Mapping[Like, float]


class Beside:
    """One batch at a time; all calls come from the loop's thread. `own` is used by the other thread only, and has a
    status of its own, which is added to that of `main` at the end of each batch."""

    def __init__(self, main: Applier, own: Applier) -> None:
        self._main = main
        self._own = own
        self._thread: threading.Thread | None = None
        self._done: Done | None = None

    @property
    def busy(self) -> bool:
        """Whether a batch is under way, or its end was not collected."""
        return self._thread is not None

    @property
    def turned(self) -> float:
        """Its last sign of life by `time.monotonic()`; now, when nothing is under way."""
        return last_turn(self._own.context.status) if self.busy and self._done is None else time.monotonic()

    def start(self, entries: Sequence[LogEntry]) -> None:
        """Begin to apply entries of one tenant; none is under way."""
        self._own.take_over(self._main)
        self._own.context.status.turn()
        self._thread = threading.Thread(target=self._apply, args=(entries,), name="mill-beside", daemon=True)
        self._thread.start()

    def collect(self) -> Done | None:
        """The end of the batch, once; None while it is under way."""
        done = self._done
        if self._thread is None or done is None:
            return None
        self._thread.join()
        self._thread = self._done = None
        self._main.take_over(self._own)
        self._main.context.status.add(self._own.context.status)
        return done

    def wait(self, timeout_s: float) -> None:
        """Wait until the batch has ended, at most so long."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _apply(self, entries: Sequence[LogEntry]) -> None:
        error = None
        self._own.spent.clear()
        try:
            self._own.apply(entries)
        except BaseException as raised:  # a panic in a library is a BaseException; the loop judges it
            error = raised
        self._done = Done(entries, error, dict(self._own.spent))
