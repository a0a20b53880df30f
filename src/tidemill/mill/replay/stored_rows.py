"""The rows of points that the store has at the instants that a replay concerns, also rows of superseded records that
were not yet merged away. By key where they are few, else by ranges of time."""

from typing import Any, Final

import polars as pl

from tidemill.store.client import Store

ROWS: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "ordinal": pl.Int64,
    "seq": pl.UInt64,
    "idx": pl.UInt32,
    "value": pl.Float64,
    "version": pl.Int64,
    "received_ns": pl.Int64,
}
KEY: Final = ["series", "time", "ordinal"]
_FEW: Final = (
    20_000  # keys; beyond it a range scan is cheaper (10,000 keys by key: 50 ms; 1,000,000 rows by range: 0.3 s)
)
_CHUNK: Final = 10_000
_AT_ONCE: Final = 2_000_000  # rows of one range scan


def read_rows_at(store: Store, tenant: str, keys: pl.DataFrame) -> pl.DataFrame:
    """ROWS at these keys (`series`, `time`)."""
    wanted = keys.select("series", "time").unique().sort("series", "time")
    if wanted.height <= _FEW:
        parts = [
            store.frame("mill_point_versions", tenant=tenant, series=part["series"], times=part["time"])
            for part in wanted.iter_slices(_CHUNK)
            if part.height
        ]
    else:
        parts = [_between(store, tenant, keys) for keys in _scans(store, tenant, wanted)]
    return pl.concat([pl.DataFrame(schema=ROWS), *(as_rows(part) for part in parts)])


def as_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame of the store's as ROWS."""
    return frame.rename({"time_ns": "time"}).select(pl.col(name).cast(kind) for name, kind in ROWS.items())


def current_rows(as_rows: pl.DataFrame) -> pl.DataFrame:
    """Of ROWS (or frames like them) the current row of each key: the one with the highest version."""
    return as_rows.sort(*KEY, "version", descending=[False, False, False, True]).unique(
        KEY, keep="first", maintain_order=True
    )


def _scans(store: Store, tenant: str, wanted: pl.DataFrame) -> list[pl.DataFrame]:
    """The keys, cut by series so that one scan reads at most _AT_ONCE rows, or one series."""
    counts = store.frame("replay_counts_between", tenant=tenant, series=wanted["series"].unique(), **_range(wanted))
    ordered = wanted.select("series").unique(maintain_order=True).join(counts, on="series", how="left")
    groups = (ordered["n"].fill_null(0).cum_sum() // _AT_ONCE).alias("scan")
    return wanted.join(ordered.with_columns(groups), on="series").partition_by("scan", include_key=False)


def _between(store: Store, tenant: str, wanted: pl.DataFrame) -> pl.DataFrame:
    rows = store.frame("replay_points_between", tenant=tenant, series=wanted["series"].unique(), **_range(wanted))
    return rows.join(wanted, left_on=["series", "time_ns"], right_on=["series", "time"], how="semi")


def _range(wanted: pl.DataFrame) -> dict[str, Any]:
    return {"first": wanted["time"].min(), "last": wanted["time"].max()}
