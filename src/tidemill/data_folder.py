"""Whether a data folder has the catalog that belongs to it. One that lost it is refused: a new, empty catalog knows no
key, so that the server would be open to everybody, and no feed, so that payloads of the log would wait for ever.

Besides the catalog a mark in the folder remembers that there was a key. To go on without what is lost, a person says so
with `TIDEMILL_ACCEPT_CATALOG_LOSS=N`, N being the last place in the log: said again later, it accepts no other loss.
What was closed, or may have been, is closed then.
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
    """Refuse a folder whose catalog is lost, damaged, emptied, or does not know any more that there was a key.

    A folder in which nothing was ever received is none of these. Raises StartupError that says what is missing, how to
    put it back, and how to accept the loss; where it is accepted, makes a catalog that is closed, durable on return.
    """
    found = inspect_catalog(folder)
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


def _begin_anew(folder: Path, found: Inspected) -> None:
    """Make the catalog one that is closed and has the recipes. A file that cannot be used is put aside, not removed."""
    mark_closed(folder)
    if found.fault is not None:
        put_catalog_aside(folder)
    catalog = open_catalog(folder)
    try:
        close_access(catalog)
        for tenant in {DEFAULT_TENANT, *_tenants(folder)}:
            CatalogFeeds(catalog).install(tenant, RECIPES)
    finally:
        catalog.close()
