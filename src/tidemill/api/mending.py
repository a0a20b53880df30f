"""Restores the bytes of damaged entries of the log from the store's copy, where that matches the entry's sha256.

Tries each known damage once, a few seconds after it was noticed. Damage that stays is shown by health and left to
`tidemill verify --repair`.
"""

import asyncio
import logging
from typing import Final

from tidemill.errors import StoreDamagedError, TidemillError
from tidemill.log.contract import IntakeLog
from tidemill.log.damage import LogDamage
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 5.0


def mend_entries(store: Store, log: IntakeLog, tried: set[int]) -> None:
    """Try to mend each damaged entry that is not in `tried`, and add it. Raises TidemillError: call again later."""
    for damage in log.known_damages():
        if damage.seq in tried or not damage.receipt:
            continue
        body = _body(store, log, damage)
        if body is not None and log.mend(damage.seq, body):
            _log.warning("entry %d of the log is mended", damage.seq)
        tried.add(damage.seq)


def _body(store: Store, log: IntakeLog, damage: LogDamage) -> bytes | None:
    """The bytes of a damaged entry: from the log where reading it mends it, else from the store; null: none."""
    if damage.mended:
        entry = log.find(damage.tenant, damage.receipt)
        return None if entry is None or entry.damage else entry.payload.body
    try:
        return store.raw("payload_body", "RawBLOB", tenant=damage.tenant, receipt=damage.receipt)
    except StoreDamagedError:
        return None


async def keep_mending(store: Store, log: IntakeLog) -> None:
    """Mend for as long as the API runs."""
    tried: set[int] = set()
    while True:
        try:
            await asyncio.to_thread(mend_entries, store, log, tried)
        except TidemillError as error:
            _log.debug("damaged entries of the log are not mended yet: %s", error.message)
        except Exception:
            _log.exception("damaged entries of the log could not be mended")
        await asyncio.sleep(LOOK_EVERY_S)
