"""Lets the log forget the bytes of deleted payloads: soon after a deletion, and looked after every minute.

The log belongs to this process, the deletion to the mill: what is deleted is read from the store, and how far the log
is stands in the log, where the mill sees it.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from tidemill.api.deleted import Deleted
from tidemill.errors import TidemillError
from tidemill.log.contract import IntakeLog
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 60.0


def erase(store: Store, log: IntakeLog) -> bool:
    """Let the log forget what is deleted; false if a reader of the log is in the way. Raises what store and log do."""
    newest = max((row["seq"] for row in store.rows("erase_pending")), default=0)
    if newest <= log.erased():
        return True
    seqs = [row["seq"] for row in store.rows("deletion_places", first=log.first_seq())]
    return log.erase(seqs, newest)


async def keep_erasing(store: Store, log: IntakeLog, deleted: Deleted) -> None:
    """Erase for as long as the API runs."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(deleted.erase.wait(), LOOK_EVERY_S)
        deleted.erase.clear()
        try:
            await asyncio.to_thread(erase, store, log)
        except TidemillError as error:
            _log.info("the log could not forget what is deleted yet: %s", error.message)
        except Exception:
            _log.exception("the log could not forget what is deleted")
