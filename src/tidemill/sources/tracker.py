"""Keeps one source's state and the rows of its polls in memory; the poller writes both once a second.

Nothing here waits. `take_changed_state` returns the state only if it changed since the last call, so that a source
costs at most one write for each call. Texts of servers and plug-ins enter state, ledger and log here only, and secrets
are taken out of them here.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.sources.http import Fetched, FetchFailure
from tidemill.sources.redact import Redaction
from tidemill.sources.source_spec import SourceSpec
from tidemill.sources.state import Poll, SourceState, State

log = logging.getLogger(__name__)

_MAX_POLLS: Final = 100_000  # rows kept while the ledger cannot be written; beyond it the oldest are dropped
_LOGGED_FAILURES: Final = 3  # failures in a row before a line in the log; state and ledger have every failure
_RESTORED: Final = (
    *("polls", "payloads", "payload_bytes", "empty", "unchanged", "failures"),
    *("last_poll_ns", "last_data_ns", "cursor", "retry_ns", "retry_host"),
)


class Tracker:
    """The state and the poll rows of one source."""

    def __init__(self, spec: SourceSpec, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._spec = spec
        self._hide = Redaction(spec.secrets).hide
        self._tokens: tuple[str, ...] = ()
        self._state = SourceState(tenant=spec.tenant, feed=spec.feed, item=spec.item, since_ns=now_ns())
        self._changed = True
        self._slowest_s = 0.0  # of the answers since the last success or failure
        self._polling = False
        self._open: list[dict[str, Any]] = []  # rows of the poll under way, whose next_due_ns is not known yet
        self.polls: deque[Poll] = deque(maxlen=_MAX_POLLS)

    def hide_tokens(self, tokens: tuple[str, ...]) -> None:
        """Take these tokens out of texts, too."""
        if tokens != self._tokens:
            self._tokens = tokens
            self._hide = Redaction((*self._spec.secrets, *tokens)).hide

    @property
    def state(self) -> SourceState:
        """The state now."""
        return self._state

    def restore_counts(self, earlier: SourceState) -> None:
        """Continue the counts (not the state) of an earlier run."""
        self._set(**{name: getattr(earlier, name) for name in _RESTORED})

    def begin_poll(self) -> None:
        """Note that a poll begins."""
        self._polling = True

    def end_poll(self, due_ns: int | None) -> None:
        """Note that the poll ended and that the next poll is due at `due_ns` (None: there is no next poll)."""
        self._polling = False
        if due_ns != self._state.next_due_ns:
            self._set(next_due_ns=due_ns)
        self.polls.extend(Poll(next_due_ns=due_ns, **row) for row in self._open)
        self._open.clear()

    def note_request(self, started_ns: int, fetched: Fetched | FetchFailure) -> None:
        """Note a request and its answer or failure."""
        status = fetched.status or None
        latency = round(fetched.elapsed_s * 1000, 3)
        self._slowest_s = max(self._slowest_s, fetched.elapsed_s)
        self._set(last_poll_ns=started_ns, last_status=status, latency_ms=latency, polls=self._state.polls + 1)

    def add_poll(
        self, started_ns: int, fetched: Fetched | FetchFailure, result: str, *, detail: str = "", **more: Any
    ) -> None:
        """Add a row to the poll ledger."""
        spec = self._spec
        body = fetched.body if isinstance(fetched, Fetched) else b""
        row = {
            "tenant": spec.tenant,
            "feed": spec.feed,
            "item": spec.item,
            "started_ns": started_ns,
            "result": result,
            "status": fetched.status or 0,
            "latency_ms": round(fetched.elapsed_s * 1000, 3),
            "size_bytes": len(body),
            "detail": self._hide(detail),
            **more,
        }
        if self._polling:
            self._open.append(row)
        else:
            self.polls.append(Poll(next_due_ns=self._state.next_due_ns, **row))

    def note_success(self, state: State) -> None:
        """Note an answer: with data (`ok`), without (`empty`), or with data that was taken before (`unchanged`)."""
        slowest, self._slowest_s = self._slowest_s, 0.0
        if state == self._state.state == "ok" and slowest <= self._spec.slow_after_s:
            return  # the usual case of a drained source
        counts = {name: getattr(self._state, name) + (state == name) for name in ("empty", "unchanged")}
        if self._state.failures_in_a_row >= _LOGGED_FAILURES or self._state.state == "open":
            self._log(logging.INFO, "a source answers again")
        if self._state.retry_ns is not None:
            self._set(retry_ns=None, retry_host=None)
        reason = detail = None
        if state == "ok" and slowest > self._spec.slow_after_s:
            state, reason, detail = "slow", "slow", f"the answer took {slowest:.3g} s"
        self._enter(state, reason=reason, detail=detail, failures_in_a_row=0, **counts)

    def note_failure(self, reason: str, detail: str) -> int:
        """Note a failed poll; returns how many failed in a row. Enough of them open the circuit, but an internal error
        of Tidemill does not count."""
        self._slowest_s = 0.0
        in_a_row = self._state.failures_in_a_row + 1
        failures = self._state.failures + 1
        opens = reason != "internal" and self._spec.breaker.opens(in_a_row)
        shown = self._hide(detail)
        if in_a_row == _LOGGED_FAILURES or (opens and self._state.state != "open"):
            self._log(logging.WARNING, "a source is left alone" if opens else "a source fails", reason, shown)
        self._enter(
            "open" if opens else "failing", reason=reason, detail=shown, failures_in_a_row=in_a_row, failures=failures
        )
        return in_a_row

    def note_hold(self, host: str, until_ns: int) -> None:
        """Note that the host asked for no request before `until_ns`."""
        self._set(retry_host=host, retry_ns=until_ns)

    def note_intake_fault(self, detail: str) -> None:
        """Note that intake does not take fetched payloads."""
        self._enter("failing", reason="intake_unavailable", detail=self._hide(detail))

    def note_delivery(self, size: int) -> None:
        """Note that a payload of `size` bytes became durable."""
        payloads, total = self._state.payloads + 1, self._state.payload_bytes + size
        self._set(payloads=payloads, payload_bytes=total, last_data_ns=self._now_ns())

    def update(self, *, waiting: int | None = None, cursor: str | None = None) -> None:
        """Update `waiting` and `cursor` of the state; None leaves them, "" sets the cursor to None."""
        changes: dict[str, Any] = {}
        if waiting is not None:
            changes["waiting"] = waiting
        if cursor is not None:
            changes["cursor"] = self._hide(cursor)[:200] or None
        if any(getattr(self._state, name) != value for name, value in changes.items()):
            self._set(**changes)

    def take_changed_state(self) -> SourceState | None:
        """The state if it changed since the last call."""
        changed, self._changed = self._changed, False
        return self._state if changed else None

    def mark_unsaved(self) -> None:
        """Make `take_changed_state` return the state again, because it could not be written."""
        self._changed = True

    def _enter(self, state: State, **changes: Any) -> None:
        if state != self._state.state:
            changes["since_ns"] = self._now_ns()
        self._set(state=state, **changes)

    def _set(self, **changes: Any) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        self._changed = True

    def _log(self, level: int, what: str, reason: str = "", detail: str = "") -> None:
        spec = self._spec
        facts = {"tenant": spec.tenant, "feed": spec.feed, "item": spec.item, "reason": reason, "detail": detail}
        log.log(level, what, extra={"facts": {name: fact for name, fact in facts.items() if fact}})
