"""Where the mill is in the log: the highest seq of which everything is in the store. A file of its own.

Saved by write, fsync, rename and fsync of the folder, with a checksum, so that a reader (the API, to trim the log)
sees the old place or the new one. A file that is missing or damaged means 0: what the mill does may be done twice.
"""

import logging
import os
import zlib
from pathlib import Path

_log = logging.getLogger(__name__)
_MAGIC = "tidemill-position-1"


class Position:
    """The file at `path` and the value it holds. One process saves; any number may `read`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seq = read(path)

    def save(self, seq: int) -> None:
        """Make `seq` the place, durable on return. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, _encode(seq), durable=True)
        self.seq = seq


def read(path: Path) -> int:
    """The place in a position file; 0 if there is none, 0 with a warning if it cannot be read."""
    try:
        text = path.read_text("ascii")
        magic, seq, checksum = text.split()
        if magic != _MAGIC or int(checksum) != _checksum(int(seq)):
            raise ValueError("its checksum is wrong")
        return int(seq)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        _log.warning("the position at %s cannot be read (%s): it counts as 0", path, error)
        return 0


def reconcile(position: int, *, in_store: int, first_seq: int, last_seq: int) -> int:
    """The place to start at, given the highest payload in the store and what the log holds.

    A store that knows less than the position was wiped or restored: what it lacks is applied again. A log that ends
    before the position is another log: all of it is applied. Says so when the log no longer holds what is missing.
    """
    start = position
    if last_seq < position:
        _log.error("the log ends at %d but the position is %d: applying all that the log holds", last_seq, position)
        start = 0
    elif in_store < position:
        _log.warning(
            "the store ends at payload %d but the position is %d: applying again from there", in_store, position
        )
        start = in_store
    if first_seq > start + 1:
        _log.error("the log begins at %d: payloads %d to %d are only in backups", first_seq, start + 1, first_seq - 1)
    return start


def write_atomically(path: Path, content: bytes, *, durable: bool) -> None:
    """Replace a file: a reader sees the old content or the new. Raises OSError."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(seq: int) -> bytes:
    return f"{_MAGIC} {seq} {_checksum(seq)}\n".encode("ascii")


def _checksum(seq: int) -> int:
    return zlib.crc32(str(seq).encode("ascii"))
