"""The state of a mill in small files of its own folder; only the manifests of publications are in the catalog.

Progress is saved by write, fsync, rename and fsync of the folder, with a checksum, so that a reader sees the old one or
the new one. A file that is missing or damaged counts as empty. The file `owner` has the number of the mill that holds
the state; the number is written, and progress is saved, under a lock on that file, because a mill that was believed to
be dead may share the folder with its successor. Manifests outlive the folder: a publication that began must be ended,
also by a mill that begins on an empty disk.
"""

import contextlib
import errno
import fcntl
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.clock import ClockFile
from tidemill.durable import sync_folder
from tidemill.errors import ConflictError, LostPartitionError
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.state import Attempt, PublishManifest
from tidemill.mill.status import Heartbeat, MillStatus
from tidemill.model.offset import partition_of, start_of

_log = logging.getLogger(__name__)
_MAGIC: Final = "tidemill-position-1"  # a checkpoint
_MAGIC_AHEAD: Final = "tidemill-position-2"  # and the tenants that are ahead of it
_PUBLISHING: Final = "publishing/"  # the catalog's keys: `publishing/<partition>/<tenant>/<replay>`
_OWNER_BYTES: Final = 20
_T = TypeVar("_T")
_decode_ahead = msgspec.json.Decoder(dict[str, int]).decode


class FileMillState:
    """The `MillState` of the partition that begins after `start`, in `folder`. Without a `catalog`, as for readers and
    mills without replays, nothing can be published."""

    def __init__(self, folder: Path, start: int = 0, catalog: Catalog | None = None) -> None:
        self.start = start
        self.retention_clock = ClockFile(folder / "mill.clock")
        self._folder = folder
        self._catalog = catalog
        self._owner = b""  # of no mill: for repairing or restoring a folder while no mill runs
        self._prefix = f"{_PUBLISHING}{partition_of(start)}/"

    def progress(self) -> PartitionProgress:
        """See `MillStateReader.progress`."""
        return read_progress(self._folder / "position", self.start)

    def confirmed(self) -> PartitionProgress:
        """See `MillStateReader.confirmed`."""
        return read_progress(self._folder / "confirmed", self.start)

    def heartbeat(self) -> Heartbeat | None:
        """See `MillStateReader.heartbeat`."""
        return self._read_value("mill.json", Heartbeat)

    def telemetry(self) -> MillStatus | None:
        """See `MillStateReader.telemetry`."""
        return self._read_value("mill.json", MillStatus)

    def hold(self, owner: int, ensure: Callable[[], None]) -> None:
        """See `MillState.hold`. Raises OSError."""
        self._owner = f"{owner:0{_OWNER_BYTES}d}".encode("ascii")
        with self._locked() as descriptor:
            ensure()  # under the lock, so that of two mills that start the later one writes last
            os.pwrite(descriptor, self._owner, 0)
            os.fsync(descriptor)

    def save_progress(self, progress: PartitionProgress) -> None:
        """See `MillState.save_progress`."""
        self._write_held("position", encode_progress(progress))

    def save_confirmed(self, progress: PartitionProgress) -> None:
        """See `MillState.save_confirmed`."""
        self._write_held("confirmed", encode_progress(progress))

    def attempt(self) -> Attempt | None:
        """See `MillState.attempt`."""
        return self._read_value("mill.attempt", Attempt, warn=True)

    def save_attempt(self, attempt: Attempt) -> None:
        """See `MillState.save_attempt`."""
        self._write("mill.attempt", msgspec.json.encode(attempt), durable=False)

    def beat(self, status: MillStatus) -> None:
        """See `MillState.beat`."""
        with contextlib.suppress(OSError):
            self._write("mill.json", msgspec.json.encode(status), durable=False)

    def manifests(self) -> Sequence[PublishManifest]:
        """See `MillState.manifests`. Raises UnavailableError."""
        entries = self._catalog.list(self._prefix) if self._catalog else ()
        return [msgspec.json.decode(entry.value, type=PublishManifest) for entry in entries]

    def save_manifest(self, manifest: PublishManifest) -> None:
        """See `MillState.save_manifest`. Raises UnavailableError."""
        assert self._catalog is not None
        with contextlib.suppress(ConflictError):  # the manifest is saved already
            self._catalog.put(self._key(manifest), msgspec.json.encode(manifest), expect=0)

    def remove_manifest(self, manifest: PublishManifest) -> None:
        """See `MillState.remove_manifest`. Raises UnavailableError."""
        assert self._catalog is not None
        self._catalog.delete(self._key(manifest))

    def _key(self, manifest: PublishManifest) -> str:
        return f"{self._prefix}{manifest.tenant}/{manifest.replay}"

    def _read_value(self, name: str, kind: type[_T], *, warn: bool = False) -> _T | None:
        path = self._folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            if warn:
                _log.warning("the state at %s cannot be read: %s", path, error)
            return None

    def _write_held(self, name: str, content: bytes) -> None:
        if not self._owner:
            self._write(name, content, durable=True)
            return
        with self._locked() as descriptor:
            if os.pread(descriptor, _OWNER_BYTES, 0) not in (self._owner, b""):
                raise LostPartitionError("Another mill holds the partition: this one saves no checkpoint any more")
            self._write(name, content, durable=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        finally:
            os.close(descriptor)

    def _write(self, name: str, content: bytes, *, durable: bool) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / name, content, durable=durable)


def mill_folder(data: Path, partition: int) -> Path:
    """The folder of the state files of a partition's mill, in a data folder."""
    return data / (f"mill-{partition}" if partition else "mill")


def position_file(data: Path, partition: int) -> Path:
    """The file of a partition's progress in a data folder."""
    return mill_folder(data, partition) / "position"


def mill_states(data: Path, count: int) -> tuple[FileMillState, ...]:
    """The states of the mills of the `count` partitions of a data folder, for readers."""
    return tuple(FileMillState(mill_folder(data, number), start_of(number)) for number in range(count))


def read_progress(path: Path, start: int = 0) -> PartitionProgress:
    """The progress in a file of the partition that begins after `start`. It is empty if there is no file, and empty
    with a warning if the file cannot be read."""
    try:
        return _decode_progress(path.read_text("ascii"))
    except FileNotFoundError:
        return PartitionProgress(start)
    except (OSError, ValueError) as error:
        _log.warning("the position at %s cannot be read (%s): nothing counts as applied", path, error)
        return PartitionProgress(start)


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


def encode_progress(progress: PartitionProgress) -> bytes:
    """The content of a progress file."""
    content = f"{_MAGIC} {progress.checkpoint}"
    if progress.ahead:
        content = f"{_MAGIC_AHEAD} {progress.checkpoint} {msgspec.json.encode(progress.ahead).hex()}"
    # Without tenants that are ahead, the checksum is that of the digits only: older versions wrote it so.
    summed = content if progress.ahead else str(progress.checkpoint)
    return f"{content} {_checksum(summed)}\n".encode("ascii")


def _decode_progress(text: str) -> PartitionProgress:
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
    return PartitionProgress(int(fields[0]), ahead)


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("ascii"))
