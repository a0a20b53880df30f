"""Erases the bytes of deleted data from log and catalog: soon after a deletion, and once a minute.

The mill applies deletions; this process owns the log. So applied deletions are read from the store, and the log keeps
the offset up to which it is erased, where the mill reads it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from tidemill.api.pending_deletions import PendingDeletions
from tidemill.catalog.contract import Catalog
from tidemill.catalog.forecasts import CatalogForecasts
from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.verifications import CatalogVerifications
from tidemill.errors import TidemillError
from tidemill.log.contract import Capability, IntakeLog, LogPartition
from tidemill.mill.progress import LogProgress
from tidemill.query.forecasts import StoredForecastQueries
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 60.0
_AGAIN_S: Final = 5.0  # after a reader held up the erasure


def erase_deleted(store: Store, log: IntakeLog, catalog: Catalog, progress: LogProgress) -> bool:
    """Erase from log and catalog what deletions up to each partition's checkpoint concern (beyond the checkpoint
    tenants are at different offsets). Returns false if a reader of either holds it up. A log that cannot erase keeps
    its bytes. Raises what store, log and catalog raise."""
    can_erase = Capability.ERASURE in log.capabilities
    erased = [
        _erase_in_partition(store, logged if can_erase else None, catalog, partition.bounds, applied.checkpoint)
        for logged, (partition, applied) in zip(log.partitions, progress.numbered(), strict=True)
    ]
    return all(erased)


def _erase_in_partition(
    store: Store, partition: LogPartition | None, catalog: Catalog, bounds: Mapping[str, int], checkpoint: int
) -> bool:
    """As `erase_deleted` for one partition, whose offsets are within `bounds`; null: its log cannot erase."""
    pending = [row for row in store.rows("erase_pending", **bounds) if row["seq"] <= checkpoint]
    newest = max((row["seq"] for row in pending), default=0)
    if newest <= (partition.erased() if partition else 0):
        return True
    for tenant, feed in sorted({(row["tenant"], row["feed"]) for row in pending}):
        until_ns = max(row["applied_ns"] for row in pending if (row["tenant"], row["feed"]) == (tenant, feed))
        CatalogReplays(catalog).remove_values(tenant, feed, until_ns, time.time_ns())
        CatalogVerifications(catalog).remove_findings(tenant, feed, until_ns, time.time_ns())
    for tenant in sorted({row["tenant"] for row in pending}):
        _remove_forecasts(store, CatalogForecasts(catalog), tenant)
    if not catalog.erase_removed():
        return False
    if partition is None:
        return True
    kept = {**bounds, "low": max(bounds["low"], partition.first_seq())}
    seqs = [row["seq"] for row in store.rows("deletion_cleared_offsets", **kept)]
    return partition.erase(seqs, newest)


def _remove_forecasts(store: Store, forecasts: CatalogForecasts, tenant: str) -> None:
    """Remove the stored forecasts of a tenant that were made of deleted points."""
    for forecast in StoredForecastQueries(store).derived_from_deleted(tenant, forecasts.list(tenant)):
        forecasts.remove(tenant, forecast)


async def keep_erasing(
    store: Store, log: IntakeLog, catalog: Catalog, pending: PendingDeletions, progress: Callable[[], LogProgress]
) -> None:
    """Erase deleted data for as long as the API runs."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(pending.erase_due.wait(), LOOK_EVERY_S)
        pending.erase_due.clear()
        try:
            if not await asyncio.to_thread(erase_deleted, store, log, catalog, progress()):
                await asyncio.sleep(_AGAIN_S)
                pending.erase_due.set()
        except TidemillError as error:
            _log.info("the log could not forget what is deleted yet: %s", error.message)
        except Exception:
            _log.exception("the log could not forget what is deleted")
