"""Applies a costly payload in a thread of its own while the loop goes on with the cheap payloads of other tenants.

The thread has an applier of its own and shares only the store with the loop. The two never write the same keys, because
keys begin with the tenant, and a tenant is with one of them only. An applier forgets what it remembers of the store
whenever a tenant moves to the other applier.
"""

import threading
import time
from collections.abc import Mapping, Sequence

import msgspec

from tidemill.mill.apply import Applier
from tidemill.mill.costs import CostKey
from tidemill.mill.status import last_turn
from tidemill.model.payload import LogEntry


class Done(msgspec.Struct, frozen=True):
    """A batch that has ended: its entries, the `error` that it ended with (null: it is applied), and the seconds
    `spent`."""

    entries: Sequence[LogEntry]
    error: BaseException | None
    spent: Mapping[CostKey, float]


class Beside:
    """Applies one batch at a time; all calls come from the loop's thread. Only the other thread uses the applier `own`,
    whose status is added to that of `main` at the end of each batch."""

    def __init__(self, main: Applier, own: Applier) -> None:
        self._main = main
        self._own = own
        self._thread: threading.Thread | None = None
        self._done: Done | None = None

    @property
    def busy(self) -> bool:
        """Whether a batch is under way, or has ended and was not collected."""
        return self._thread is not None

    @property
    def last_turn(self) -> float:
        """The last sign of life of the batch, by `time.monotonic()`; the present when no batch is under way."""
        return last_turn(self._own.context.status) if self.busy and self._done is None else time.monotonic()

    def start(self, entries: Sequence[LogEntry]) -> None:
        """Begin to apply entries of one tenant. Call it only while no batch is under way."""
        self._own.take_over(self._main)
        self._own.context.status.turn()
        self._thread = threading.Thread(target=self._apply, args=(entries,), name="mill-beside", daemon=True)
        self._thread.start()

    def collect(self) -> Done | None:
        """The batch that has ended, once; null while it is under way, or there is none."""
        done = self._done
        if self._thread is None or done is None:
            return None
        self._thread.join()
        self._thread = self._done = None
        self._main.take_over(self._own)
        self._main.context.status.add(self._own.context.status)
        return done

    def wait(self, timeout_s: float) -> None:
        """Wait until the batch has ended, at most `timeout_s`."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _apply(self, entries: Sequence[LogEntry]) -> None:
        error = None
        self._own.spent.clear()
        try:
            self._own.apply_entries(entries)
        except BaseException as raised:  # a panic in a library is a BaseException; the loop decides about it
            error = raised
        self._done = Done(entries, error, dict(self._own.spent))
