"""The high-water mark: the newest durable seq, kept in a file apart from the log, to detect that entries were lost.

A log that ends before its mark lost acknowledged payloads (an older copy was put back, a `-wal` file was deleted), and
would hand out their offsets again. The mark is written after each commit and forced to disk by `sync`, so it is never
ahead of the log; after a power cut it may lag by the commits since the last `sync`.
"""

import logging
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

from tidemill.errors import LogCorruptError
from tidemill.flips import find_unflipped

HIGH_WATER_FILE: Final = "log.high-water"
_log = logging.getLogger(__name__)


class HighWaterMark:
    """One small file, overwritten in place within one disk sector. `note` and `sync` may come from two threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists() or path.stat().st_size == 0:
            _make(path)
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.value = self._load()
        except LogCorruptError:
            os.close(self._fd)
            raise
        self._synced = self.value

    def note(self, seq: int) -> None:
        """Write a newer mark (about 2 µs); it is not yet forced to disk."""
        os.pwrite(self._fd, _encode(seq), 0)
        self.value = seq

    def sync(self) -> None:
        """Force the newest value to disk if it changed since the last time."""
        value = self.value
        if value != self._synced:
            os.fdatasync(self._fd)
            self._synced = value

    def close(self) -> None:
        """Force the newest value to disk and close."""
        if self._fd >= 0:
            try:
                self.sync()
            finally:
                os.close(self._fd)
                self._fd = -1

    def _load(self) -> int:
        value, fault = _parse(os.pread(self._fd, 64, 0), self.path)
        if fault:
            _log.error("%s", fault)
        return value


def read_mark(path: Path) -> tuple[int, str]:
    """(the mark in a file, or 0 without a file; the damage of a file whose mark can still be read, or "").

    Raises LogCorruptError when the mark cannot be read."""
    return _parse(path.read_bytes() if path.exists() else b"", path)


def _parse(content: bytes, path: Path) -> tuple[int, str]:
    if not content:
        return 0, ""
    right = content if _is_mark(content) else find_unflipped(content, _is_mark)
    if right is None:
        raise LogCorruptError(
            f"{path} is not a high-water mark; put back a copy of it, or, if you know that the log beside it is "
            f"complete, delete this file and start again"
        )
    value = int(right[:20])
    return value, "" if right == content else f"one bit of {path} was flipped: it says {value}"


def _is_mark(content: bytes) -> bool:
    digits = content[:20]
    return digits.isdigit() and content == _encode(int(digits))


def _make(path: Path) -> None:
    """Make a mark of 0 whose bytes are durable before its name is: after a power cut a file that grew may hold zeros or
    anything else, and a file that was overwritten in place within a sector holds the old mark or the new one."""
    new = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, _encode(0))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)


def _encode(seq: int) -> bytes:
    digits = b"%020d" % seq
    return b"%s %08x\n" % (digits, zlib.crc32(digits))
