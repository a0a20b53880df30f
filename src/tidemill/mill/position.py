"""Where the mill is in the log: the highest seq of which everything is in the store. A file of its own.

Saved by write, fsync, rename and fsync of the folder, with a checksum, so that a reader (the API, to trim the log)
sees the old place or the new one. A file that is missing or damaged means 0: what the mill does may be done twice.
"""

import errno
import logging
import os
import zlib
from pathlib import Path

from tidemill.errors import LogUnavailableError, StartupError
from tidemill.log.local_disk import sync_folder
from tidemill.log.loss import how_to_go_on

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


def reconcile(position: int, *, in_store: int, first_seq: int, last_seq: int, accepted: int = 0) -> int:
    """The place to start at, given the highest payload in the store and what the log holds.

    A store that knows less than the position was wiped or restored: what it lacks is applied again. Says so when the
    log no longer holds what is missing. Raises StartupError when the log ends before what was applied: another log,
    or one that lost entries, would give their places to other payloads; LogUnavailableError when that loss is
    `accepted` and the log's owner has yet to go on above it.
    """
    known = max(position, in_store)
    if last_seq < known:
        message = f"the log ends at {last_seq}, but payloads up to {known} were applied to the store from it"
        if accepted >= known:
            raise LogUnavailableError(f"{message}: waiting until it goes on above {accepted}")
        raise StartupError(f"{message}: it is another log, or lost entries. {how_to_go_on(known)}")
    start = min(position, in_store)
    if start < position:
        _log.warning(
            "the store ends at payload %d but the position is %d: applying again from there", in_store, position
        )
    if first_seq > start + 1:
        _log.error("the log begins at %d: payloads %d to %d are only in backups", first_seq, start + 1, first_seq - 1)
    return start


def write_atomically(path: Path, content: bytes, *, durable: bool) -> None:
    """Replace a file: a reader sees the old content or the new. Raises OSError."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        written = os.write(descriptor, content)
        if written < len(content):  # as on a disk that fills up
            raise OSError(errno.ENOSPC, f"only {written} of {len(content)} bytes could be written", str(new))
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    if durable:
        sync_folder(path.parent)


def _encode(seq: int) -> bytes:
    return f"{_MAGIC} {seq} {_checksum(seq)}\n".encode("ascii")


def _checksum(seq: int) -> int:
    return zlib.crc32(str(seq).encode("ascii"))
