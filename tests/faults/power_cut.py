"""A disk that loses power: records what the log writes, and makes what a disk may hold after a cut at any of it.

`Recorder` is a SQLite VFS over the real files: every write, truncation, sync and deletion becomes an `Event`. The
high-water mark is no file of SQLite: its content is looked at with every event. It counts as forced to disk only when
the file is made, and that is one event, as its name is given to it when it is whole (`test_system_calls.py` shows it).
`images` plays events up to a cut and then decides of each write since the file's last sync whether it is kept, dropped,
or torn at sectors; of names that no sync of the folder covered, how many are there. Sizes change in their order, as on
a journaling file system: where a truncation is lost, so is all that was written to that file after it.
"""

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw

MARK = "log.high-water"
SECTORS = (512, 4096)


@dataclass(frozen=True)
class Event:
    """`what` happened to the file `name`: write (`data` at `at`), truncate (to `at`), sync, folder (names are durable
    now), create, appear (with `data`, which is durable), delete, or a note of the test's own (`name` says which, `note`
    what)."""

    what: str
    name: str = ""
    at: int = 0
    data: bytes = b""
    note: object = None


class Recorder(apsw.VFS):
    """Name it as `vfs`; `events` grows in the order in which things happen, whichever thread does them."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, "unix")
        self.name, self.folder = name, folder
        self.events: list[Event] = []
        self._mark = b""
        self._lock = threading.Lock()
        for path in sorted(folder.glob("log.*")):
            self.events += [Event("create", path.name), Event("write", path.name, 0, path.read_bytes())]
            self.events.append(Event("sync", path.name))
        self.events.append(Event("folder"))

    def add(self, event: Event) -> None:
        """Record an event, and before it what became of the high-water mark since the last; one at a time."""
        with self._lock:
            mark = self.folder / MARK
            content = mark.read_bytes() if mark.exists() else b""
            if content != self._mark:
                self.events.append(Event("write" if self._mark else "appear", MARK, 0, content))
                self._mark = content
            self.events.append(event)

    def note(self, name: str, note: object = None) -> None:
        """Record what the test knows at this moment."""
        self.add(Event("note", name, note=note))

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path and not Path(path).exists():
            self.add(Event("create", Path(path).name))
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self.add(Event("delete", Path(filename).name))
        if syncdir:
            self.add(Event("folder"))


class _File(apsw.VFSFile):
    def __init__(self, recorder: Recorder, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._recorder = recorder
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._name = Path(path).name
        self._syncs_folder = self._name.endswith(("-wal", "-journal"))  # SQLite does, with a journal's first sync

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self._recorder.add(Event("write", self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self._recorder.add(Event("truncate", self._name, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._recorder.add(Event("sync", self._name))
        if self._syncs_folder:
            self._syncs_folder = False
            self._recorder.add(Event("folder"))


@dataclass
class _Inode:
    """A file: what the disk surely has of it, and what was done since its last sync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)

    def take(self, event: Event) -> None:
        if event.what != "create":
            self.pending.append(event)
        if event.what == "appear":
            self.sync()

    def sync(self) -> None:
        for event in self.pending:
            _apply(self.durable, event)
        self.pending.clear()

    def after_cut(self, randomness: random.Random) -> bytearray:
        """What the disk may have."""
        content = bytearray(self.durable)
        way = randomness.choice(("none", "all", "first", "some", "torn", "torn", "torn"))
        kept = randomness.random()
        sector = randomness.choice(SECTORS)
        pending = self.pending
        if way == "first":
            pending = pending[: randomness.randint(0, len(pending))]
        for event in pending:
            if way in ("all", "first"):
                _apply(content, event)
            elif way == "torn" and event.what == "write":
                _tear(content, event, sector, kept, randomness)
            elif way != "none" and randomness.random() < kept:
                _apply(content, event)
            elif event.what == "truncate":
                break
        return content


def _apply(content: bytearray, event: Event) -> None:
    end = event.at + len(event.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if event.what == "truncate":
        del content[event.at :]
    else:
        content[event.at : end] = event.data


def _tear(content: bytearray, event: Event, sector: int, kept: float, randomness: random.Random) -> None:
    """Write each sector or leave it; one that is left where the file ended may be there with anything in it."""
    start, end = event.at, event.at + len(event.data)
    while start < end:
        stop = min(end, (start // sector + 1) * sector)
        part = Event("write", event.name, start, event.data[start - event.at : stop - event.at])
        if randomness.random() < kept:
            _apply(content, part)
        elif start >= len(content) and randomness.random() < 0.5:
            garbage = randomness.randbytes(stop - start) if randomness.random() < 0.5 else bytes(stop - start)
            _apply(content, Event("write", event.name, start, garbage))
        start = stop


Image = dict[str, bytearray]


def images(
    events: Sequence[Event], cuts: Sequence[int], randomness: random.Random
) -> Iterator[tuple[int, list[Event], Image]]:
    """For each cut (how many events come before it; in order): the cut, the notes before it, and a disk after it."""
    files: dict[str, _Inode] = {}  # as a process sees the folder
    durable: dict[str, _Inode] = {}  # as the disk surely has it
    changes: list[tuple[str, _Inode | None]] = []  # of names, since the folder was synced
    notes: list[Event] = []
    at = 0
    for cut in cuts:
        for event in events[at:cut]:
            if event.what == "note":
                notes.append(event)
            elif event.what == "folder":
                durable, changes = dict(files), []
            elif event.what == "delete":
                del files[event.name]
                changes.append((event.name, None))
            elif event.what == "sync":
                files[event.name].sync()
            else:
                if event.name not in files:
                    files[event.name] = _Inode()
                    changes.append((event.name, files[event.name]))
                files[event.name].take(event)
        at = cut
        names = dict(durable)
        for name, inode in changes[: randomness.randint(0, len(changes))]:
            if inode is None:
                names.pop(name, None)
            else:
                names[name] = inode
        yield cut, notes, {name: inode.after_cut(randomness) for name, inode in names.items()}
