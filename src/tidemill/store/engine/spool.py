"""Bytes on their way into the engine: in memory up to 4 MiB, more in an unlinked file in a folder of the store.

Neither has a name that other processes could open. The blocks of the file are allocated before they are written, so
that a full disk fails the write at once, and no piece reads as zeros later.
"""

import errno
import io
import os
import tempfile
from types import TracebackType
from typing import Final

from tidemill.store.engine.errors import NOT_ENOUGH_SPACE, EngineError, refusal

MEMORY_BYTES: Final = 4 << 20
_COPY_BYTES: Final = 1 << 20
_NO_ALLOCATION: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class Spool:
    """A buffer that is written, then rewound, then read, or read by the engine through `path`. Close it, or use it as a
    context manager."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._file = io.FileIO(os.memfd_create("spool"), "r+b")
        self._in_memory = True
        self.size = 0

    @property
    def path(self) -> str:
        """A name by which this process alone can open the bytes, from their start, until they are closed."""
        return f"/proc/self/fd/{self._file.fileno()}"

    def write(self, piece: bytes) -> None:
        """Add a piece. Raises EngineError 243 when the disk has no room for it."""
        try:
            if self._in_memory and self.size + len(piece) > MEMORY_BYTES:
                self._move_to_disk()
            self._append(piece)
        except OSError as error:
            raise _no_room(error) from None

    def rewind(self) -> None:
        """Go back to the start, to read."""
        self._file.seek(0)

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes from where the last read ended; b"" at the end."""
        return self._file.read(size) or b""

    def readline(self, size: int = -1, /) -> bytes:
        """One line, or up to `size` bytes of it."""
        return self._file.readline(size)

    def close(self) -> None:
        """Free the memory or the disk space. A second call does nothing."""
        self._file.close()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _append(self, piece: bytes) -> None:
        if piece and not self._in_memory:
            _allocate(self._file.fileno(), self.size, len(piece))
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += len(piece)

    def _move_to_disk(self) -> None:
        memory = self._file
        self._file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
        self._in_memory, self.size = False, 0
        with memory:
            memory.seek(0)
            while piece := memory.read(_COPY_BYTES):
                self._append(piece)


def _allocate(descriptor: int, offset: int, length: int) -> None:
    try:
        os.posix_fallocate(descriptor, offset, length)
    except OSError as error:
        if error.errno not in _NO_ALLOCATION:
            raise


def _no_room(error: OSError) -> EngineError:
    text = f"Cannot keep the body of the request: {error.strerror}"
    return refusal(NOT_ENOUGH_SPACE, "NOT_ENOUGH_SPACE", text)
