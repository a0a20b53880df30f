"""Whether a data folder has the catalog that belongs to it. One that lost it is refused: a new, empty catalog knows no
key, so that the server would be open to everybody, and no feed, so that payloads of the log would wait for ever.

Besides the catalog a mark in the folder remembers that there was a key. To go on without what is lost, a person says so
with `TIDEMILL_ACCEPT_CATALOG_LOSS=N`, N being the last place in the log: said again later, it accepts no other loss.
What was closed, or may have been, is closed then.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apsw

from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.inspect import Inspected, inspect
from tidemill.catalog.keys import close_access
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.errors import LogCorruptError, LogDamagedError, LogUnavailableError, StartupError
from tidemill.feeds.recipes import RECIPES
from tidemill.log.database import FILE, open_reader
from tidemill.log.high_water import read_mark
from tidemill.log.local_disk import sync_folder
from tidemill.log.partitions import log_folder, partition_count
from tidemill.log.reader import SqliteLogReader
from tidemill.mill.state_files import position_file, read_progress
from tidemill.model.offset import seq_of, start_of
from tidemill.settings import DEFAULT_TENANT

VARIABLE: Final = "TIDEMILL_ACCEPT_CATALOG_LOSS"
CATALOG: Final = "catalog.sqlite"
CLOSED_MARK: Final = "closed"
_TAIL: Final = 10_000  # entries of the log whose tenants must have feeds
_TAIL_TENANTS: Final = "SELECT DISTINCT tenant FROM (SELECT tenant FROM entries ORDER BY seq DESC LIMIT ?)"
_LAST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'entries'"
_KEY: Final = "tidemill key create --data {folder} --tenant default --scope read,write,admin"

log = logging.getLogger(__name__)


def check_folder(folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a folder whose catalog is lost, damaged, emptied, or does not know any more that there was a key.

    A folder in which nothing was ever received is none of these. Raises StartupError that says what is missing, how to
    put it back, and how to accept the loss; where it is accepted, makes a catalog that is closed, durable on return.
    """
    found = inspect(folder / CATALOG)
    fault = _fault(folder, found)
    if fault is None:
        return
    last = _last_place(folder)
    if environment.get(VARIABLE, "").strip() != str(last):
        raise StartupError(_refusal(folder, fault, last))
    _begin_anew(folder, found)
    log.warning(
        "the catalog was lost, and that is accepted: no key is known, and every request needs one",
        extra={"facts": {"create one with": _KEY.format(folder=folder)}},
    )


def mark_closed(folder: Path) -> None:
    """Remember beside the catalog that there was a key. Durable on return; harmless when repeated."""
    mark = folder / CLOSED_MARK
    if not mark.exists():
        with mark.open("xb") as file:
            file.write(b"there was a key\n")
            os.fsync(file.fileno())
        sync_folder(folder)


def _fault(folder: Path, found: Inspected) -> str | None:
    """What is wrong with a folder's catalog, for what else there is in the folder; None where they fit."""
    marked = (folder / CLOSED_MARK).exists()
    if found.fault is not None:
        nothing_yet = found.fault in ("is missing", "is empty") and not (marked or _began(folder))
        return None if nothing_yet else found.fault
    if marked and not found.closed:
        return "knows of no key, though there was one: it is older than the first key, or its keys are lost"
    without = sorted(_tenants(folder) - found.tenants)
    if without:
        return f"has no feeds of the tenant '{without[0]}', for whom payloads were received"
    if not found.tenants and _last_place(folder) > 0:
        return "has no feeds, though payloads were received"
    return None


def _began(folder: Path) -> bool:
    """Whether anything was ever received, or a store was filled: before that a catalog is always made."""
    store = folder / "store"
    return _last_place(folder) > 0 or (store.is_dir() and any(store.iterdir()))


def _last_place(folder: Path) -> int:
    """The newest place in the log that anything in the folder knows of, of several partitions the sum of theirs; 0:
    none."""
    return sum(seq_of(_last_offset(folder, number)) for number in range(partition_count(folder)))


def _last_offset(folder: Path, partition: int) -> int:
    """The newest offset of a partition that anything in the folder knows of; the one before its first: none."""
    known = read_progress(position_file(folder, partition), start_of(partition)).highest
    with suppress(OSError, LogCorruptError):
        known = max(known, read_mark(log_folder(folder, partition) / "log.high-water")[0])
    for (seq,) in _ask_log(folder, partition, _LAST):
        known = max(known, seq)
    return known


def _tenants(folder: Path) -> frozenset[str]:
    """The tenants of the newest entries of every partition of the log."""
    return frozenset().union(*(_tenants_of(folder, number) for number in range(partition_count(folder))))


def _tenants_of(folder: Path, partition: int) -> frozenset[str]:
    """The same of one partition, without damaged entries: one flipped bit makes another tenant, whom no catalog
    knows."""
    log = SqliteLogReader(log_folder(folder, partition), quiet=True)
    try:
        return frozenset(header.tenant for header in log.headers(max(0, log.last_seq() - _TAIL), _TAIL))
    except LogDamagedError:
        return frozenset()
    except LogUnavailableError:  # there is none, or it is of an older version
        return frozenset(tenant for (tenant,) in _ask_log(folder, partition, _TAIL_TENANTS, _TAIL))
    finally:
        log.close()


def _ask_log(folder: Path, partition: int, sql: str, *bound: int) -> list[tuple[Any, ...]]:
    """The rows of a question to a partition; none where there is no log, or one that cannot be read: that is its
    owner's matter, who says it better."""
    with suppress(apsw.Error, OSError):
        connection = open_reader(log_folder(folder, partition) / FILE)
        try:
            return list(connection.execute(sql, bound))
        finally:
            connection.close()
    return []


def _refusal(folder: Path, fault: str, last: int) -> str:
    return (
        f"The catalog {folder / CATALOG} {fault}. It holds the keys and the feeds; to start without it would open the "
        f"server to everybody, and what the log holds could not be applied.\n"
        f"Put {CATALOG} (with its -wal, if there is one) back from a backup, and start again.\n"
        f"If it is gone for good: start once with {VARIABLE}={last}. The keys and feeds that are missing stay lost "
        f"then (the recipes are made again), every request needs a key, and you create one with\n"
        f"  {_KEY.format(folder=folder)}"
    )


def _begin_anew(folder: Path, found: Inspected) -> None:
    """Make the catalog one that is closed and has the recipes. A file that cannot be used is put aside, not removed."""
    mark_closed(folder)
    if found.fault is not None:
        for path in sorted(folder.glob(f"{CATALOG}*")):
            path.rename(path.with_name(path.name.replace("catalog", "catalog-lost", 1)))
    catalog = SqliteCatalog(folder / CATALOG)
    try:
        close_access(catalog)
        for tenant in {DEFAULT_TENANT, *_tenants(folder)}:
            CatalogFeeds(catalog).install(tenant, RECIPES)
    finally:
        catalog.close()
