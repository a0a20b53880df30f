"""Lets log and catalog forget the bytes of what is deleted: soon after a deletion, and looked after every minute.

The log belongs to this process, the deletion to the mill: what is deleted is read from the store, and how far the log
is stands in the log, where the mill sees it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tidemill.api.deleted import Deleted
from tidemill.catalog.contract import Catalog
from tidemill.catalog.replays import CatalogReplays
from tidemill.errors import TidemillError
from tidemill.log.contract import IntakeLog
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 60.0
_AGAIN_S: Final = 5.0  # when a reader was in the way


def erase(store: Store, log: IntakeLog, catalog: Catalog, checkpoint: int) -> bool:
    """Let log and catalog forget what deletions up to a checkpoint concern (beyond it tenants are at different
    offsets); false if a reader of either is in the way. Raises what they do."""
    pending = [row for row in store.rows("erase_pending") if row["seq"] <= checkpoint]
    newest = max((row["seq"] for row in pending), default=0)
    if newest <= log.erased():
        return True
    for tenant, feed in sorted({(row["tenant"], row["feed"]) for row in pending}):
        until_ns = max(row["applied_ns"] for row in pending if (row["tenant"], row["feed"]) == (tenant, feed))
        CatalogReplays(catalog).forget_values(tenant, feed, until_ns, time.time_ns())
    if not catalog.scrub():
        return False
    seqs = [row["seq"] for row in store.rows("deletion_places", first=log.first_seq())]
    return log.erase(seqs, newest)


async def keep_erasing(
    store: Store, log: IntakeLog, catalog: Catalog, deleted: Deleted, checkpoint: Callable[[], int]
) -> None:
    """Erase for as long as the API runs."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(deleted.erase.wait(), LOOK_EVERY_S)
        deleted.erase.clear()
        try:
            if not await asyncio.to_thread(erase, store, log, catalog, checkpoint()):
                await asyncio.sleep(_AGAIN_S)
                deleted.erase.set()
        except TidemillError as error:
            _log.info("the log could not forget what is deleted yet: %s", error.message)
        except Exception:
            _log.exception("the log could not forget what is deleted")
