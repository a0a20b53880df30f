"""The checkpoint of a mill that may lose its partition. What the mill writes to the store is fenced in the store
(`store/fenced.py`); the files that say how far it is are fenced here, as a mill that was taken for dead may share them
with its successor.

The file `owner` beside them has the number of the mill that holds the partition. It is written, and a checkpoint is
saved, under a lock on that file.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tidemill.errors import LostPartitionError
from tidemill.mill.position import Position, read
from tidemill.store.fenced import FencedStore

FILE = "owner"
_BYTES = 20


class OwnedPosition(Position):
    """`position`, saved only by the mill that writes to `store` and holds the partition.

    Beside what Position raises: BlockingIOError while the other mill is at the lock (call again).
    """

    def __init__(self, position: Position, store: FencedStore) -> None:
        super().__init__(position.path, position.start)
        self._store = store
        self._ours = f"{store.owner:0{_BYTES}d}".encode("ascii")

    def hold(self) -> None:
        """Claim the partition and its files, and read what was saved last. Raises LostPartitionError when another mill
        claimed them meanwhile, StoreUnavailableError, OSError."""
        self._store.take()
        with self._locked() as descriptor:
            self._store.ensure_owner()  # under the lock: of two mills that start, the later one writes last
            os.pwrite(descriptor, self._ours, 0)
            os.fsync(descriptor)
            self.progress = read(self.path, self.start)

    def save(self, seq: int, ahead: Mapping[str, int] | None = None) -> None:
        """See `Position.save`. Raises LostPartitionError when another mill holds the partition."""
        with self._locked() as descriptor:
            if os.pread(descriptor, _BYTES, 0) not in (self._ours, b""):
                raise LostPartitionError("Another mill holds the partition: this one saves no checkpoint any more")
            super().save(seq, ahead)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path.with_name(FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        finally:
            os.close(descriptor)
