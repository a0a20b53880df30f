"""Publishes the rollup windows that a batch touched, and tells of those that it restates.

Live data opens new windows: then nothing was published, and what is stored is not asked for. A batch that may have been
cut short (`from_seq` above 0) is compared with what was told already.
"""

from collections.abc import Callable

import msgspec
import polars as pl

from tidemill.crash_points import reach
from tidemill.mill import changes, rollups
from tidemill.mill.known import KnownSeries
from tidemill.mill.status import MillStatus
from tidemill.store.client import Store


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """Rollup windows of a feed that must be computed again (`changes.TOUCHED`, and `ask`: something may be published);
    `every` and `late` in ns; `from_seq`: the first payload of a batch that may have told before, else 0."""

    tenant: str
    feed: str
    every: int
    late: int
    windows: pl.DataFrame
    from_seq: int

    def publish(
        self, store: Store, known: KnownSeries, status: MillStatus, version: int, clock: Callable[[], int]
    ) -> None:
        """Write their rollups, after the changes of those that were published. Raises StoreUnavailableError,
        StoreQueryError."""
        present = rollups.values(
            store, known, tenant=self.tenant, every=self.every, windows=self.windows, late=self.late
        )
        stored, before = self._published(store)
        now = clock()
        changed = changes.restated(present, before, self.windows)
        if not changed.is_empty():
            rows = changes.change_rows(
                changed, tenant=self.tenant, feed=self.feed, now=now, version=version, every=self.every
            )
            store.insert("changes", rows)
            known.restate(changed["series"].to_list(), changed["time"].to_list())
            status.changes += changed.height
            status.restatements += changed.height
            reach("mill.after_told")
        restated = changed.select("series", window="time")
        rollups.publish(
            store, present, stored, restated, tenant=self.tenant, every=self.every, version=version, now=now
        )

    def _published(self, store: Store) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What is stored of the windows that may be there, and what was said of them last: stored, or told and then
        cut short."""
        asked = self.windows if self.from_seq else self.windows.filter("ask")
        stored = rollups.stored(store, tenant=self.tenant, every=self.every, windows=asked)
        said = stored.select(*rollups.KEY, "mean", "count", "min", "max")
        if not self.from_seq:
            return stored, said
        told = rollups.told(store, tenant=self.tenant, every=self.every, windows=asked, from_seq=self.from_seq)
        stored = stored.join(told.select(*rollups.KEY, "changed_ns"), on=rollups.KEY, how="left")
        stored = stored.with_columns(restated_ns=pl.max_horizontal("restated_ns", "changed_ns")).drop("changed_ns")
        said = said.join(told, on=rollups.KEY, how="anti")
        return stored, pl.concat([said, told.drop("changed_ns")], how="diagonal")


def touched(known: KnownSeries, points: pl.DataFrame, changed: pl.DataFrame, *, every: int, late: int) -> pl.DataFrame:
    """The windows of a batch's points and of its CHANGED points, with `ask`. Before `known` learns of the points."""
    found = changes.touched(points, changed, every=every, late=late)
    found = found.join(known.history(found["series"].unique()), on="series", how="left")
    opened = pl.col("window") > pl.col("latest")
    restated = pl.col("window") <= pl.col("restated_until")
    return found.with_columns(ask=(pl.col("why").is_not_null() & ~opened) | restated).drop("latest", "restated_until")
