"""Going on without entries that are lost for good, because a person says so: `TIDEMILL_ACCEPT_LOSS=N`.

N is the last place that was lost. Places are never handed out again (the store knows them: deletions, versions and the
ledger go by them), so the log goes on above N. Set again later it changes nothing, and accepts no other loss.
"""

import os
from collections.abc import Mapping
from typing import Final

from tidemill.errors import StartupError
from tidemill.model.offset import MAX_PARTITIONS, partition_of, start_of

VARIABLE: Final = "TIDEMILL_ACCEPT_LOSS"
_HIGHEST: Final = start_of(MAX_PARTITIONS)


def accepted_loss(partition: int, environment: Mapping[str, str] = os.environ) -> int:
    """The last place of a partition whose loss is accepted; 0: none. Raises StartupError when it is no place."""
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > _HIGHEST:
        raise StartupError(
            f"{VARIABLE} must be a place in the log, as the message about the loss names it: not '{text}'"
        )
    return int(text) if partition_of(int(text)) == partition else 0


def how_to_go_on(last_lost: int) -> str:
    """What to do when entries up to this place are lost."""
    return (
        f"Put the complete log back (log.sqlite, log.sqlite-wal and log.high-water of the same moment); to go on "
        f"without what is lost, start once with {VARIABLE}={last_lost}"
    )
