"""What is known to be damaged in a log: each damage is named once in the server's log, and kept for health to show."""

import logging
import threading
from pathlib import Path
from typing import Final

import msgspec

_log = logging.getLogger(__name__)
MAX_KEPT: Final = 1_000
HOW_TO_REPAIR: Final = "stop the server and run `tidemill verify --repair` on its data folder"


class LogDamage(msgspec.Struct, frozen=True):
    """One damaged entry, or (`seq` 0) a part of the file that is no entry. `mended`: the bytes are right again as they
    are read, and are wrong in the file still. `lost`: nothing of the entry can be relied on, not even whose it is; then
    `receipt`, `tenant` and `feed` are empty."""

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
    """The damages of one log, as one process met them; `quiet`: they are named elsewhere. Thread-safe."""

    def __init__(self, path: Path, *, quiet: bool = False) -> None:
        self._path, self._quiet = path, quiet
        self._lock = threading.Lock()
        self._known: dict[tuple[int, str], LogDamage] = {}

    def add(self, damage: LogDamage) -> None:
        """Keep a damage; say so the first time."""
        key = (damage.seq, "" if damage.seq else damage.what)
        with self._lock:
            if key in self._known or len(self._known) >= MAX_KEPT:
                return
            self._known[key] = damage
        if not self._quiet:
            _log.error("in the log %s %s. To repair: %s", self._path, damage, HOW_TO_REPAIR)

    def remove(self, seq: int) -> None:
        """Forget a damage: the entry is whole again."""
        with self._lock:
            self._known.pop((seq, ""), None)

    def is_lost(self, seq: int) -> bool:
        """Whether an entry is known to be lost."""
        damage = self._known.get((seq, ""))
        return damage is not None and damage.lost

    @property
    def known(self) -> list[LogDamage]:
        """All of them, by seq."""
        with self._lock:
            return sorted(self._known.values(), key=lambda damage: (damage.seq, damage.what))

    def summary(self) -> str:
        """What health says of them; empty: nothing is known to be damaged."""
        known = self.known
        if not known:
            return ""
        more = f", and {len(known) - 1} more" if len(known) > 1 else ""
        return f"in the log {known[0]}{more}. To repair: {HOW_TO_REPAIR}"
