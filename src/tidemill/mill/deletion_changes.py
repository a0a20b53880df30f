"""Writes what a deletion changes for the readers of the values: rows of table `changes`, and the rollup windows
computed again from the points that are left.

The changes are written before the points are purged, because values and windows are read from those points. They carry
no old values. Once the windows are computed again, their changes are written with the new means and counts.
"""

import polars as pl

from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.mill import rollups
from tidemill.mill.changes import CHANGED, change_rows
from tidemill.mill.context import MillContext
from tidemill.model.deletion import Deletion
from tidemill.model.time import NS_PER_S
from tidemill.store.deletions import DeletionScope
from tidemill.store.tables import table

_BEFORE, _AFTER = 1, 2  # versions of a window's change


class DeletionChanges:
    """Writes the changes of deletions to one store. Raises StoreUnavailableError, StoreQueryError."""

    def __init__(self, context: MillContext, book: FeedBook) -> None:
        self._context = context
        self._store = context.store
        self._book = book

    def announce(self, scope: DeletionScope, seq: int, deletion: Deletion) -> None:
        """Write the changes of the points and windows that the deletion at offset `seq` concerns. Call it before the
        points are purged."""
        params = {"feed": scope.feed, "deletion": seq, "now": self._context.clock()}
        self._store.command("deletion_announce_points", deleted_seqs=scope.deleted_seqs, **params, **scope.points)
        for every_s in self._window_widths_s(scope):
            windows = self._store.frame(
                "deletion_windows", every_s=every_s, inside=deletion.kind == "range", **scope.points
            )
            self._insert(scope, seq, every_s, windows.rename({"count": "old_count"}), _BEFORE)

    def republish(self, scope: DeletionScope, seq: int) -> None:
        """Compute the announced windows again from the points that are left, and write their changes with the
        result."""
        for every_s in self._window_widths_s(scope):
            self._republish(scope, seq, every_s)

    def _republish(self, scope: DeletionScope, seq: int, every_s: int) -> None:
        keys = {"tenant": scope.tenant, "every_s": every_s}
        announced = self._store.frame("deletion_announced_windows", deletion=seq, **keys)
        if announced.is_empty():
            return
        every, known, versions = every_s * NS_PER_S, self._context.known, self._context.versions
        windows = announced.select("series", pl.col("window_ns").alias("window"))
        present = rollups.read_stored_windows(self._store, tenant=scope.tenant, every=every, windows=windows)
        if present["sealed"].any():
            self._store.command(
                "deletion_empty_sealed", series=scope.series, first=scope.first, last=scope.last,
                version=versions.next(), **keys,
            )  # fmt: skip
        open_windows = windows.join(present.filter("sealed"), on=rollups.KEY, how="anti")
        known.load_series(scope.tenant, windows["series"].unique().to_list(), 0)
        version = versions.next()
        late = rollups.late_of(self._book, scope.tenant, scope.feed, self._feed_version(scope))
        rollups.recompute_windows(
            self._store, known, tenant=scope.tenant, every=every, windows=open_windows, version=version, late=late,
            restated_ns=self._context.clock(),
        )  # fmt: skip
        now = rollups.read_stored_windows(self._store, tenant=scope.tenant, every=every, windows=windows)
        mean = pl.when(pl.col("count") > 0).then("mean").alias("new")
        now = now.select("series", pl.col("window").alias("window_ns"), mean, pl.col("count").alias("new_count"))
        self._insert(scope, seq, every_s, announced.join(now, on=["series", "window_ns"]), _AFTER)

    def _insert(self, scope: DeletionScope, seq: int, every_s: int, windows: pl.DataFrame, version: int) -> None:
        """Changes of windows (`series`, `window_ns`, `old_count`, maybe `new` and `new_count`), without old values."""
        has_new = "new" in windows.columns
        changed = windows.select(
            pl.lit(seq).alias("seq"),
            pl.lit(0).alias("idx"),
            "series",
            pl.col("window_ns").alias("time"),
            pl.lit(None, pl.Float64).alias("old"),
            (pl.col("new") if has_new else pl.lit(None)).alias("new"),
            "old_count",
            (pl.col("new_count") if has_new else pl.lit(0)).alias("new_count"),
            pl.lit("deleted").alias("why"),
        ).select(pl.col(name).cast(kind) for name, kind in CHANGED.items())
        now, every = self._context.clock(), every_s * NS_PER_S
        rows = change_rows(changed, tenant=scope.tenant, feed=scope.feed, now=now, version=0, every=every)
        self._store.insert("changes", table("changes").rows(rows, cause_seq=0, version=version))

    def _window_widths_s(self, scope: DeletionScope) -> list[int]:
        """The widths in seconds of the windows that these series have."""
        if not scope.series:
            return []
        rows = self._store.rows("deletion_widths", tenant=scope.tenant, series=scope.series)
        return [row["every_s"] for row in rows]

    def _feed_version(self, scope: DeletionScope) -> int:
        try:
            return self._book.newest(scope.tenant, scope.feed).version
        except (NotFoundError, FeedDefinitionError):
            return 0
