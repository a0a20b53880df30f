"""`tidemill verify --repair`: the steps before the store is open, with it, and after it was verified.

Nothing is thrown away: damaged files of the log and broken parts of tables are kept under other names.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidemill.cli.common import err
from tidemill.errors import StartupError

if TYPE_CHECKING:
    from tidemill.mill.verify.repair import Repaired
    from tidemill.model.verification import Report
    from tidemill.store.client import Store

_ASIDE: Final = "set-aside"


def repair_before(folder: Path) -> None:
    """Make the files of the log and of the catalog such that they can be opened, and move broken parts of tables away.

    Raises StartupError while a server runs, LogCorruptError when the log cannot be read at all.
    """
    import apsw

    from tidemill.lock import FolderLock
    from tidemill.log import wal
    from tidemill.log.partitions import log_folder, partition_count
    from tidemill.log.rebuild import repair_files
    from tidemill.mill.position import read_all

    if not (folder / "log").is_dir():
        raise StartupError(f"There is no Tidemill data in '{folder}'. Name its folder with --data or TIDEMILL_DATA.")
    count = partition_count(folder)
    logs = [log_folder(folder, number) for number in range(count)]
    locks = [FolderLock(folder, "serve.lock"), *(FolderLock(log, "log.lock") for log in logs)]
    try:
        if wal.mend(folder / "catalog.sqlite-wal"):
            _say("repaired: catalog.sqlite-wal was damaged, and is read to its end again")
        for number, progress in enumerate(read_all(folder, count).partitions):
            for sentence in repair_files(logs[number], progress.highest, number):
                _say(f"repaired: {sentence}")
        _move_parts(folder)
    except (apsw.Error, OSError) as error:
        raise StartupError(f"The log in '{folder}' cannot be repaired: {error}") from error
    finally:
        for lock in reversed(locks):
            lock.release()


def repair_with(folder: Path, store: "Store") -> None:
    """Put damaged entries of the log right, from themselves or from the store, and set damaged parts of the store aside
    whose rows the log can give back."""
    from tidemill.log.partitions import log_folder, partition_count
    from tidemill.mill.verify.repair import repair_entries
    from tidemill.mill.verify.repair_parts import repair_parts

    logs = [log_folder(folder, number) for number in range(partition_count(folder))]
    for number, log in enumerate(logs):
        _print(repair_entries(log, store, number))
    _print(repair_parts(logs, store, lambda: _note_again(folder)))


def repair_after(folder: Path, store: "Store", report: "Report") -> bool:
    """Put right what a report found in the store; whether anything was done."""
    from tidemill.mill.verify.repair import repair_store

    moved = folder / "store" / _ASIDE / "new"
    repaired = repair_store(folder, store, report, again=moved.exists())
    moved.unlink(missing_ok=True)
    _print(repaired)
    return bool(repaired.done)


def _move_parts(folder: Path) -> None:
    """Move the parts that the engine set aside as broken out of its sight; the note `new` outlives a crash in between,
    so that their rows are applied again."""
    aside = folder / "store" / _ASIDE
    for part in sorted((folder / "store" / "chdb" / "store").glob("*/*/detached/broken*")):
        _note_again(folder)
        part.rename(aside / f"{part.parent.parent.name}-{part.name}")
        _say(f"repaired: the broken part {part.name} is moved to {aside}")


def _note_again(folder: Path) -> None:
    """Note that all of the log is to be applied again."""
    (folder / "store" / _ASIDE).mkdir(exist_ok=True)
    (folder / "store" / _ASIDE / "new").touch()


def _print(repaired: "Repaired") -> None:
    for sentence in repaired.done:
        _say(f"repaired: {sentence}")
    for sentence in repaired.gone:
        _say(f"gone for good: {sentence}")


def _say(text: str) -> None:
    err.print(text, highlight=False, markup=False, soft_wrap=True)
