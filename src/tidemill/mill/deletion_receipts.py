"""Writes the receipts of deletions: rows of table `deletions`. A receipt is written twice, so that an interrupted
deletion is noticed: with its counts before anything is deleted, and as applied when everything is."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.mill.context import MillContext
from tidemill.model.deletion import Deletion
from tidemill.model.payload import LogEntry
from tidemill.model.time import NS_PER_S
from tidemill.store.tables import table

_PENDING, _APPLIED = 1, 2  # versions of a receipt
_COUNTS: Final = ("points", "records", "payloads", "payloads_kept")
Counts = Mapping[str, int]
Counted = tuple[LogEntry, Deletion, Counts]


class DeletionReceiptRows:
    """Receipts of deletions in one store. Raises StoreUnavailableError, StoreQueryError."""

    def __init__(self, context: MillContext) -> None:
        self._store = context.store
        self._clock = context.clock

    def pending(self, tenant: str, entries: Sequence[LogEntry]) -> dict[str, Counts | None]:
        """Those of these deletions that are to be applied: by id the counts that a first attempt wrote, null if there
        was none."""
        pending: dict[str, Counts | None] = {entry.payload.receipt: None for entry in entries}
        for row in self._store.rows("deletion_rows", tenant=tenant, ids=list(pending)):
            if row["applied_ns"]:
                del pending[row["id"]]
            else:
                pending[row["id"]] = {name: row[name] for name in _COUNTS}
        return pending

    def begin(self, tenant: str, rows: Sequence[Counted]) -> None:
        """Write the counts, before anything is deleted."""
        self._write(tenant, rows, 0, _PENDING)

    def finish(self, tenant: str, rows: Sequence[Counted]) -> None:
        """Write that the deletions are applied."""
        self._write(tenant, rows, self._clock(), _APPLIED)

    def _write(self, tenant: str, rows: Sequence[Counted], now: int, version: int) -> None:
        receipts: list[dict[str, Any]] = [
            {
                "tenant": tenant,
                "id": entry.payload.receipt,
                "seq": entry.seq,
                "kind": deletion.kind,
                "feed": deletion.feed,
                "selector": msgspec.json.encode(deletion.selector).decode(),
                "requested_at": entry.payload.received_ns,
                "applied_at": max(now, entry.payload.received_ns) if now else 0,
                "erase_by": entry.payload.received_ns + int(deletion.erase_s * NS_PER_S),
                **counts,
                "version": version,
            }
            for entry, deletion, counts in rows
        ]
        self._store.insert("deletions", table("deletions").rows(pl.DataFrame(receipts)))
