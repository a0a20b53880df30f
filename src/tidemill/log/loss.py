"""Continues a log without entries that are lost for good, when an operator sets `TIDEMILL_ACCEPT_LOSS=N`.

N is the last lost offset. The log continues above N, because no offset is handed out twice: deletions, versions and the
ledger in the store name offsets. Setting the same N again later changes nothing, and accepts no other loss.
"""

import os
from collections.abc import Mapping
from typing import Final

from tidemill.errors import StartupError
from tidemill.model.offset import MAX_PARTITIONS, partition_of, start_of

ACCEPT_LOSS_VARIABLE: Final = "TIDEMILL_ACCEPT_LOSS"
_HIGHEST: Final = start_of(MAX_PARTITIONS)


def accepted_loss(partition: int, environment: Mapping[str, str] = os.environ) -> int:
    """The last offset of a partition whose loss is accepted; 0: none. Raises StartupError when it is not an offset."""
    text = environment.get(ACCEPT_LOSS_VARIABLE, "").strip()
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > _HIGHEST:
        raise StartupError(
            f"{ACCEPT_LOSS_VARIABLE} must be a place in the log, as the message about the loss names it: not '{text}'"
        )
    return int(text) if partition_of(int(text)) == partition else 0


def advice_after_loss(last_lost: int) -> str:
    """A sentence that says what to do when entries up to this offset are lost."""
    return (
        f"Put the complete log back (log.sqlite, log.sqlite-wal and log.high-water of the same moment); to go on "
        f"without what is lost, start once with {ACCEPT_LOSS_VARIABLE}={last_lost}"
    )
