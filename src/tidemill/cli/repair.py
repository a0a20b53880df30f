"""`tidemill verify --repair`: the steps before the store is opened, with the open store, and after the verification.

No file is deleted: damaged files of the log and broken parts of tables are kept under other names.
"""

from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidemill.cli.common import err
from tidemill.errors import LogUnavailableError, StartupError

if TYPE_CHECKING:
    from tidemill.log.at_rest import Repaired
    from tidemill.model.verification import VerifyReport
    from tidemill.store.client import Store

_ASIDE: Final = "set-aside"


def repair_before(folder: Path) -> None:
    """Repair the files of the log and of the catalog so that they can be opened, and move broken parts of tables away.

    Raises StartupError while a server runs, LogCorruptError when the log cannot be read at all.
    """
    from tidemill.catalog.opening import repair_catalog_tails
    from tidemill.lock import FolderLock
    from tidemill.log.opening import log_files
    from tidemill.log.partitions import partition_count
    from tidemill.mill.state_files import mill_states

    log = log_files(folder)
    if not log.exist():
        raise StartupError(f"There is no Tidemill data in '{folder}'. Name its folder with --data or TIDEMILL_DATA.")
    with ExitStack() as locks:
        locks.callback(FolderLock(folder, "serve.lock").release)
        locks.enter_context(log.owned())
        try:
            for path in repair_catalog_tails(folder):
                _say(f"repaired: {path.name} was damaged, and is read to its end again")
            known = [state.progress().highest for state in mill_states(folder, partition_count(folder))]
            for sentence in log.repair_files(known):
                _say(f"repaired: {sentence}")
            _move_parts(folder)
        except (LogUnavailableError, OSError) as error:
            raise StartupError(f"The log in '{folder}' cannot be repaired: {error}") from error


def repair_with(folder: Path, store: "Store") -> None:
    """Repair damaged entries of the log, from their own bytes or from the store, and set damaged parts of the store
    aside whose rows the log still has."""
    from tidemill.log.opening import log_files, open_log_reader
    from tidemill.mill.verify.repair import stored_body
    from tidemill.mill.verify.repair_parts import repair_parts

    _print(log_files(folder).repair_entries(partial(stored_body, store)))
    with closing(open_log_reader(folder)) as log:
        _print(repair_parts(log, store, lambda: _mark_reapply(folder)))


def repair_after(folder: Path, store: "Store", report: "VerifyReport") -> bool:
    """Repair the store by the findings of a report; returns whether anything was done."""
    from tidemill.log.opening import open_log_reader
    from tidemill.mill.verify.repair import repair_store

    moved = folder / "store" / _ASIDE / "new"
    with closing(open_log_reader(folder)) as log:
        repaired = repair_store(folder, log, store, report, again=moved.exists())
    moved.unlink(missing_ok=True)
    _print(repaired)
    return bool(repaired.done)


def _move_parts(folder: Path) -> None:
    """Move the parts that the engine set aside as broken out of its folder. The file `new` outlives a crash in between,
    so that their rows are applied again."""
    aside = folder / "store" / _ASIDE
    for part in sorted((folder / "store" / "chdb" / "store").glob("*/*/detached/broken*")):
        _mark_reapply(folder)
        part.rename(aside / f"{part.parent.parent.name}-{part.name}")
        _say(f"repaired: the broken part {part.name} is moved to {aside}")


def _mark_reapply(folder: Path) -> None:
    """Record that all of the log is to be applied again."""
    (folder / "store" / _ASIDE).mkdir(exist_ok=True)
    (folder / "store" / _ASIDE / "new").touch()


def _print(repaired: "Repaired") -> None:
    for sentence in repaired.done:
        _say(f"repaired: {sentence}")
    for sentence in repaired.lost:
        _say(f"gone for good: {sentence}")


def _say(text: str) -> None:
    err.print(text, highlight=False, markup=False, soft_wrap=True)
