"""The embedded log's files in a data folder, for commands. Keeps the promises of `log/at_rest.py`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw

from tidemill.errors import LogCorruptError, LogDamagedError, LogUnavailableError
from tidemill.lock import FolderLock
from tidemill.log.at_rest import Repaired
from tidemill.log.damage import LogDamage
from tidemill.log.partitions import log_folder
from tidemill.log.sqlite import continuation, database, high_water, mending
from tidemill.log.sqlite.reader import SqliteLogReader
from tidemill.log.sqlite.rebuild import repair_files
from tidemill.model.offset import start_of
from tidemill.sqlite import wal
from tidemill.sqlite.copies import FileSnapshot, open_read_only, structure_fault

_TAIL_TENANTS: Final = "SELECT DISTINCT tenant FROM (SELECT tenant FROM entries ORDER BY seq DESC LIMIT ?)"
_BEYOND: Final = "SELECT count(*) FROM entries WHERE seq > ?"
_AHEAD: Final = "SELECT count(*) FROM entries WHERE tenant = ? AND seq > ? AND seq <= ?"


class SqliteLogFiles:
    """The log of `count` partitions in a data folder."""

    not_copied: Final = (f"{database.LOG_FILE}*", high_water.HIGH_WATER_FILE)

    def __init__(self, data: Path, count: int) -> None:
        self._data = data
        self._folders = [log_folder(data, number) for number in range(count)]

    def exist(self) -> bool:
        """See `LogFiles.exist`."""
        return self._folders[0].is_dir()

    def ends(self) -> list[int]:
        """See `LogFiles.ends`."""
        return [_end(folder) for folder in self._folders]

    def tenants(self, count: int) -> frozenset[str]:
        """See `LogFiles.tenants`."""
        return frozenset().union(*(_tenants(folder, count) for folder in self._folders))

    @contextmanager
    def owned(self) -> Iterator[None]:
        """See `LogFiles.owned`."""
        with ExitStack() as locks:
            for folder in self._folders:
                locks.callback(FolderLock(folder, database.LOG_LOCK).release)
            yield

    def repair_tails(self) -> list[Path]:
        """See `LogFiles.repair_tails`."""
        return [path for folder in self._folders if wal.repair_wal(path := folder / f"{database.LOG_FILE}-wal")]

    def repair_files(self, known: Sequence[int]) -> list[str]:
        """See `LogFiles.repair_files`."""
        done: list[str] = []
        for number, (folder, known_offset) in enumerate(zip(self._folders, known, strict=True)):
            with _as_unavailable(folder):
                done += repair_files(folder, known_offset, number)
        return done

    def repair_entries(self, stored_body: Callable[[LogDamage], bytes]) -> Repaired:
        """See `LogFiles.repair_entries`."""
        repaired = Repaired([], [])
        for number, folder in enumerate(self._folders):
            with _as_unavailable(folder):
                mending.repair_entries(folder / database.LOG_FILE, start_of(number), stored_body, repaired)
        return repaired

    def snapshot(self) -> "SqliteLogSnapshot":
        """See `LogFiles.snapshot`."""
        return SqliteLogSnapshot(self._data, self.snapshot_names)

    @property
    def snapshot_names(self) -> list[str]:
        """See `LogFiles.snapshot_names`."""
        return [(folder / database.LOG_FILE).relative_to(self._data).as_posix() for folder in self._folders]

    def snapshot_faults(self) -> list[tuple[str, str]]:
        """See `LogFiles.snapshot_faults`."""
        return [(name, fault) for name in self.snapshot_names if (fault := structure_fault(self._data / name))]

    def finish_restored(self, last_seqs: Sequence[int]) -> None:
        """See `LogFiles.finish_restored`."""
        for folder, last_seq in zip(self._folders, last_seqs, strict=True):
            continuation.finish_restored_partition(folder, last_seq)


class SqliteLogSnapshot:
    """A snapshot of the files of these names in a data folder: a read transaction on each. Keeps the promises of
    `LogSnapshot`."""

    software: Final = apsw.sqlite_lib_version()

    def __init__(self, data: Path, names: Sequence[str]) -> None:
        self._files: dict[str, FileSnapshot] = {}
        try:
            for name in names:
                self._files[name] = FileSnapshot(data / name)
        except OSError:
            self.close()
            raise

    def begin(self) -> None:
        """See `LogSnapshot.begin`: the first query after BEGIN fixes what a read transaction sees."""
        for file in self._files.values():
            file.begin()
            file.value(database.SELECT_LAST_SEQ)

    @property
    def first_seqs(self) -> list[int]:
        """See `LogSnapshot.first_seqs`."""
        return [file.value(database.SELECT_FIRST_SEQ) or 0 for file in self._files.values()]

    @property
    def last_seqs(self) -> list[int]:
        """See `LogSnapshot.last_seqs`."""
        return [file.value(database.SELECT_LAST_SEQ) or 0 for file in self._files.values()]

    @property
    def sizes(self) -> dict[str, int]:
        """See `LogSnapshot.sizes`."""
        return {name: file.size for name, file in self._files.items()}

    def waiting(self, partition: int, checkpoint: int, ahead: Mapping[str, int]) -> int:
        """See `LogSnapshot.waiting`."""
        file = list(self._files.values())[partition]
        beyond = file.value(_BEYOND, checkpoint)
        applied = sum(file.value(_AHEAD, tenant, checkpoint, offset) for tenant, offset in ahead.items())
        return int(beyond - applied)

    def copy(self, name: str, to: Path, progress: Callable[[int], None]) -> None:
        """See `LogSnapshot.copy`."""
        self._files[name].copy(to, progress)

    def close(self) -> None:
        """See `LogSnapshot.close`."""
        for file in self._files.values():
            file.close()


def _end(folder: Path) -> int:
    mark = 0
    with suppress(OSError, LogCorruptError):
        mark = high_water.read_mark(folder / high_water.HIGH_WATER_FILE)[0]
    last_seqs: list[int] = _first_column(folder, database.SELECT_LAST_SEQ)
    return max(mark, *last_seqs, 0)


def _tenants(folder: Path, count: int) -> frozenset[str]:
    log = SqliteLogReader(folder, quiet=True)
    try:
        return frozenset(header.tenant for header in log.headers(max(0, log.last_seq() - count), count))
    except LogDamagedError:
        return frozenset()
    except LogUnavailableError:  # there is no file, or it is of an older version
        return frozenset(_first_column(folder, _TAIL_TENANTS, count))
    finally:
        log.close()


def _first_column(folder: Path, sql: str, *params: int) -> list[Any]:
    """The values of a query's one column, without nulls; [] when there is no log or it cannot be read, which the
    log's owner reports when it opens the log."""
    with suppress(apsw.Error, OSError):
        connection = open_read_only(folder / database.LOG_FILE)
        try:
            return [value for (value,) in connection.execute(sql, params) if value is not None]
        finally:
            connection.close()
    return []


@contextmanager
def _as_unavailable(folder: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise LogUnavailableError(f"the log in {folder} cannot be repaired: {error}") from error
