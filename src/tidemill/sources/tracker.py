"""Keeps one source's state and the rows of its polls, in memory; the poller writes both down once a second.

Nothing here waits. `take_state` gives the state only if it changed since it was last taken, so that a source costs at
most one write for each time it is asked. The one place where what others say of a failure enters state, ledger and
log: secrets are taken out of it here.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidemill.sources.http import Fetched, FetchFailure
from tidemill.sources.pull import Pull
from tidemill.sources.redact import Redaction
from tidemill.sources.state import Poll, SourceState, State

log = logging.getLogger(__name__)

_MAX_POLLS: Final = 100_000  # rows kept while the ledger cannot be written; beyond it the oldest go
_TELLING: Final = 3  # failures in a row that are worth a line in the log; state and ledger have each of them
_KEPT: Final = (
    *("polls", "payloads", "payload_bytes", "empty", "unchanged", "failures"),
    *("last_poll_ns", "last_data_ns", "cursor", "retry_ns", "retry_host"),
)


class Tracker:
    """What is known of one source, as it happens."""

    def __init__(self, pull: Pull, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._pull = pull
        self._hide = Redaction(pull.secrets).hide
        self._tokens: tuple[str, ...] = ()
        self._state = SourceState(tenant=pull.tenant, feed=pull.feed, item=pull.item, since_ns=now_ns())
        self._changed = True
        self._slowest_s = 0.0  # of the answers since the last verdict
        self._polling = False
        self._open: list[dict[str, Any]] = []  # rows of the poll under way: when the next one is due is not known yet
        self.polls: deque[Poll] = deque(maxlen=_MAX_POLLS)

    def hide(self, tokens: tuple[str, ...]) -> None:
        """Take these out of texts too."""
        if tokens != self._tokens:
            self._tokens = tokens
            self._hide = Redaction((*self._pull.secrets, *tokens)).hide

    @property
    def state(self) -> SourceState:
        """The state now."""
        return self._state

    def resume(self, earlier: SourceState) -> None:
        """Go on with the counts (not the state) of an earlier run."""
        self._set(**{name: getattr(earlier, name) for name in _KEPT})

    def begin(self) -> None:
        """A poll begins."""
        self._polling = True

    def due(self, due_ns: int | None) -> None:
        """The poll is over, and the next one is due then; None: there will be none."""
        self._polling = False
        if due_ns != self._state.next_due_ns:
            self._set(next_due_ns=due_ns)
        self.polls.extend(Poll(next_due_ns=due_ns, **row) for row in self._open)
        self._open.clear()

    def polled(self, started_ns: int, fetched: Fetched | FetchFailure) -> None:
        """The source was asked and answered, or did not."""
        status = fetched.status or None
        latency = round(fetched.elapsed_s * 1000, 3)
        self._slowest_s = max(self._slowest_s, fetched.elapsed_s)
        self._set(last_poll_ns=started_ns, last_status=status, latency_ms=latency, polls=self._state.polls + 1)

    def row(
        self, started_ns: int, fetched: Fetched | FetchFailure, result: str, *, detail: str = "", **more: Any
    ) -> None:
        """Add a row to the poll ledger."""
        pull = self._pull
        body = fetched.body if isinstance(fetched, Fetched) else b""
        row = {
            "tenant": pull.tenant,
            "feed": pull.feed,
            "item": pull.item,
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

    def good(self, state: State) -> None:
        """The source answered with data (`ok`), that it has none (`empty`), or with what is known (`unchanged`)."""
        slowest, self._slowest_s = self._slowest_s, 0.0
        if state == self._state.state == "ok" and slowest <= self._pull.slow_after_s:
            return  # as nearly always where a source is drained
        counts = {name: getattr(self._state, name) + (state == name) for name in ("empty", "unchanged")}
        if self._state.failures_in_a_row >= _TELLING or self._state.state == "open":
            self._log(logging.INFO, "a source answers again")
        if self._state.retry_ns is not None:
            self._set(retry_ns=None, retry_host=None)
        reason = detail = None
        if state == "ok" and slowest > self._pull.slow_after_s:
            state, reason, detail = "slow", "slow", f"the answer took {slowest:.3g} s"
        self._enter(state, reason=reason, detail=detail, failures_in_a_row=0, **counts)

    def failed(self, reason: str, detail: str) -> int:
        """Something is wrong; returns how many times in a row. Enough of them open the circuit, unless it is us."""
        self._slowest_s = 0.0
        row = self._state.failures_in_a_row + 1
        failures = self._state.failures + 1
        opens = reason != "internal" and self._pull.breaker.opens(row)
        shown = self._hide(detail)
        if row == _TELLING or (opens and self._state.state != "open"):
            self._log(logging.WARNING, "a source is left alone" if opens else "a source fails", reason, shown)
        self._enter(
            "open" if opens else "failing", reason=reason, detail=shown, failures_in_a_row=row, failures=failures
        )
        return row

    def held(self, host: str, until_ns: int) -> None:
        """The host asked to be left alone until then."""
        self._set(retry_host=host, retry_ns=until_ns)

    def stuck(self, detail: str) -> None:
        """Intake does not take what was fetched."""
        self._enter("failing", reason="intake_unavailable", detail=self._hide(detail))

    def taken(self, size: int) -> None:
        """A payload became durable."""
        payloads, total = self._state.payloads + 1, self._state.payload_bytes + size
        self._set(payloads=payloads, payload_bytes=total, last_data_ns=self._now_ns())

    def note(self, *, waiting: int | None = None, cursor: str | None = None) -> None:
        """Update what is shown beside the state; None leaves it, an empty cursor is none."""
        changes: dict[str, Any] = {}
        if waiting is not None:
            changes["waiting"] = waiting
        if cursor is not None:
            changes["cursor"] = self._hide(cursor)[:200] or None
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

    def _log(self, level: int, what: str, reason: str = "", detail: str = "") -> None:
        pull = self._pull
        facts = {"tenant": pull.tenant, "feed": pull.feed, "item": pull.item, "reason": reason, "detail": detail}
        log.log(level, what, extra={"facts": {name: fact for name, fact in facts.items() if fact}})
