"""Erases deleted rows from the store's files: has the parts rewritten that still hold them, and writes the time into
the deletion's receipt once the old parts are removed and the log has erased its bytes, too.

Repeated until then, also after a restart, because no progress of it is saved.
"""

import logging
from collections.abc import Callable
from typing import Final

from tidemill.crash_points import reach
from tidemill.model.offset import ONLY, Partition
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
_TABLES: Final = ("points", "replaced", "rejections", "payloads", "changes", "submissions")


class Eraser:
    """Erases step by step. `log_erased` gives the offset of the deletion up to which the log has erased bytes,
    `checkpoint` the offset up to which everything in the log is applied."""

    def __init__(
        self,
        store: Store,
        log_erased: Callable[[], int],
        clock: Callable[[], int],
        checkpoint: Callable[[], int],
        partition: Partition = ONLY,
    ) -> None:
        self._store = store
        self._log_erased = log_erased
        self._clock = clock
        self._checkpoint = checkpoint
        self._bounds = partition.bounds
        self._begun = 0  # the newest deletion for which parts are being rewritten
        self._rewritten = 0  # the newest deletion whose rows are in no active part
        self._until_s = 0  # parts from up to then may still have them

    def run_step(self) -> bool:
        """Do what can be done now; returns whether something is left for later. Raises StoreUnavailableError,
        StoreQueryError, LogUnavailableError."""
        # Up to the checkpoint all deletions are applied; beyond it tenants are at different offsets.
        checkpoint = self._checkpoint()
        pending = [row for row in self._store.rows("erase_pending", **self._bounds) if row["seq"] <= checkpoint]
        if not pending:
            return False
        newest = max(row["seq"] for row in pending)
        if newest > self._begun:
            self._rewrite()
            self._begun = newest
        if self._begun > self._rewritten:
            if self._store.rows("erase_under_way")[0]["n"]:
                return True
            self._until_s = int(self._store.rows("erase_now")[0]["now_s"])
            self._rewritten = self._begun
            return True  # the engine keeps old parts for a few minutes
        erased_seq = min(self._rewritten, self._log_erased())
        done = [row["id"] for row in pending if row["seq"] <= erased_seq]
        if not done:
            return True
        if self._store.rows("erase_old_parts", until=self._until_s)[0]["n"]:
            self._store.command("erase_start_merges")
            return True
        self._store.command("erase_done", ids=done, now=self._clock())
        _log.info("erased what %d deletions concerned", len(done))
        return len(done) < len(pending)

    def _rewrite(self) -> None:
        """Have the engine rewrite all parts with deleted rows. Does not wait until it has."""
        self._store.command("erase_old_bodies")
        masked = {row["table"] for row in self._store.rows("erase_masked")}
        for table in _TABLES:
            if table in masked:
                self._store.command(f"erase_{table}")
            reach("erase.between")
        self._store.command("erase_rollups")
