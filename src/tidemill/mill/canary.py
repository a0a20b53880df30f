"""Whether a store that refused a payload takes anything: asked before a payload is given up for the store's answer.

A store that refuses everything (its disk is full, a table is missing, it is read-only, it has no memory left) is waited
for, whatever its answer to a payload was. Rows of probes have no tenant; they are keyed, so there is one of each.
"""

import logging
from collections.abc import Callable
from typing import Final

import polars as pl

from tidemill.errors import StoreQueryError, StoreUnavailableError
from tidemill.log.contract import BacklogReader
from tidemill.mill.apply import Applier
from tidemill.mill.progress import PartitionProgress
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.store.client import Store

_log = logging.getLogger(__name__)
# Not `rejections` and `payloads`: setting a payload aside writes a row of each, and is not done where that is refused.
_TABLES: Final = ("series", "points", "replaced", "changes", "rollups")
_PROBE: Final = pl.DataFrame({"tenant": [""]})
_SMALL_BYTES: Final = 64 << 10
_BACK: Final = 500  # entries of the log behind the checkpoint


class Canary:
    """Probes of one store."""

    def __init__(self, store: Store, applier: Applier, reader: BacklogReader) -> None:
        self._store = store
        self._applier = applier
        self._reader = reader

    def probe(self, refused: StoreQueryError | None = None) -> None:
        """Write a row to every table. Raises StoreUnavailableError where the store refuses that as well, or is away.
        `refused`: why it is asked."""
        for table in _TABLES:
            try:
                self._store.insert(table, _PROBE)
            except StoreQueryError as error:
                raise refusing(error) from refused

    def apply_again(self, progress: PartitionProgress, is_away: Callable[[str], bool]) -> bool:
        """Apply a small payload once more that was applied before: by every stage, look-up and write. None of a tenant
        that `is_away`: something of it is being changed now. False where there is none. Raises StoreUnavailableError
        where the store refuses that."""
        entry = self._applied_before(progress, is_away)
        if entry is None:
            return False
        try:
            self._applier.apply_again(entry)
        except StoreQueryError as error:
            raise refusing(error) from error
        return True

    def _applied_before(self, progress: PartitionProgress, is_away: Callable[[str], bool]) -> LogEntry | None:
        headers = self._reader.headers(max(0, progress.checkpoint - _BACK), _BACK)
        small = [
            one
            for one in headers
            if one.kind is EntryKind.DATA
            and 0 < one.size_bytes <= _SMALL_BYTES
            and progress.applied(one.tenant, one.seq)
        ]
        for tenant in dict.fromkeys(one.tenant for one in reversed(small) if not is_away(one.tenant)):
            seqs = [one.seq for one in small if one.tenant == tenant]
            rows = self._store.rows("mill_plainly_applied", tenant=tenant, seqs=seqs)
            if rows:
                found = self._reader.entries_at([max(row["seq"] for row in rows)])
                return found[0] if found and not found[0].damage else None
        return None


def refusing(error: StoreQueryError) -> StoreUnavailableError:
    """A store that answers, and refuses everything, is a store to wait for."""
    return StoreUnavailableError(f"The store refuses to work (code {error.store_code}): {error.message}")
