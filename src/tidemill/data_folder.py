"""Checks that a data folder has the catalog that belongs to it. A folder that lost its catalog is refused: a new, empty
catalog has no key, so that the server would be open to everybody, and no feed, so that payloads of the log would wait
for ever.

A mark in the folder, beside the catalog, records that there was a key. To go on without the lost catalog, a person sets
`TIDEMILL_ACCEPT_CATALOG_LOSS=N`, where N is the last offset of the log, so that the same value accepts no later loss.
The new catalog is closed: every request needs a key.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.keys import close_access
from tidemill.catalog.opening import CATALOG_FILE, Inspected, inspect_catalog, open_catalog, put_catalog_aside
from tidemill.durable import sync_folder
from tidemill.errors import StartupError
from tidemill.feeds.recipes import RECIPES
from tidemill.log.opening import log_files
from tidemill.mill.state_files import position_file, read_progress
from tidemill.model.offset import seq_of, start_of
from tidemill.settings import DEFAULT_TENANT

VARIABLE: Final = "TIDEMILL_ACCEPT_CATALOG_LOSS"
CLOSED_MARK: Final = "closed"
_TAIL: Final = 10_000  # entries of the log whose tenants must have feeds
_KEY: Final = "tidemill key create --data {folder} --tenant default --scope read,write,admin"

log = logging.getLogger(__name__)


def check_folder(folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a folder whose catalog is lost, damaged, emptied, or has no trace of the key that there was.

    A folder in which nothing was ever received is not refused. Raises StartupError that says what is missing, how to
    restore it, and how to accept the loss; where the loss is accepted, makes a closed catalog, durable on return.
    """
    inspected = inspect_catalog(folder)
    fault = _fault(folder, inspected)
    if fault is None:
        return
    last = _last_offset(folder)
    if environment.get(VARIABLE, "").strip() != str(last):
        raise StartupError(_refusal(folder, fault, last))
    _replace_catalog(folder, inspected)
    log.warning(
        "the catalog was lost, and that is accepted: no key is known, and every request needs one",
        extra={"facts": {"create one with": _KEY.format(folder=folder)}},
    )


def mark_closed(folder: Path) -> None:
    """Record beside the catalog that there was a key. Durable on return; may be repeated."""
    mark = folder / CLOSED_MARK
    if not mark.exists():
        with mark.open("xb") as file:
            file.write(b"there was a key\n")
            os.fsync(file.fileno())
        sync_folder(folder)


def _fault(folder: Path, inspected: Inspected) -> str | None:
    """What is wrong with a folder's catalog, compared with the rest of the folder; None: nothing."""
    marked = (folder / CLOSED_MARK).exists()
    if inspected.fault is not None:
        unused = inspected.fault in ("is missing", "is empty") and not (marked or _is_used(folder))
        return None if unused else inspected.fault
    if marked and not inspected.closed:
        return "knows of no key, though there was one: it is older than the first key, or its keys are lost"
    without = sorted(_tenants(folder) - inspected.tenants)
    if without:
        return f"has no feeds of the tenant '{without[0]}', for whom payloads were received"
    if not inspected.tenants and _last_offset(folder) > 0:
        return "has no feeds, though payloads were received"
    return None


def _is_used(folder: Path) -> bool:
    """Whether anything was ever received, or a store exists: the catalog is always made before both."""
    store = folder / "store"
    return _last_offset(folder) > 0 or (store.is_dir() and any(store.iterdir()))


def _last_offset(folder: Path) -> int:
    """The newest offset in the log or in the mill's saved progress, summed over the partitions; 0: none."""
    ends = enumerate(log_files(folder).ends())
    return sum(
        seq_of(max(end, read_progress(position_file(folder, number), start_of(number)).highest)) for number, end in ends
    )


def _tenants(folder: Path) -> frozenset[str]:
    """The tenants of the newest entries of the log."""
    return log_files(folder).tenants(_TAIL)


def _refusal(folder: Path, fault: str, last: int) -> str:
    return (
        f"The catalog {folder / CATALOG_FILE} {fault}. It holds the keys and the feeds; to start without it would open "
        f"the server to everybody, and what the log holds could not be applied.\n"
        f"Put {CATALOG_FILE} (with its -wal, if there is one) back from a backup, and start again.\n"
        f"If it is gone for good: start once with {VARIABLE}={last}. The keys and feeds that are missing stay lost "
        f"then (the recipes are made again), every request needs a key, and you create one with\n"
        f"  {_KEY.format(folder=folder)}"
    )


def _replace_catalog(folder: Path, inspected: Inspected) -> None:
    """Make a closed catalog with the recipes. A file that cannot be used is put aside, not removed."""
    mark_closed(folder)
    if inspected.fault is not None:
        put_catalog_aside(folder)
    catalog = open_catalog(folder)
    try:
        close_access(catalog)
        for tenant in {DEFAULT_TENANT, *_tenants(folder)}:
            CatalogFeeds(catalog).install(tenant, RECIPES)
    finally:
        catalog.close()
