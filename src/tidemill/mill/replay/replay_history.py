"""The history for the rules of a replay: accepted points of the store, without those of the replayed payloads, and with
the points that these payloads make now."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import polars as pl

from tidemill.mill.context import MillContext
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.store_history import StorePast
from tidemill.model.time import MAX_NS
from tidemill.rules.history_lookup import LATEST, POINTS

_COLUMNS: Final = list(POINTS)
_REJECTED: Final[dict[str, Any]] = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "seq": pl.UInt64,
    "reasons": pl.List(pl.String),
}


class ReplayPast(StorePast):
    """The history at any offset, as if the payloads at `offsets` had been applied as they are now. Call `add` with the
    points that they make, in the order of the log."""

    def __init__(self, context: MillContext, offsets: OffsetSet) -> None:
        super().__init__(context)
        self._offsets = offsets
        self._points = pl.DataFrame(schema=POINTS)
        self._rejected = pl.DataFrame(schema=_REJECTED)

    def add(self, points: pl.DataFrame, rejected: pl.DataFrame) -> None:
        """Add points of these payloads that the rules accepted, and the records (REJECTED) that they rejected."""
        self._points = pl.concat([self._points, points.select(_COLUMNS)])
        times = rejected.filter(pl.col("time").is_not_null()).explode("series").drop_nulls("series")
        self._rejected = pl.concat([self._rejected, times.select(list(_REJECTED))])

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """As `Past.latest`. Reads every point since, because the store cannot leave out the points of a payload."""
        self._possible(tenant, since, 0)
        now = since.select("series", pl.col("time").alias("first"), pl.lit(MAX_NS).alias("last"))
        points = self._query(tenant, now, 0, before_seq).filter(pl.col("value").is_not_null())
        later = points.join(since, on="series", suffix="_since").filter(pl.col("time") >= pl.col("time_since"))
        return later.group_by("series").agg(pl.col("time").max()).select(list(LATEST))

    def _query_rejected(
        self, tenant: str, feed: str, now: pl.DataFrame, *, within_ns: int, codes: Sequence[str], before_seq: int
    ) -> pl.DataFrame:
        stored = super()._query_rejected(tenant, feed, now, within_ns=within_ns, codes=codes, before_seq=before_seq)
        first, last = now["first"].min(), now["last"].max()
        assert isinstance(first, int)
        known = (pl.col("reasons").list.len() > 0) & pl.col("reasons").list.eval(pl.element().is_in(codes)).list.all()
        made = self._rejected.join(now, on="series", how="semi").filter(
            pl.col("time").is_between(first - within_ns, last) & (pl.col("seq") < before_seq) & known
        )
        columns = ["series", "time", "seq"]
        return pl.concat(
            [stored.select(columns).filter(~self._offsets.has()), made.select(columns)], how="vertical_relaxed"
        )

    def _possible(self, tenant: str, series: pl.DataFrame, within_ns: int) -> pl.DataFrame:
        self._known.load_series(tenant, series["series"].unique(), 0)
        return series

    def _query(self, tenant: str, now: pl.DataFrame, back_ns: int, before_seq: int) -> pl.DataFrame:
        stored = super()._query(tenant, now, back_ns, before_seq).select(_COLUMNS).filter(~self._offsets.has())
        first, last = now["first"].min(), now["last"].max()
        assert isinstance(first, int)
        made = self._points.join(now, on="series", how="semi").filter(
            pl.col("time").is_between(first - back_ns, last) & (pl.col("seq") < before_seq)
        )
        return pl.concat([stored, made], how="vertical_relaxed")


def numbered_runs(selection: pl.DataFrame, between: Iterable[int]) -> pl.DataFrame:
    """A selection with `run`: payloads of one run have no other payload of the feed between them. `between`: the
    offsets of all applied payloads."""
    others = set(between) - set(selection["seq"])
    offsets = pl.concat(
        [
            selection.select("seq", other=pl.lit(False)),
            pl.DataFrame({"seq": sorted(others)}, schema={"seq": pl.UInt64}).with_columns(other=pl.lit(True)),
        ]
    ).sort("seq")
    runs = offsets.with_columns(run=pl.col("other").cum_sum().cast(pl.UInt32)).filter(~pl.col("other"))
    return selection.drop("run", strict=False).join(runs.select("seq", "run"), on="seq", maintain_order="left")
