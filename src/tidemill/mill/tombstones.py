"""Reads tombstones: which payloads and single records were deleted, so that they do not return. Costs no query for
payloads that are newer than the last deletion of their tenant, as all live data is."""

from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from tidemill.model.offset import Partition
from tidemill.store.client import Store

TOMBSTONES: Final[dict[str, Any]] = {
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "series": pl.UInt64,
    "reasons": pl.List(pl.String),
}
RECORD: Final = ["seq", "idx"]
_CHUNK: Final = 10_000


class Tombstones:
    """Tombstones of one partition in a store. Remembers the offset of the latest deletion of each tenant."""

    def __init__(self, store: Store, partition: Partition) -> None:
        self._store = store
        self._partition = partition
        self._highest: dict[str, int] | None = None

    def note_deletion(self, tenant: str, seq: int) -> None:
        """Remember that the deletion at this offset is being applied."""
        if self._highest is not None:
            self._highest[tenant] = max(seq, self._highest.get(tenant, 0))

    def drop(self) -> None:
        """Forget the deletions: they are read from the store again."""
        self._highest = None

    def deleted_payloads(self, tenant: str, seqs: Iterable[int]) -> set[int]:
        """The offsets of those of these payloads that are deleted."""
        old = [seq for seq in seqs if seq < self._latest(tenant)]
        if not old:
            return set()
        return {row["seq"] for row in self._store.rows("deletion_deleted_payloads", tenant=tenant, seqs=old)}

    def deleted_records(self, tenant: str, feed: str, seqs: pl.Series) -> pl.DataFrame:
        """TOMBSTONES of these payloads. `series` 0: of the whole record; `reasons`: why it was rejected (empty: it was
        not)."""
        old = seqs.filter(seqs < self._latest(tenant)).unique()
        frames = [pl.DataFrame(schema=TOMBSTONES)]
        for start in range(0, old.len(), _CHUNK):
            part = old[start : start + _CHUNK]
            rows = self._store.frame("deletion_tombstones", tenant=tenant, feed=feed, seqs=part)
            frames.append(rows.select(pl.col(name).cast(kind) for name, kind in TOMBSTONES.items()))
        return pl.concat(frames)

    def _latest(self, tenant: str) -> int:
        if self._highest is None:
            rows = self._store.rows("deletion_highest", **self._partition.bounds)
            self._highest = {row["tenant"]: row["seq"] for row in rows}
        return self._highest.get(tenant, 0)


def without_deleted(records: pl.DataFrame, tombstones: pl.DataFrame) -> pl.DataFrame:
    """Those of these records (`seq`, `idx`) that have no TOMBSTONES as a whole: only these may be in the ledger.
    Pure."""
    whole = tombstones.filter(pl.col("series") == 0)
    return records if whole.is_empty() else records.join(whole, on=RECORD, how="anti")
