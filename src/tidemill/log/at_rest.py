"""The log of a data folder as commands see it: looked at, repaired, copied and put back while nobody need have it open.

What every implementation promises. `log/opening.py` says which one a folder has.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from tidemill.log.damage import LogDamage


class Repaired(msgspec.Struct, frozen=True):
    """What was done, and what could not be: sentences."""

    done: list[str]
    gone: list[str]


class LogSnapshot(Protocol):
    """A moment of the log, while others go on writing; close it soon: the log grows while it is held. Offsets are by
    partition."""

    @property
    def first_seqs(self) -> list[int]:
        """The oldest offset of each partition (0: it is empty)."""

    @property
    def last_seqs(self) -> list[int]:
        """The newest offset ever of each partition."""

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each file, by its path in the data folder."""

    @property
    def software(self) -> str:
        """The version of the software that wrote the files."""

    def begin(self) -> None:
        """Make now the moment, in place of an earlier one. Raises OSError."""

    def waiting(self, partition: int, checkpoint: int, ahead: Mapping[str, int]) -> int:
        """How many entries are beyond `checkpoint`, without those of a tenant up to its offset in `ahead`."""

    def copy(self, name: str, to: Path, progress: Callable[[int], None]) -> None:
        """Write a file of `sizes` to `to`, which must not be there; `progress` gets the bytes of each step.

        Raises OSError.
        """

    def close(self) -> None:
        """Let go of the moment. Harmless when repeated."""


class LogFiles(Protocol):
    """The files of the log in one data folder."""

    def exist(self) -> bool:
        """Whether there is a log."""

    def ends(self) -> list[int]:
        """The newest offset of each partition that its files know of, as far as they can be read (0: none does)."""

    def tenants(self, count: int) -> frozenset[str]:
        """The tenants of the newest `count` entries of each partition, without damaged entries: one flipped bit makes
        another tenant."""

    def owned(self) -> AbstractContextManager[None]:
        """While it lasts no server opens the log. Raises StartupError while one has it open."""

    def repair_tails(self) -> list[Path]:
        """Take flipped bits back in what the last process left to be read at the next opening, which would lose what
        is behind them otherwise; returns the files. Only while nobody has the log open. Raises OSError."""

    def repair_files(self, known: Sequence[int]) -> list[str]:
        """Make the files such that a server can open them; says what was done. `known`: the newest offset of each
        partition that anybody else knows of. Only while nobody has the log open. Raises LogCorruptError when no entry
        can be read, LogUnavailableError, OSError."""

    def repair_entries(self, stored_body: Callable[[LogDamage], bytes]) -> Repaired:
        """Put damaged entries right: what one flipped bit changed, else with the body of another copy (b"": there is
        none), where that matches the entry's sha256. Raises LogUnavailableError and what `stored_body` raises."""

    def snapshot(self) -> LogSnapshot:
        """Open what `LogSnapshot.begin` makes a moment of. Raises OSError."""

    @property
    def snapshot_names(self) -> list[str]:
        """The paths in a data folder of the files of a snapshot."""

    @property
    def not_copied(self) -> tuple[str, ...]:
        """Patterns of names in the log's folders that are of no use in a copy: they come from the snapshot, or
        `finish_restored` makes them anew."""

    def snapshot_faults(self) -> list[tuple[str, str]]:
        """The names of snapshot files in this folder, on which nobody works, that are damaged, and how."""

    def finish_restored(self, last_seqs: Sequence[int]) -> None:
        """Complete the files of a snapshot that were put into this folder, with the newest offset of each partition:
        the log goes on far above, so that no offset is handed out twice. Raises OSError."""
