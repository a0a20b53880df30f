"""The rollup windows that a batch affects: which they are, how they are published, and which of them are restated.

Of windows that live data opens nothing is published yet, so they are not read from the store. A batch that may have
been cut short (`from_seq` above 0) is compared with the changes that its first attempt wrote.
"""

import msgspec
import polars as pl

from tidemill.crash_points import reach
from tidemill.mill import changes, rollups
from tidemill.mill.context import MillContext


class AffectedWindows(msgspec.Struct, frozen=True, kw_only=True):
    """Rollup windows of a feed that must be computed again (`changes.AFFECTED`, and `maybe_published`); `every` and
    `late` in ns; `from_seq`: the first payload of a batch of which an attempt may have written changes, else 0.
    """

    tenant: str
    feed: str
    every: int
    late: int
    windows: pl.DataFrame
    from_seq: int

    def maybe_published(self) -> pl.DataFrame:
        """The windows that may be published already."""
        return self.windows if self.from_seq else self.windows.filter("maybe_published")

    def publish(self, context: MillContext, version: int) -> None:
        """Write the rollups of the windows, after the changes of those that were published. Raises
        StoreUnavailableError, StoreQueryError."""
        store, status = context.store, context.status
        tenant, every, windows = self.tenant, self.every, self.maybe_published()
        present = rollups.read_window_values(
            store, context.known, tenant=tenant, every=every, windows=self.windows, late=self.late
        )
        stored = rollups.read_stored_windows(store, tenant=tenant, every=every, windows=windows)
        announced = None
        if self.from_seq:
            announced = rollups.read_announced_windows(
                store, tenant=tenant, every=every, windows=windows, from_seq=self.from_seq
            )
        changed, rows = self.rows(present, stored, announced, version=version, now=context.clock())
        if not changed.is_empty():
            store.insert("changes", changed)
            context.known.restate(changed["series"].to_list(), changed["time"].cast(pl.Int64).to_list())
            status.changes += changed.height
            status.restatements += changed.height
            reach("mill.after_told")
        store.insert("rollups", rows)

    def rows(
        self,
        present: pl.DataFrame,
        stored: pl.DataFrame,
        announced: pl.DataFrame | None,
        *,
        version: int,
        now: int,
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rows of tables `changes` and `rollups`, given the windows as the points make them now (`rollups.VALUES`), as
        they are `stored` (`rollups.STORED`), and as they were `announced` (`rollups.ANNOUNCED`; null: never). Pure."""
        published = stored.select(*rollups.KEY, "mean", "count", "min", "max")
        if announced is not None:
            stored, published = _with_announced(stored, published, announced)
        changed = changes.restated_windows(present, published, self.windows)
        restated = changed.select("series", window="time")
        return (
            changes.change_rows(
                changed, tenant=self.tenant, feed=self.feed, now=now, version=version, every=self.every
            ),
            rollups.rollup_rows(
                present, stored, restated, tenant=self.tenant, every=self.every, version=version, now=now
            ),
        )  # fmt: skip


def affected_windows(
    states: pl.DataFrame, points: pl.DataFrame, changed: pl.DataFrame, *, every: int, late: int
) -> pl.DataFrame:
    """AFFECTED with `maybe_published`: the windows of a batch's points and of its CHANGED points, given what was known
    of their series (SERIES_STATES) before. Pure."""
    windows = changes.windows_of_batch(points, changed, every=every, late=late)
    windows = windows.join(states.select("series", "latest", "restated_until"), on="series", how="left")
    opened = pl.col("window") > pl.col("latest")
    restated = pl.col("window") <= pl.col("restated_until")
    return windows.with_columns(maybe_published=(pl.col("why").is_not_null() & ~opened) | restated).drop(
        "latest", "restated_until"
    )


def _with_announced(
    stored: pl.DataFrame, published: pl.DataFrame, announced: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(STORED with the time of an announced restatement, the windows as they were published last: as announced by an
    attempt that was cut short, else as stored)."""
    stored = stored.join(announced.select(*rollups.KEY, "changed_ns"), on=rollups.KEY, how="left")
    stored = stored.with_columns(restated_ns=pl.max_horizontal("restated_ns", "changed_ns")).drop("changed_ns")
    published = published.join(announced, on=rollups.KEY, how="anti")
    return stored, pl.concat([published, announced.drop("changed_ns")], how="diagonal")
