"""Publishes a plan: everything that a replay changes in the store, each write such that doing it again changes nothing.

The plan is on disk before the first write, and no live batch comes between: a mill that was killed begins again here.
"""

from typing import Any, Final

import msgspec
import polars as pl

from tidemill.crash_points import reach
from tidemill.mill import ledger, rollups
from tidemill.mill.context import MillContext
from tidemill.mill.ledger import INSTANT
from tidemill.mill.replay.folder import Folder
from tidemill.mill.replay.present import KEY
from tidemill.mill.series import series_rows
from tidemill.mill.superseded import RecordTexts, write_superseded
from tidemill.mill.writes import point_rows, replaced_rows
from tidemill.model.replay import Difference
from tidemill.model.time import NS_PER_S
from tidemill.rules.shape import place

_CHUNK: Final = 10_000
_ROWS: Final = 1_000_000
TRAIL: Final = "publishing"


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when a plan is published, and all that it needs of its feed (`every`, `late`: of its windows, ns).
    `version`: of all rows that have one by time; `at_seq`, `at_idx`: the place of its changes; `difference`: what it
    will say when it is done."""

    replay: str
    tenant: str
    feed: str
    version: int
    now_ns: int
    at_seq: int
    at_idx: int
    every: int
    late: int
    difference: Difference


class Publisher:
    """Writes plans. `texts_of` cuts records out of payloads."""

    def __init__(self, context: MillContext, texts_of: RecordTexts) -> None:
        self._context = context
        self._store = context.store
        self._known = context.known
        self._texts_of = texts_of
        self._alive = context.status.turn

    def publish(self, folder: Folder, trail: Trail) -> None:
        """Make the store what the plan in `folder` says. Raises StoreUnavailableError, StoreQueryError with some of it
        written: publish it again."""
        tenant, points = trail.tenant, folder.read("plan-points")
        self._ledger(folder, trail)
        reach("replay.after_ledger")
        self._known.drop_all()
        self._known.load(tenant, points["series"].unique(), 0)
        series = series_rows(self._known.frame(points["series"].unique()), tenant, folder.read("plan-series"), points)
        self._insert("series", series)
        self._points(tenant, points, folder.read("plan-withdrawn"))
        reach("replay.after_points")
        self._known.learn(series, points)
        self._supersede(trail, folder.read("plan-superseded"))
        windows = folder.read("plan-windows")
        if not windows.is_empty():
            self._known.load(tenant, windows["series"].unique(), 0)
            changed = self._rollups(trail, windows, folder.read("plan-changed-windows"))
        reach("replay.after_rollups")
        self._outcomes(folder.read("plan-outcomes"), trail)
        self._insert("changes", change_rows(folder.read("plan-moved"), trail))
        if not windows.is_empty():
            self._insert("changes", window_change_rows(changed, trail))
        self._known.drop_all()

    def _ledger(self, folder: Folder, trail: Trail) -> None:
        rows = folder.read("plan-ledger")
        concerned = pl.concat([rows["seq"], folder.read("plan-ledger-old")["seq"]]).unique().sort()
        for start in range(0, len(concerned), _CHUNK):
            self._command(
                "replay_withdraw_rejections",
                tenant=trail.tenant,
                feed=trail.feed,
                seqs=concerned[start : start + _CHUNK],
            )
        self._insert("rejections", rows)
        stale = folder.read("plan-stale")
        for part in stale.iter_slices(_CHUNK):
            if part.height:
                self._command(
                    "replay_withdraw_replaced",
                    tenant=trail.tenant,
                    series=part["series"],
                    times=part["time"],
                    seqs=part["seq"],
                    idxs=part["idx"],
                )
        self._insert("replaced", replaced_rows(trail.tenant, folder.read("plan-replaced")))

    def _points(self, tenant: str, points: pl.DataFrame, withdrawn: pl.DataFrame) -> None:
        """Where another row takes the place of one that goes, that one goes first: merged with it, the new row could be
        the one that is dropped."""
        instead = points.join(withdrawn, on=KEY, how="semi")
        for part in points.join(withdrawn, on=KEY, how="anti").iter_slices(_ROWS):
            self._insert("points", _plain(point_rows(tenant, part)))
        self._withdraw(tenant, withdrawn)
        for part in instead.iter_slices(_ROWS):
            self._insert("points", _plain(point_rows(tenant, part)))

    def _withdraw(self, tenant: str, withdrawn: pl.DataFrame) -> None:
        for part in withdrawn.sort("series", "time").iter_slices(_CHUNK):
            if part.height:
                self._command(
                    "replay_withdraw_points",
                    tenant=tenant,
                    series=part["series"],
                    times=part["time"],
                    ordinals=part["ordinal"],
                    seqs=part["seq"],
                    idxs=part["idx"],
                )

    def _supersede(self, trail: Trail, lost: pl.DataFrame) -> None:
        if lost.is_empty():
            return
        write_superseded(self._context, trail.tenant, trail.feed, lost, texts_of=self._texts_of, version=trail.version)
        self._alive()

    def _rollups(self, trail: Trail, windows: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
        """Publish the windows, of which those that the plan says are `changed` are restated; returns `changed` with the
        means as they are published."""
        of = {"tenant": trail.tenant, "every": trail.every}
        before = rollups.stored(self._store, windows=windows, **of)  # type: ignore[arg-type]
        present = rollups.values(self._store, self._known, windows=windows, late=trail.late, **of)  # type: ignore[arg-type]
        rows = rollups.rows(present, before, changed, version=trail.version, now=trail.now_ns, **of)  # type: ignore[arg-type]
        self._store.insert("rollups", rows)
        self._alive()
        means = present.select(*rollups.KEY, new_mean="mean")
        return changed.drop("new_mean").join(means, on=rollups.KEY, how="left", maintain_order="left")

    def _outcomes(self, outcomes: pl.DataFrame, trail: Trail) -> None:
        for part in outcomes.sort("seq").iter_slices(_CHUNK):
            if part.height:
                reasons = [
                    msgspec.json.encode({pair["key"]: pair["value"] for pair in pairs}).decode()
                    for pairs in part["reasons"].to_list()
                ]
                self._command(
                    "replay_outcomes",
                    tenant=trail.tenant,
                    seqs=part["seq"],
                    accepted=part["accepted"],
                    rejected=part["rejected"],
                    reasons=reasons,
                    versions=part["feed_version"],
                    replay=trail.replay,
                    version=trail.version,
                )

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        self._store.insert(table, rows)
        self._alive()

    def _command(self, query: str, **values: Any) -> None:
        self._store.command(query, **values)
        self._alive()


def change_rows(moved: pl.DataFrame, trail: Trail) -> pl.DataFrame:
    """Rows of table `changes` for the values that move (`plan.MOVED`); what appears where nothing was is no change of
    a published value, unless its place had been rejected: it is told as well, for whoever follows."""
    changed = moved.select(
        "series",
        "time",
        "old",
        "new",
        pl.col("was").cast(pl.UInt64).alias("old_count"),
        pl.col("is").cast(pl.UInt64).alias("new_count"),
        pl.when("is").then("cause_seq").otherwise(0).alias("cause_seq"),
        pl.when("is").then("cause_idx").otherwise(0).alias("cause_idx"),
    )
    return _told(changed, trail, at_idx=trail.at_idx, every_s=0)


def window_change_rows(changed: pl.DataFrame, trail: Trail) -> pl.DataFrame:
    """Rows of table `changes` for windows (`compare.WINDOW_CHANGES`). They are written after those of points, and so
    have a place after them: who follows misses none."""
    rows = changed.select(
        "series",
        pl.col("window").alias("time"),
        pl.col("old_mean").alias("old"),
        pl.col("new_mean").alias("new"),
        "old_count",
        "new_count",
        pl.lit(0, pl.UInt64).alias("cause_seq"),
        pl.lit(0, pl.UInt32).alias("cause_idx"),
    )
    return _told(rows, trail, at_idx=trail.at_idx + 1, every_s=trail.every // NS_PER_S)


def _told(changed: pl.DataFrame, trail: Trail, *, at_idx: int, every_s: int) -> pl.DataFrame:
    """What a replay changed, with where and when it is told."""
    return changed.with_columns(
        pl.lit(trail.tenant).alias("tenant"),
        pl.lit(trail.at_seq, pl.UInt64).alias("seq"),
        pl.lit(at_idx, pl.UInt32).alias("idx"),
        pl.lit(every_s, pl.UInt32).alias("every_s"),
        pl.col("time").cast(INSTANT),
        pl.lit(trail.feed).alias("feed"),
        pl.lit("replay").alias("why"),
        pl.lit(trail.replay).alias("replay"),
        pl.lit(trail.now_ns).cast(INSTANT).alias("changed_at"),
        pl.lit(trail.version, pl.UInt64).alias("version"),
    )


def ledger_rows(rejected: pl.DataFrame, old: pl.DataFrame, origins: pl.DataFrame, trail: Trail) -> pl.DataFrame:
    """Rows of table `rejections` for replayed payloads: those that are rejected now (REJECTED and `record`), and those
    of the `old` ledger that are no longer: marked as recovered."""
    records = rejected["record"].to_list()
    now = ledger.rejection_rows(rejected.drop("record"), trail.tenant, trail.feed, origins, records)
    blank = [pl.lit("").alias("recovered_by"), pl.lit(None, INSTANT).alias("recovered_at")]
    now = now.with_columns(blank)
    fresh = pl.col("recovered_by") == ""
    fallen = old.join(rejected, on=["seq", "idx"], how="anti").select(
        pl.lit(trail.tenant).alias("tenant"),
        pl.lit(trail.feed).alias("feed"),
        *(
            "seq",
            "idx",
            "receipt",
            "reasons",
            "detail",
            "record",
            "rules_version",
            "series",
            "winner_seq",
            "winner_idx",
        ),
        pl.col("received_ns").cast(INSTANT).alias("received_at"),
        pl.col("time_ns").cast(INSTANT).alias("time"),
        (-place("winner_seq", "winner_idx")).alias("version"),
        pl.when(fresh).then(pl.lit(trail.replay)).otherwise("recovered_by").alias("recovered_by"),
        pl.when(fresh).then(trail.now_ns).otherwise("recovered_ns").cast(INSTANT).alias("recovered_at"),
    )
    return pl.concat([now, fallen.select(now.columns)], how="vertical_relaxed")


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows without nulls where the table takes none."""
    return rows.with_columns(
        pl.col(name).fill_null(pl.lit([], dtype=rows.schema[name])) for name in ("attributes", "marks")
    )
