"""Checks whether a store that refused a payload takes other rows, before the payload is given up.

The mill waits for a store that refuses everything (its disk is full, a table is missing, it is read-only, it has no
memory left), whatever it answered to a payload. The rows of probes have no tenant and are keyed, so each table has one.
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
_TABLES: Final = ("series", "points", "replaced", "changes", "rollups", "submissions")
_PROBE: Final = pl.DataFrame({"tenant": [""]})
_SMALL_BYTES: Final = 64 << 10
_LOOK_BACK: Final = 500  # entries of the log behind the checkpoint


class Canary:
    """Probes one store."""

    def __init__(self, store: Store, applier: Applier, reader: BacklogReader) -> None:
        self._store = store
        self._applier = applier
        self._reader = reader

    def probe(self, refused: StoreQueryError | None = None) -> None:
        """Write a row to every table. Raises StoreUnavailableError where the store refuses that as well, or is away.
        `refused`: the answer that made the probe necessary."""
        for table in _TABLES:
            try:
                self._store.insert(table, _PROBE)
            except StoreQueryError as error:
                raise store_refuses_all(error) from refused

    def apply_again(self, progress: PartitionProgress, is_away: Callable[[str], bool]) -> bool:
        """Apply a small payload once more that was applied before, with every stage, look-up and write; returns false
        where there is none. Takes no payload of a tenant that `is_away`, because that tenant is being changed now.
        Raises StoreUnavailableError where the store refuses the payload."""
        entry = self._applied_before(progress, is_away)
        if entry is None:
            return False
        try:
            self._applier.apply_again(entry)
        except StoreQueryError as error:
            raise store_refuses_all(error) from error
        return True

    def _applied_before(self, progress: PartitionProgress, is_away: Callable[[str], bool]) -> LogEntry | None:
        headers = self._reader.headers(max(0, progress.checkpoint - _LOOK_BACK), _LOOK_BACK)
        small = [
            header
            for header in headers
            if header.kind is EntryKind.DATA
            and 0 < header.size_bytes <= _SMALL_BYTES
            and progress.applied(header.tenant, header.seq)
        ]
        for tenant in dict.fromkeys(header.tenant for header in reversed(small) if not is_away(header.tenant)):
            seqs = [header.seq for header in small if header.tenant == tenant]
            rows = self._store.rows("mill_plainly_applied", tenant=tenant, seqs=seqs)
            if rows:
                entries = self._reader.entries_at([max(row["seq"] for row in rows)])
                return entries[0] if entries and not entries[0].damage else None
        return None


def store_refuses_all(error: StoreQueryError) -> StoreUnavailableError:
    """The error of a store that answers but refuses everything: the mill waits for it."""
    return StoreUnavailableError(f"The store refuses to work (code {error.store_code}): {error.message}")
