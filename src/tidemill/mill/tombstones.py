"""Tombstones: which payloads and single records were deleted, so that they do not return. Asking costs nothing for what
is newer than the last deletion of its tenant, which is all live data."""

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
    """Knows the latest deletion of every tenant in a partition; asks the store for the rest."""

    def __init__(self, store: Store, partition: Partition) -> None:
        self._store = store
        self._partition = partition
        self._highest: dict[str, int] | None = None

    def note(self, tenant: str, seq: int) -> None:
        """A deletion is being applied at this place."""
        if self._highest is not None:
            self._highest[tenant] = max(seq, self._highest.get(tenant, 0))

    def drop(self) -> None:
        """Ask the store again."""
        self._highest = None

    def payloads(self, tenant: str, seqs: Iterable[int]) -> set[int]:
        """Those of these payloads that are deleted."""
        old = [seq for seq in seqs if seq < self._latest(tenant)]
        if not old:
            return set()
        return {row["seq"] for row in self._store.rows("deletion_deleted_payloads", tenant=tenant, seqs=old)}

    def records(self, tenant: str, feed: str, seqs: pl.Series) -> pl.DataFrame:
        """TOMBSTONES of these payloads. `series` 0: the whole record; `reasons`: it was rejected, for these."""
        old = seqs.filter(seqs < self._latest(tenant)).unique()
        frames = [pl.DataFrame(schema=TOMBSTONES)]
        for start in range(0, old.len(), _CHUNK):
            part = old[start : start + _CHUNK]
            found = self._store.frame("deletion_tombstones", tenant=tenant, feed=feed, seqs=part)
            frames.append(found.select(pl.col(name).cast(kind) for name, kind in TOMBSTONES.items()))
        return pl.concat(frames)

    def _latest(self, tenant: str) -> int:
        if self._highest is None:
            rows = self._store.rows("deletion_highest", **self._partition.bounds)
            self._highest = {row["tenant"]: row["seq"] for row in rows}
        return self._highest.get(tenant, 0)


def without_deleted(records: pl.DataFrame, tombstones: pl.DataFrame) -> pl.DataFrame:
    """Those of these records (`seq`, `idx`) that TOMBSTONES do not name whole: only they may be in the ledger. Pure."""
    whole = tombstones.filter(pl.col("series") == 0)
    return records if whole.is_empty() else records.join(whole, on=RECORD, how="anti")
