"""Decides whether data may be removed by the system's clock: not after a jump, until the clock ran steadily again.

The clock is compared with the time since the machine booted (which also counts while the machine sleeps), and, across a
boot, with what it showed last, kept in a small file. `TrustedClock` gives either the system's time or none; removals by
age wait while it gives none. Accepting, applying and answering go on with the system's clock, whatever it shows,
because a server cannot know which side of a jump was wrong.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec

NS_PER_S: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS_PER_S
JUMP_NS: Final = DAY_NS  # a summer time set by hand, or a late correction, moves the clock by less
AWAY_NS: Final = 7 * DAY_NS  # how long the machine may be switched off: the time between two boots cannot be measured
STEP_NS: Final = 3600 * NS_PER_S  # a doubted clock that moves by more does not run steadily
SAVE_EVERY_NS: Final = 60 * NS_PER_S
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger(__name__)


class Trust(msgspec.Struct, frozen=True):
    """When a clock that jumped is trusted again: after `steady_s` seconds without a jump, or while it is within a day
    of `confirmed_ns`, an instant (ns since the epoch) at which a person says that the clock is right (0: none)."""

    steady_s: float = 72 * 3600.0
    confirmed_ns: int = 0


class _Doubt(msgspec.Struct, frozen=True):
    """A jump by `jump_ns`; from `since_ns` after boot on the clock is ahead of the time since boot by `offset_ns`."""

    jump_ns: int
    offset_ns: int
    since_ns: int


class _Saved(msgspec.Struct, frozen=True):
    """The clock when it was trusted last: `wall_ns`, ahead of the time since `boot` by `offset_ns`; and any doubt."""

    boot: str
    offset_ns: int
    wall_ns: int
    doubt: _Doubt | None = None


def since_boot_s() -> float:
    """Seconds since the machine booted, including those in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The id of this boot of the machine; "" where the system has none."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


class ClockRecord(Protocol):
    """Saves what a clock showed last. A value that is some minutes old is good enough."""

    def load(self) -> bytes | None:
        """The value that was saved last; None: there is none, or it cannot be read. Raises nothing."""

    def save(self, value: bytes) -> None:
        """Replace the value. A failure raises nothing: the next minute tries again."""


class ClockFile:
    """A `ClockRecord` in the file at `path`, which is replaced as a whole. Not durable."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes | None:
        """See `ClockRecord.load`."""
        try:
            return self._path.read_bytes()
        except OSError:
            return None

    def save(self, value: bytes) -> None:
        """See `ClockRecord.save`."""
        new = self._path.with_name(self._path.name + ".new")
        with contextlib.suppress(OSError):
            new.write_bytes(value)
            new.replace(self._path)


class TrustedClock:
    """The system's clock, or no time while the clock is in doubt. Thread-safe. `record` saves what it showed last.

    `wall_ns` is the system's clock (ns since the epoch), `passed_s` the seconds since `boot`. `newest_ns` is when the
    newest data was received (0: there is none); the clock is compared with it where the record is empty.
    """

    def __init__(
        self,
        record: ClockRecord,
        trust: Trust,
        *,
        newest_ns: int = 0,
        wall_ns: Callable[[], int] = time.time_ns,
        passed_s: Callable[[], float] = since_boot_s,
        boot: str | None = None,
    ) -> None:
        self._record, self._trust = record, trust
        self._wall_ns, self._passed_s = wall_ns, passed_s
        self._boot = boot_id() if boot is None else boot
        self._lock = threading.Lock()
        self._saved_at = 0
        now, passed = self._wall_ns(), self._passed_ns()
        self._state = self._resumed(self._load() or _Saved("", 0, newest_ns or now), now, passed)
        self.now_ns()

    def now_ns(self) -> int | None:
        """The time by which data may be removed, ns since the epoch; None while no data may be removed."""
        with self._lock:
            now, passed = self._wall_ns(), self._passed_ns()
            state = self._judged(now, passed)
            if state.doubt is None:
                state = msgspec.structs.replace(state, wall_ns=now)
            changed = state.doubt != self._state.doubt or state.offset_ns != self._state.offset_ns
            self._state = state
            if changed or not self._saved_at or passed - self._saved_at >= SAVE_EVERY_NS:
                self._saved_at = passed
                self._save()
            return None if state.doubt else now

    @property
    def doubt(self) -> str:
        """Why no data is removed by age, as of the last call of `now_ns`; "": the clock is trusted."""
        doubt = self._state.doubt
        if doubt is None:
            return ""
        until_ns = doubt.offset_ns + doubt.since_ns + int(self._trust.steady_s * NS_PER_S)
        return (
            f"the system's clock jumped by {doubt.jump_ns / DAY_NS:+.1f} days: nothing is removed by age until it ran "
            f"steadily up to {_shown(until_ns)}; if it is right, start with TIDEMILL_CLOCK_CONFIRMED set to now"
        )

    def _judged(self, now: int, passed: int) -> _Saved:
        """The state after this reading of the clock: trusted, in doubt, or trusted again."""
        state, offset = self._state, now - passed
        if state.doubt is None:
            jump = offset - state.offset_ns
            return state if abs(jump) <= JUMP_NS else self._doubted(state, jump, offset, passed)
        if abs(offset - state.doubt.offset_ns) > STEP_NS:
            return self._doubted(state, offset - state.doubt.offset_ns, offset, passed)
        steady = passed - state.doubt.since_ns >= self._trust.steady_s * NS_PER_S
        if steady or self._confirmed(now):
            _log.warning("the system's clock is trusted again (%s): removing goes on", _shown(now))
            return _Saved(self._boot, offset, now)
        return state

    def _resumed(self, last: _Saved, now: int, passed: int) -> _Saved:
        """The state to start with. Within one boot the time that passed is known; after another boot the clock is
        trusted if it moved by at most AWAY_NS."""
        if last.boot == self._boot != "":
            return last
        offset, away = now - passed, now - last.wall_ns
        fresh = msgspec.structs.replace(last, boot=self._boot, offset_ns=offset)
        if last.doubt is not None or not -JUMP_NS <= away <= AWAY_NS:
            return self._doubted(fresh, away, offset, passed)
        return fresh

    def _doubted(self, state: _Saved, jump: int, offset: int, passed: int) -> _Saved:
        _log.warning("the system's clock jumped by %+.1f days: nothing is removed by age for now", jump / DAY_NS)
        return msgspec.structs.replace(state, doubt=_Doubt(jump, offset, passed))

    def _confirmed(self, now: int) -> bool:
        return self._trust.confirmed_ns != 0 and abs(now - self._trust.confirmed_ns) <= DAY_NS

    def _passed_ns(self) -> int:
        return int(self._passed_s() * NS_PER_S)

    def _load(self) -> _Saved | None:
        value = self._record.load()
        try:
            return None if value is None else msgspec.json.decode(value, type=_Saved)
        except msgspec.MsgspecError:
            return None

    def _save(self) -> None:
        self._record.save(msgspec.json.encode(self._state))


def _shown(ns: int) -> str:
    """An instant to the second; an instant beyond the calendar as its number of ns."""
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // NS_PER_S):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return str(ns)
