"""Lets log and catalog forget the bytes of what is deleted: soon after a deletion, and looked after every minute.

The log belongs to this process, the deletion to the mill: what is deleted is read from the store, and how far the log
is stands in the log, where the mill sees it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from tidemill.api.pending_deletions import PendingDeletions
from tidemill.catalog.contract import Catalog
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.errors import TidemillError
from tidemill.log.contract import Capability, IntakeLog, LogPartition
from tidemill.mill.progress import LogProgress
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 60.0
_AGAIN_S: Final = 5.0  # when a reader was in the way


def erase(store: Store, log: IntakeLog, catalog: Catalog, progress: LogProgress) -> bool:
    """Let log and catalog forget what deletions up to each partition's checkpoint concern (beyond it tenants are at
    different offsets); false if a reader of either is in the way. A log that cannot erase keeps the bytes. Raises what
    they do."""
    can_erase = Capability.ERASURE in log.capabilities
    done = [
        _erase(store, kept if can_erase else None, catalog, partition.bounds, applied.checkpoint)
        for kept, (partition, applied) in zip(log.partitions, progress.numbered(), strict=True)
    ]
    return all(done)


def _erase(
    store: Store, partition: LogPartition | None, catalog: Catalog, bounds: Mapping[str, int], checkpoint: int
) -> bool:
    """The same for one partition (null: it cannot erase), whose offsets are within `bounds`."""
    pending = [row for row in store.rows("erase_pending", **bounds) if row["seq"] <= checkpoint]
    newest = max((row["seq"] for row in pending), default=0)
    if newest <= (partition.erased() if partition else 0):
        return True
    for tenant, feed in sorted({(row["tenant"], row["feed"]) for row in pending}):
        until_ns = max(row["applied_ns"] for row in pending if (row["tenant"], row["feed"]) == (tenant, feed))
        CatalogReplays(catalog).remove_values(tenant, feed, until_ns, time.time_ns())
        CatalogVerifications(catalog).remove_findings(tenant, feed, until_ns, time.time_ns())
    if not catalog.erase_removed():
        return False
    if partition is None:
        return True
    kept = {**bounds, "low": max(bounds["low"], partition.first_seq())}
    seqs = [row["seq"] for row in store.rows("deletion_cleared_offsets", **kept)]
    return partition.erase(seqs, newest)


async def keep_erasing(
    store: Store, log: IntakeLog, catalog: Catalog, deleted: PendingDeletions, progress: Callable[[], LogProgress]
) -> None:
    """Erase for as long as the API runs."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(deleted.erase.wait(), LOOK_EVERY_S)
        deleted.erase.clear()
        try:
            if not await asyncio.to_thread(erase, store, log, catalog, progress()):
                await asyncio.sleep(_AGAIN_S)
                deleted.erase.set()
        except TidemillError as error:
            _log.info("the log could not forget what is deleted yet: %s", error.message)
        except Exception:
            _log.exception("the log could not forget what is deleted")
