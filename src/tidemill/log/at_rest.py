"""The contract of a log's files in a data folder, for commands that inspect, repair, copy and restore the files.

Every implementation keeps these promises. `log/opening.py` says which implementation a folder has.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from tidemill.log.damage import LogDamage


class Repaired(msgspec.Struct, frozen=True):
    """The outcome of a repair, in sentences: what was repaired, and what is lost."""

    done: list[str]
    lost: list[str]


class LogSnapshot(Protocol):
    """A consistent snapshot of the log, while other processes go on writing. Close it soon: the log grows while it is
    open. Lists of offsets have one item a partition, by number."""

    @property
    def first_seqs(self) -> list[int]:
        """The oldest offset kept in each partition (0: the partition is empty)."""

    @property
    def last_seqs(self) -> list[int]:
        """The newest offset that each partition ever handed out."""

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes, by the file's path in the data folder."""

    @property
    def software(self) -> str:
        """The version of the software that wrote the files."""

    def begin(self) -> None:
        """Take the snapshot now; it replaces an earlier one. Raises OSError."""

    def waiting(self, partition: int, checkpoint: int, ahead: Mapping[str, int]) -> int:
        """The number of entries above `checkpoint`, without the entries of a tenant up to its offset in `ahead`."""

    def copy(self, name: str, to: Path, progress: Callable[[int], None]) -> None:
        """Write a file of `sizes` to `to`, which must not exist; calls `progress` with the bytes of each step.

        Raises OSError.
        """

    def close(self) -> None:
        """Release the snapshot. Harmless when repeated."""


class LogFiles(Protocol):
    """The files of the log in one data folder."""

    def exist(self) -> bool:
        """Whether the data folder has a log."""

    def ends(self) -> list[int]:
        """The newest offset of each partition according to its files, as far as they can be read (0: no file names
        one)."""

    def tenants(self, count: int) -> frozenset[str]:
        """The tenants of the newest `count` entries of each partition. Leaves out damaged entries, because one flipped
        bit turns a tenant's name into another one."""

    def owned(self) -> AbstractContextManager[None]:
        """Keep servers from opening the log inside the `with` block. Raises StartupError while a server has it open."""

    def repair_tails(self) -> list[Path]:
        """Take back flipped bits in the files that the next opening reads first (such as a WAL): the opening would lose
        every commit after the damage. Returns the repaired files. Only while nobody has the log open. Raises
        OSError."""

    def repair_files(self, known: Sequence[int]) -> list[str]:
        """Repair the files so that a server can open them; returns sentences about each repair. `known`: the newest
        offset of each partition that the store or a checkpoint names. Only while nobody has the log open. Raises
        LogCorruptError when no entry can be read, LogUnavailableError, OSError."""

    def repair_entries(self, stored_body: Callable[[LogDamage], bytes]) -> Repaired:
        """Repair damaged entries: takes back one flipped bit, else writes the body that `stored_body` returns (b"":
        there is no copy) if that body matches the entry's sha256. Raises LogUnavailableError and what `stored_body`
        raises."""

    def snapshot(self) -> LogSnapshot:
        """Open the files for a snapshot; `LogSnapshot.begin` takes it. Raises OSError."""

    @property
    def snapshot_names(self) -> list[str]:
        """The paths of a snapshot's files in a data folder."""

    @property
    def not_copied(self) -> tuple[str, ...]:
        """Patterns of file names in the log's folders that a backup does not copy: they come from the snapshot, or
        `finish_restored` writes them."""

    def snapshot_faults(self) -> list[tuple[str, str]]:
        """(name, damage) of each damaged snapshot file in this folder. Only while nobody has the files open."""

    def finish_restored(self, last_seqs: Sequence[int]) -> None:
        """Write the files that a restored snapshot lacks. `last_seqs`: the newest offset of each partition; the log
        continues far above it, so that no offset is handed out twice. Raises OSError."""
