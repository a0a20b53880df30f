"""Counts what a replay changes: records by reason, points, rollup windows. Pure."""

from typing import Any, Final

import polars as pl

from tidemill.mill.replay.plan import RECORD, ReplayPlan
from tidemill.model.ids import format_series
from tidemill.model.replay import PointDifference, ReplayOutcome, WindowDifference

_NAMED: Final = 100


def record_counts(counts: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame) -> dict[str, Any]:
    """The counts of records in a ReplayOutcome, from `counts` (`seq`, `records`), and from the rejections (`seq`,
    `idx`, `reasons`) `before` and `after` the replay."""
    records = int(counts["records"].sum())
    before = _each(counts, before)
    recovered = before.join(after, on=RECORD, how="anti")
    new = after.join(before, on=RECORD, how="anti")
    both = before.join(after, on=RECORD, suffix="_after")
    changed = both.filter(pl.col("reasons").list.sort() != pl.col("reasons_after").list.sort())
    return {
        "payloads": counts["seq"].n_unique(),
        "records": records,
        "accepted_before": records - before.height,
        "accepted_after": records - after.height,
        "newly_accepted_total": recovered.height,
        "newly_rejected_total": new.height,
        "newly_accepted": _by_reason(recovered),
        "newly_rejected": _by_reason(new),
        "reasons_changed": changed.height,
    }


def record_changes(counts: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """The records whose outcome changes: `seq`, `idx`, `time` (i64 ns, null where there is none), `old_reasons`,
    `new_reasons` (empty: accepted). The parameters as of `record_counts`, the rejections with `time`."""
    known = pl.concat([frame.select(*RECORD, pl.col("time").cast(pl.Int64)) for frame in (before, after)])
    times = known.drop_nulls("time").unique(RECORD, keep="last", maintain_order=True)
    old, new = _each(counts, before), _each(counts, after)
    both = old.rename({"reasons": "old_reasons"}).join(
        new.rename({"reasons": "new_reasons"}), on=RECORD, how="full", coalesce=True
    )
    none = pl.lit([], dtype=pl.List(pl.String))
    both = both.with_columns(pl.col("old_reasons", "new_reasons").cast(pl.List(pl.String)).fill_null(none))
    changed = both.filter(pl.col("old_reasons").list.sort() != pl.col("new_reasons").list.sort())
    return changed.join(times, on=RECORD, how="left").select(*RECORD, "time", "old_reasons", "new_reasons")


def point_counts(plan: ReplayPlan) -> dict[str, Any]:
    """The counts of points, and those with the largest change."""
    moved = plan.moved
    changed = moved.filter(pl.col("was") & pl.col("is"))
    size = (pl.col("new") - pl.col("old")).abs()
    largest = moved.select("series", "time", "old", "new", size=size).sort("size", descending=True, nulls_last=False)
    return {
        "points_added": moved.filter(~pl.col("was")).height,
        "points_removed": moved.filter(~pl.col("is")).height,
        "points_changed": changed.height,
        "largest_point_change": changed.select(size.max()).item(),
        "points": tuple(
            PointDifference(series=format_series(series), time_ns=time, old=old, new=new)
            for series, time, old, new, _ in largest.head(_NAMED).iter_rows()
        ),
    }


def window_counts(changed: pl.DataFrame, every_s: int) -> dict[str, Any]:
    """The counts of windows (`compare.WINDOW_CHANGES`), and those with the largest change of mean."""
    size = (pl.col("new_mean") - pl.col("old_mean")).abs()
    largest = changed.with_columns(size=size).sort("size", descending=True, nulls_last=False).head(_NAMED)
    return {
        "windows_changed": changed.height,
        "largest_window_change": changed.select(size.max()).item(),
        "windows": tuple(
            WindowDifference(
                series=format_series(row["series"]),
                window_ns=row["window"],
                every_s=every_s,
                old_mean=row["old_mean"],
                new_mean=row["new_mean"],
                old_count=row["old_count"],
                new_count=row["new_count"],
            )
            for row in largest.iter_rows(named=True)
        ),
    }


def replay_outcome(*parts: dict[str, Any]) -> ReplayOutcome:
    """A ReplayOutcome of its parts."""
    return ReplayOutcome(**{name: value for part in parts for name, value in part.items()})


def _each(counts: pl.DataFrame, rejections: pl.DataFrame) -> pl.DataFrame:
    """Rejections, with a row for every record of a payload that was set aside as poison, which has one row."""
    whole = rejections.filter(pl.col("reasons").list.contains("poison")).select("seq", "reasons")
    every = whole.join(counts, on="seq").with_columns(idx=pl.int_ranges(0, "records", dtype=pl.UInt32)).explode("idx")
    parts = [rejections.join(whole, on="seq", how="anti"), every]
    return pl.concat([part.select(*RECORD, "reasons") for part in parts])


def _by_reason(rejections: pl.DataFrame) -> dict[str, int]:
    counted = rejections.select(pl.col("reasons").list.unique().explode().alias("code")).drop_nulls()
    return dict(counted.group_by("code").len().sort("code").iter_rows())
