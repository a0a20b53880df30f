"""Keeps one source's state and the rows of its polls, in memory; the poller writes both down once a second.

Nothing here waits. `take_state` gives the state only if it changed since it was last taken, so that a source costs at
most one write for each time it is asked.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.sources.http import Fetched, FetchFailure
from tidemill.sources.pull import Pull
from tidemill.sources.state import Poll, SourceState, State

_MAX_POLLS: Final = 100_000  # rows kept while the ledger cannot be written; beyond it the oldest go


class Tracker:
    """What is known of one source, as it happens."""

    def __init__(self, pull: Pull, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._pull = pull
        self._state = SourceState(tenant=pull.tenant, feed=pull.feed, item=pull.item, since_ns=now_ns())
        self._changed = True
        self.polls: deque[Poll] = deque(maxlen=_MAX_POLLS)

    @property
    def state(self) -> SourceState:
        """The state now."""
        return self._state

    def resume(self, earlier: SourceState) -> None:
        """Go on with the counts (not the state) of an earlier run."""
        kept = ("polls", "payloads", "payload_bytes", "empty", "failures", "last_poll_ns", "last_data_ns", "cursor")
        self._set(**{name: getattr(earlier, name) for name in kept})

    def polled(self, started_ns: int, fetched: Fetched | FetchFailure) -> None:
        """The source was asked and answered, or did not."""
        status = fetched.status
        latency = round(fetched.elapsed_s * 1000, 3)
        self._set(last_poll_ns=started_ns, last_status=status, latency_ms=latency, polls=self._state.polls + 1)

    def row(self, started_ns: int, fetched: Fetched | FetchFailure, result: str, **more: Any) -> None:
        """Add a row to the poll ledger."""
        pull = self._pull
        body = fetched.body if isinstance(fetched, Fetched) else b""
        self.polls.append(
            Poll(
                tenant=pull.tenant,
                feed=pull.feed,
                item=pull.item,
                started_ns=started_ns,
                result=result,
                status=fetched.status or 0,
                latency_ms=round(fetched.elapsed_s * 1000, 3),
                size_bytes=len(body),
                **more,
            )
        )

    def good(self, state: State) -> None:
        """The source answered with data (`ok`) or that it has none (`empty`)."""
        empty = self._state.empty + (state == "empty")
        self._enter(state, reason=None, detail=None, failures_in_a_row=0, empty=empty)

    def failed(self, reason: str, detail: str) -> int:
        """Something is wrong; returns how many times in a row."""
        row = self._state.failures_in_a_row + 1
        failures = self._state.failures + 1
        self._enter("failing", reason=reason, detail=detail, failures_in_a_row=row, failures=failures)
        return row

    def stuck(self, detail: str) -> None:
        """Intake does not take what was fetched."""
        self._enter("failing", reason="intake_unavailable", detail=detail)

    def taken(self, size: int) -> None:
        """A payload became durable."""
        payloads, total = self._state.payloads + 1, self._state.payload_bytes + size
        self._set(payloads=payloads, payload_bytes=total, last_data_ns=self._now_ns())

    def note(self, *, waiting: int | None = None, due_in_s: float | None = None, cursor: str | None = None) -> None:
        """Update what is shown beside the state; None leaves it."""
        changes: dict[str, Any] = {"waiting": waiting, "cursor": cursor}
        if due_in_s is not None:
            changes["next_due_ns"] = self._now_ns() + int(due_in_s * 1e9)
        changes = {name: value for name, value in changes.items() if value is not None}
        if any(getattr(self._state, name) != value for name, value in changes.items()):
            self._set(**changes)

    def take_state(self) -> SourceState | None:
        """The state if it changed since the last call."""
        changed, self._changed = self._changed, False
        return self._state if changed else None

    def touch(self) -> None:
        """The state that was taken last could not be written down: give it again."""
        self._changed = True

    def _enter(self, state: State, **changes: Any) -> None:
        if state != self._state.state:
            changes["since_ns"] = self._now_ns()
        self._set(state=state, **changes)

    def _set(self, **changes: Any) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        self._changed = True
