"""The past as a replay sees it: what the store holds, without what its payloads left there, and with what their records
become now."""

from collections.abc import Iterable
from typing import Final

import polars as pl

from tidemill.mill.context import MillContext
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.store_history import StorePast
from tidemill.model.time import MAX_NS
from tidemill.rules.history_lookup import LATEST, POINTS

_COLUMNS: Final = list(POINTS)


class ReplayPast(StorePast):
    """The past in one store as of any place, had the payloads at `places` been applied as they are now. `add` what they
    become, in the order of the log."""

    def __init__(self, context: MillContext, places: OffsetSet) -> None:
        super().__init__(context)
        self._places = places
        self._become = pl.DataFrame(schema=POINTS)

    def add(self, points: pl.DataFrame) -> None:
        """Points of these payloads that the rules let pass."""
        self._become = pl.concat([self._become, points.select(_COLUMNS)])

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        """As `Past.latest`; here every point since is looked at, as the store cannot leave out a payload's."""
        self._possible(tenant, since, 0)
        now = since.select("series", pl.col("time").alias("first"), pl.lit(MAX_NS).alias("last"))
        found = self._query(tenant, now, 0, before_seq).filter(pl.col("value").is_not_null())
        later = found.join(since, on="series", suffix="_asked").filter(pl.col("time") >= pl.col("time_asked"))
        return later.group_by("series").agg(pl.col("time").max()).select(list(LATEST))

    def _possible(self, tenant: str, asked: pl.DataFrame, within_ns: int) -> pl.DataFrame:
        self._known.load_series(tenant, asked["series"].unique(), 0)
        return asked

    def _query(self, tenant: str, now: pl.DataFrame, back_ns: int, before_seq: int) -> pl.DataFrame:
        stored = super()._query(tenant, now, back_ns, before_seq).select(_COLUMNS).filter(~self._places.has())
        first, last = now["first"].min(), now["last"].max()
        assert isinstance(first, int)
        mine = self._become.join(now, on="series", how="semi").filter(
            pl.col("time").is_between(first - back_ns, last) & (pl.col("seq") < before_seq)
        )
        return pl.concat([stored, mine], how="vertical_relaxed")


def numbered_runs(selection: pl.DataFrame, between: Iterable[int]) -> pl.DataFrame:
    """A selection with `run`: payloads of one run have no other payload of the feed between them. `between` are the
    places of all that were applied."""
    others = set(between) - set(selection["seq"])
    places = pl.concat(
        [
            selection.select("seq", other=pl.lit(False)),
            pl.DataFrame({"seq": sorted(others)}, schema={"seq": pl.UInt64}).with_columns(other=pl.lit(True)),
        ]
    ).sort("seq")
    runs = places.with_columns(run=pl.col("other").cum_sum().cast(pl.UInt32)).filter(~pl.col("other"))
    return selection.drop("run", strict=False).join(runs.select("seq", "run"), on="seq", maintain_order="left")
