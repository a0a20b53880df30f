"""The inserts of one micro-batch: one frame a table for all feeds together, side by side where order is free.

Before the points: whatever only the store's present state can tell (a value about to be replaced). After them: rollups.
Last: the payloads.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from itertools import chain

import polars as pl

from tidemill.crash_points import reach
from tidemill.mill.ledger import INSTANT
from tidemill.mill.status import MillStatus
from tidemill.rules.shape import place
from tidemill.store.client import BLOCK_BYTES, Store


class Writes:
    """Frames to insert; of `rejections` parts that are made while they go in. `stood`: some replaced values stand in
    the store, so they go in before the points."""

    def __init__(self, store: Store, pool: Executor, status: MillStatus) -> None:
        self.series: list[pl.DataFrame] = []
        self.points: list[pl.DataFrame] = []
        self.replaced: list[pl.DataFrame] = []
        self.changes: list[pl.DataFrame] = []
        self.rejections: list[Iterable[pl.DataFrame]] = []
        self.size_bytes = 0  # of all of them, but for the texts of rejections
        self.payloads = pl.DataFrame()
        self.stood = False
        self._store = store
        self._pool = pool
        self._status = status

    def run(self, after_points: Sequence[Callable[[], None]]) -> None:
        """Insert everything; `after_points` runs between the points and the payloads. Raises StoreUnavailableError,
        StoreQueryError."""
        ledger = {"series": self.series, "replaced": self.replaced, "changes": self.changes}
        points = {"points": self.points}
        with self._status.stage("insert"):
            self._insert(ledger if self.stood else ledger | points, self._insert_rejections)
            if self.stood:
                self._insert(points)
        reach("mill.after_points")
        with self._status.stage("rollups"):
            self._together(after_points)
        with self._status.stage("payloads"):
            self._store.insert("payloads", self.payloads)

    def _insert(self, tables: dict[str, list[pl.DataFrame]], *more: Callable[[], None]) -> None:
        frames = {table: _lean(_joined(frames)) for table, frames in tables.items()}
        self._together(
            [
                lambda table=table, frame=frame: self._store.insert(table, frame)
                for table, frame in frames.items()
                if not frame.is_empty()
            ]
            + list(more)
        )

    def _insert_rejections(self) -> None:
        """Insert parts together up to the size of a block."""
        parts: list[pl.DataFrame] = []
        for part in chain.from_iterable(self.rejections):
            parts.append(part)
            if sum(one.estimated_size() for one in parts) > BLOCK_BYTES:
                self._store.insert("rejections", _joined(parts))
                parts.clear()
            self._status.turn()
        if parts:
            self._store.insert("rejections", _joined(parts))

    def _together(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Run all and wait for all; the first error is raised once none is under way."""
        if len(tasks) == 1:
            tasks[0]()
            return
        futures = [self._pool.submit(task) for task in tasks]
        errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                raise error


def point_rows(tenant: str, points: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `points`, in its order."""
    return points.select(
        pl.lit(tenant).alias("tenant"),
        "series",
        pl.col("time").cast(INSTANT),
        "ordinal",
        "value",
        "version",
        "seq",
        "idx",
        "flags",
        pl.col("received_ns").cast(INSTANT).alias("received_at"),
        "attributes",
        "marks",
    )


def replaced_rows(tenant: str, replaced: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `replaced`."""
    return replaced.select(
        pl.lit(tenant).alias("tenant"),
        "series",
        pl.col("time").cast(INSTANT),
        "seq",
        "idx",
        "value",
        "by_seq",
        "by_idx",
        pl.col("received_ns").cast(INSTANT).alias("received_at"),
        (-place("by_seq", "by_idx")).alias("version"),
    )


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames) if frames else pl.DataFrame()


def _lean(frame: pl.DataFrame) -> pl.DataFrame:
    """Without attributes or marks where no point has any: the table's default says the same, and 20,000 empty maps cost
    0.5 ms to encode."""
    for name in ("attributes", "marks"):
        nulls = frame[name].null_count() if name in frame.columns else 0
        if nulls and nulls == frame.height:
            frame = frame.drop(name)
        elif nulls:
            frame = frame.with_columns(pl.col(name).fill_null(pl.lit([], dtype=frame.schema[name])))
    return frame
