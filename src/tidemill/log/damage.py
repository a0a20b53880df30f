"""The known damages of a log: each is written once to the server's log, and kept for health to show."""

import logging
import threading
from pathlib import Path
from typing import Final

import msgspec

_log = logging.getLogger(__name__)
MAX_DAMAGES: Final = 1_000
HOW_TO_REPAIR: Final = "stop the server and run `tidemill verify --repair` on its data folder"


class LogDamage(msgspec.Struct, frozen=True):
    """One damaged entry, or (`seq` 0) a part of the file that is no entry. `mended`: readers get the right bytes, and
    the file still holds the wrong ones. `lost`: no column of the entry is reliable, not even the tenant; `receipt`,
    `tenant` and `feed` are then empty."""

    seq: int
    what: str
    receipt: str = ""
    tenant: str = ""
    feed: str = ""
    mended: bool = False
    lost: bool = False

    def __str__(self) -> str:
        whose = f"entry {self.seq}" if self.seq else "the file"
        return f"{whose}{f' (receipt {self.receipt})' if self.receipt else ''} is damaged: {self.what}"


class Damages:
    """The damages of one log that one process has found; `quiet`: the caller reports them. Thread-safe."""

    def __init__(self, path: Path, *, quiet: bool = False) -> None:
        self._path, self._quiet = path, quiet
        self._lock = threading.Lock()
        self._known: dict[tuple[int, str], LogDamage] = {}

    def add(self, damage: LogDamage) -> None:
        """Keep a damage; writes it to the server's log the first time."""
        key = (damage.seq, "" if damage.seq else damage.what)
        with self._lock:
            if key in self._known or len(self._known) >= MAX_DAMAGES:
                return
            self._known[key] = damage
        if not self._quiet:
            _log.error("in the log %s %s. To repair: %s", self._path, damage, HOW_TO_REPAIR)

    def remove(self, seq: int) -> None:
        """Remove the damage of an entry that was repaired."""
        with self._lock:
            self._known.pop((seq, ""), None)

    def is_lost(self, seq: int) -> bool:
        """Whether an entry is known to be lost."""
        damage = self._known.get((seq, ""))
        return damage is not None and damage.lost

    @property
    def known(self) -> list[LogDamage]:
        """All damages, by seq."""
        with self._lock:
            return sorted(self._known.values(), key=lambda damage: (damage.seq, damage.what))

    def summary(self) -> str:
        """One line about the damages for health; empty when no damage is known."""
        known = self.known
        if not known:
            return ""
        more = f", and {len(known) - 1} more" if len(known) > 1 else ""
        return f"in the log {known[0]}{more}. To repair: {HOW_TO_REPAIR}"
