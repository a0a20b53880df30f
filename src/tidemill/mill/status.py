"""The status of a mill: numbers that health and metrics show. The status is telemetry only: the mill writes it, and
nothing is decided by it (`tests/test_layers.py`).

It is written at most twice a second; nothing is lost with it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import msgspec

_WRITE_EVERY_S = 0.5
_COUNTED = (
    *("refused", "accepted", "rejected", "points", "replaced", "rollups"),
    *("lookups", "restated", "changes", "restatements"),
)
_COUNTED_BY_LOOP = ("retries", "returns", "batches", "payloads", "poisoned", "sealed")


class MillStatus(msgspec.Struct, kw_only=True):
    """Counters since the mill started; times in ns since the epoch (0: never), `stage_s` seconds spent by stage.
    `recovered`: the mill went on after `last_error`; `clock_doubt`: why no points expire ("": they do);
    `applied_offset`: the checkpoint; `confirmed`: the offset up to which a count of the store showed that it holds what
    was applied; `returns`: how often the store lacked something, and the mill went back."""

    state: Literal[
        "starting",
        "idle",
        "applying",
        "replaying",
        "waiting_for_store",
        "waiting_for_log",
        "waiting_for_catalog",
        "lost_partition",
        "stopped",
    ] = "starting"
    looped_at_ns: int = 0
    turned: float = 0.0
    applied_offset: int = msgspec.field(default=0, name="position")
    confirmed: int = 0
    log_seq: int = 0
    last_error: str = ""
    last_error_at_ns: int = 0
    clock_doubt: str = ""
    recovered: bool = True
    retries: int = 0
    returns: int = 0
    batches: int = 0
    payloads: int = 0
    refused: int = 0
    poisoned: int = 0
    accepted: int = 0
    rejected: int = 0
    points: int = 0
    replaced: int = 0
    rollups: int = 0
    lookups: int = 0
    restated: int = 0
    changes: int = 0
    restatements: int = 0
    sealed: int = 0
    stage_s: dict[str, float] = {}

    @property
    def lag(self) -> int:
        """How many offsets of the log are not applied yet (gaps included)."""
        return max(0, self.log_seq - self.applied_offset)

    def add(self, other: "MillStatus") -> None:
        """Add the counters of another status, and reset them there."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
            setattr(other, name, 0)
        for name, seconds in other.stage_s.items():
            self.stage_s[name] = self.stage_s.get(name, 0.0) + seconds
        other.stage_s.clear()

    def failed(self, why: str, now_ns: int) -> None:
        """Note an error after which the mill has yet to go on."""
        self.last_error, self.last_error_at_ns, self.recovered = why, now_ns, False

    def saw(self, log_seq: int) -> None:
        """Note that the log reaches this offset."""
        self.log_seq = max(self.log_seq, log_seq)

    def turn(self) -> None:
        """A sign of life: `turned` is now, by the monotonic clock of the mill's own process."""
        self.turned = time.monotonic()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent in the block to `stage_s[name]`."""
        begun = time.perf_counter()
        self.turn()
        try:
            yield
        finally:
            self.turn()
            self.stage_s[name] = self.stage_s.get(name, 0.0) + time.perf_counter() - begun


class Heartbeat(msgspec.Struct, frozen=True):
    """A sign of life of a mill: when it began its last turn (`looped_at_ns`, ns since the epoch; 0: it has not begun
    one since it started), and its `state` then."""

    looped_at_ns: int = 0
    state: str = "starting"

    @property
    def turns(self) -> bool:
        """Whether the mill has begun a turn since it started: then it has compared the store with its checkpoint."""
        return self.looped_at_ns > 0 and self.state not in ("starting", "stopped")


class HeartbeatWriter:
    """Passes a status to `beat`, at most twice a second unless forced."""

    def __init__(self, beat: Callable[[MillStatus], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._beat = beat
        self._monotonic = monotonic
        self._written = -_WRITE_EVERY_S

    def beat(self, status: MillStatus, *, force: bool = False) -> None:
        """Write `status` if the last one is old enough, or `force`."""
        now = self._monotonic()
        if not force and now - self._written < _WRITE_EVERY_S:
            return
        self._written = now
        self._beat(status)


def last_turn(status: MillStatus) -> float:
    """The last sign of life of the process's own mill, by `time.monotonic()`."""
    return status.turned


def describe_status(status: MillStatus | None) -> str:
    """State and last error of a mill, for an error message; empty without a status."""
    return f" (it is '{status.state}': {status.last_error or 'no error'})" if status else ""


def combine_statuses(statuses: Sequence[MillStatus | None]) -> MillStatus | None:
    """One status for the mills of several partitions: the state and the doubt of one that is not idle, the newest
    error, the oldest sign of life, the sums of the counters. None when one of the statuses is missing."""
    known = [status for status in statuses if status is not None]
    if len(known) < len(statuses) or len(known) == 1:
        return known[0] if len(statuses) == 1 and known else None
    busy = min(known, key=lambda status: (status.recovered, status.state == "idle"))
    failed = max(known, key=lambda status: status.last_error_at_ns)
    sums = {name: sum(getattr(status, name) for status in known) for name in (*_COUNTED, *_COUNTED_BY_LOOP)}
    return msgspec.structs.replace(
        busy,
        looped_at_ns=min(status.looped_at_ns for status in known),
        clock_doubt=next((status.clock_doubt for status in known if status.clock_doubt), ""),
        last_error=failed.last_error,
        last_error_at_ns=failed.last_error_at_ns,
        recovered=all(status.recovered for status in known),
        **sums,
    )
