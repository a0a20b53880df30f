"""Keeps what replays change in the store, row by row, so that it can be read in pages: windows, points and records.

A dry run is for looking at what it would change. The rows are written when a replay is concluded, before it is over or
published, and dropped when it is cancelled or fails, when something of its feed is deleted, and when the tenant has
newer ones.
"""

from collections.abc import Collection
from typing import Any, Final

import polars as pl

from tidemill.mill.replay.conclude import Conclusion
from tidemill.mill.replay.plan import RECORD
from tidemill.model.replay import Replay
from tidemill.store.client import Store
from tidemill.store.tables import table

MAX_ROWS: Final = 1_000_000  # of a kind; those with the largest change
KEPT: Final = 20  # replays of a tenant
_INSERT_ROWS: Final = 200_000
_TABLE: Final = "replay_differences"


class KeptDifferences:
    """The differences in one store. Everything raises StoreUnavailableError, StoreQueryError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, replay: Replay, conclusion: Conclusion, selection: pl.DataFrame, every_s: int) -> None:
        """Write the difference of a replay, in place of an older one. `every_s`: of its windows; `selection` has the
        receipts of its payloads."""
        self.drop(replay.tenant, replay.id)
        frames = {
            "windows": _windows(conclusion, every_s),
            "points": _points(conclusion),
            "records": _records(conclusion, selection),
        }
        fixed: dict[str, Any] = {"tenant": replay.tenant, "replay": replay.id, "feed": replay.request.feed}
        for kind, frame in frames.items():
            numbered = frame.head(MAX_ROWS).with_columns(row=pl.int_range(pl.len(), dtype=pl.UInt64))
            rows = table(_TABLE).rows(_with_defaults(numbered), **fixed, kind=kind)
            for part in rows.iter_slices(_INSERT_ROWS):
                if part.height:
                    self._store.insert(_TABLE, table(_TABLE).without_null_lists(part))

    def drop(self, tenant: str, replay: str) -> None:
        """Remove the difference of a replay, if it is there."""
        self._store.command("replay_difference_drop", tenant=tenant, replay=replay)

    def drop_feed(self, tenant: str, feed: str) -> None:
        """Remove the differences of all replays of a feed: something of it is deleted, and they have its values."""
        for row in self._store.rows("replay_difference_replays"):
            if (row["tenant"], row["feed"]) == (tenant, feed):
                self.drop(tenant, row["replay"])

    def prune(self, tenant: str, replays: Collection[str]) -> None:
        """Remove the differences of a tenant beyond the newest KEPT, and those of other replays than `replays`."""
        kept = [row["replay"] for row in self._store.rows("replay_difference_replays") if row["tenant"] == tenant]
        newest = [replay for replay in kept if replay in replays][-KEPT:]
        for replay in set(kept) - set(newest):
            self.drop(tenant, replay)


def _windows(conclusion: Conclusion, every_s: int) -> pl.DataFrame:
    size = (pl.col("new_mean") - pl.col("old_mean")).abs()
    rows = conclusion.windows.with_columns(size=size).sort("size", "series", "window", descending=[True, False, False])
    return rows.select(
        "series",
        pl.col("window").alias("time"),
        pl.lit(every_s).alias("every_s"),
        pl.col("old_mean").alias("old"),
        pl.col("new_mean").alias("new"),
        "old_count",
        "new_count",
    )


def _points(conclusion: Conclusion) -> pl.DataFrame:
    size = (pl.col("new") - pl.col("old")).abs()
    rows = conclusion.plan.moved.with_columns(size=size)
    rows = rows.sort("size", "series", "time", descending=[True, False, False])
    counts = (pl.col("was").cast(pl.UInt64).alias("old_count"), pl.col("is").cast(pl.UInt64).alias("new_count"))
    return rows.select("series", "time", "old", "new", *counts)


def _records(conclusion: Conclusion, selection: pl.DataFrame) -> pl.DataFrame:
    receipts = selection.select("seq", "receipt")
    changed = conclusion.records.join(receipts, on="seq", how="left", maintain_order="left")
    return changed.sort(RECORD).drop("seq")


def _with_defaults(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the columns that rows of its kind do not have."""
    declared = table(_TABLE)
    missing = [
        pl.lit(declared.defaults.get(name), kind).alias(name)
        for name, kind in declared.columns.items()
        if name not in frame.columns and name not in ("tenant", "replay", "feed", "kind", "row")
    ]
    return frame.with_columns(missing)
