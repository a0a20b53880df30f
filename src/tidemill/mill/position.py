"""How far the mill has applied a partition of the log: the offset up to which everything is in the store (the
checkpoint), and how far beyond it each tenant is that is ahead of it. A file of its own for each partition.

Saved by write, fsync, rename and fsync of the folder, with a checksum, so that a reader (the API, to trim the log)
sees the old progress or the new one. A file that is missing or damaged means the partition's beginning: what the mill
does may be done twice.
"""

import errno
import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tidemill.durable import sync_folder
from tidemill.errors import LogUnavailableError, StartupError
from tidemill.log.loss import how_to_go_on
from tidemill.model.offset import Partition, Reach, index_of, partition_of, start_of

_log = logging.getLogger(__name__)
_MAGIC = "tidemill-position-1"  # a checkpoint
_MAGIC_AHEAD = "tidemill-position-2"  # and the tenants that are ahead of it
_decode_ahead = msgspec.json.Decoder(dict[str, int]).decode


class Progress(msgspec.Struct, frozen=True):
    """What of a partition is applied: every payload up to `checkpoint`, and those of a tenant up to its offset in
    `ahead` (by tenant; only those that are ahead)."""

    checkpoint: int = 0
    ahead: Mapping[str, int] = {}

    def through(self, tenant: str) -> int:
        """The offset up to which every payload of this tenant is applied."""
        return max(self.checkpoint, self.ahead.get(tenant, 0))

    def applied(self, tenant: str, seq: int) -> bool:
        """Whether the payload of this tenant at this offset is applied."""
        return seq <= self.checkpoint or seq <= self.ahead.get(tenant, 0)

    @property
    def highest(self) -> int:
        """The highest offset at which a payload is applied."""
        return max(self.checkpoint, *self.ahead.values()) if self.ahead else self.checkpoint


class LogProgress(msgspec.Struct, frozen=True):
    """What of a log is applied: the progress in each of its partitions, in their order."""

    partitions: tuple[Progress, ...] = (Progress(),)

    def numbered(self) -> list[tuple[Partition, Progress]]:
        """Each partition with its progress."""
        count = len(self.partitions)
        return [(Partition(partition_of(one.checkpoint), count), one) for one in self.partitions]

    def through(self, tenant: str) -> Reach:
        """Of each partition, the offset up to which every payload of this tenant is applied."""
        return tuple(progress.through(tenant) for progress in self.partitions)

    def applied(self, tenant: str, seq: int) -> bool:
        """Whether the payload of this tenant at this offset is applied."""
        return self.partitions[index_of(seq, len(self.partitions))].applied(tenant, seq)


class Position:
    """The file at `path` and the progress it holds, in the partition that begins after `start`. One process saves; any
    number may `read`."""

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path, self.start = path, start
        self.progress = read(path, start)

    @property
    def seq(self) -> int:
        """The checkpoint."""
        return self.progress.checkpoint

    def save(self, seq: int, ahead: Mapping[str, int] | None = None) -> None:
        """Make `seq` the checkpoint and `ahead` the tenants ahead of it, durable on return. Raises OSError."""
        progress = Progress(seq, {tenant: at for tenant, at in (ahead or {}).items() if at > seq})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, _encode(progress), durable=True)
        self.progress = progress


def mill_folder(data: Path, partition: int) -> Path:
    """Where the mill of a partition keeps its small files, in a data folder."""
    return data / (f"mill-{partition}" if partition else "mill")


def position_file(data: Path, partition: int) -> Path:
    """The position file of a partition in a data folder."""
    return mill_folder(data, partition) / "position"


def read_all(data: Path, count: int) -> LogProgress:
    """The progress in each of the `count` partitions of a data folder's log."""
    return LogProgress(tuple(read(position_file(data, number), start_of(number)) for number in range(count)))


def read(path: Path, start: int = 0) -> Progress:
    """The progress in a position file of the partition that begins after `start`; nothing if there is none, nothing
    with a warning if it cannot be read."""
    try:
        return _decode(path.read_text("ascii"))
    except FileNotFoundError:
        return Progress(start)
    except (OSError, ValueError) as error:
        _log.warning("the position at %s cannot be read (%s): nothing counts as applied", path, error)
        return Progress(start)


def reconcile(
    position: int,
    *,
    in_store: int,
    first_seq: int,
    last_seq: int,
    accepted: int = 0,
    ahead: int = 0,
    begin: int = 0,
) -> int:
    """The checkpoint to start at, given the highest payload in the store and what the log holds; `ahead`: the highest
    payload of a tenant that was ahead of the checkpoint; `begin`: the offset before the first that there ever was.

    A store that knows less than the position was wiped or restored: what it lacks is applied again. Says so when the
    log no longer holds what is missing. Raises StartupError when the log ends before what was applied: another log,
    or one that lost entries, would give their places to other payloads; LogUnavailableError when that loss is
    `accepted` and the log's owner has yet to go on above it.
    """
    known = max(position, in_store, ahead)
    if last_seq < known:
        message = f"the log ends at {last_seq}, but payloads up to {known} were applied to the store from it"
        if accepted >= known:
            raise LogUnavailableError(f"{message}: waiting until it goes on above {accepted}")
        raise StartupError(f"{message}: it is another log, or lost entries. {how_to_go_on(known)}")
    start = min(position, max(in_store, begin))
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


def _encode(progress: Progress) -> bytes:
    content = f"{_MAGIC} {progress.checkpoint}"
    if progress.ahead:
        content = f"{_MAGIC_AHEAD} {progress.checkpoint} {msgspec.json.encode(progress.ahead).hex()}"
    # Of a checkpoint alone the checksum is that of its digits, as it always was.
    summed = content if progress.ahead else str(progress.checkpoint)
    return f"{content} {_checksum(summed)}\n".encode("ascii")


def _decode(text: str) -> Progress:
    magic, *fields, checksum = text.split()
    if magic == _MAGIC and len(fields) == 1:
        ahead: dict[str, int] = {}
        summed = str(int(fields[0]))
    elif magic == _MAGIC_AHEAD and len(fields) == 2:
        summed = " ".join((magic, *fields))
    else:
        raise ValueError("it is of another form")
    if int(checksum) != _checksum(summed):
        raise ValueError("its checksum is wrong")
    if magic == _MAGIC_AHEAD:
        ahead = _decode_ahead(bytes.fromhex(fields[1]))
    return Progress(int(fields[0]), ahead)


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("ascii"))
