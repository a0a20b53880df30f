"""The state that tables in frames make: what `decide` is given, and the history that rules with a past are given."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from tests.mill.declared import nothing
from tidemill.checks.look_back import LookBack
from tidemill.mill import rollups
from tidemill.mill.affected import AffectedWindows
from tidemill.mill.batch import FeedBatch
from tidemill.mill.changes import CHANGED
from tidemill.mill.known import NEVER, SERIES_STATES, hash_words
from tidemill.mill.store_state import CURRENT, EARLIER, SEALED, StoreState
from tidemill.mill.tombstones import TOMBSTONES
from tidemill.rules.history_lookup import LATEST, POINTS
from tidemill.rules.submissions import SUBMITTED


class Tables:
    """The tables, and what is read from them."""

    def __init__(self) -> None:
        self.tables = dict(nothing())
        self.announced_until = 0  # payloads up to here may have written changes in an attempt that was cut short

    def held(self, table: str) -> pl.DataFrame:
        """All rows of a table."""
        return self.tables[table]

    def state(self, batch: FeedBatch) -> StoreState:
        """The state that the tables make. More rows than a batch concerns, as is allowed."""
        series = pl.concat([pl.Series("series", [], dtype=pl.UInt64), *(c.points["series"] for c in batch.contests)])
        first = batch.seqs.min()
        retried = isinstance(first, int) and first <= self.announced_until
        return StoreState(
            series=self._states(series.unique()),
            tombstones=self._of("deleted_records", TOMBSTONES),
            current=self._of("points", CURRENT),
            submitted=self._of("submissions", SUBMITTED),
            sealed=self._sealed(batch),
            earlier=self._of("rejections", EARLIER),
            applied=self._applied(),
            announced=self._announced_points(batch) if retried else pl.DataFrame(schema=CHANGED),
            retried_from=first if retried and isinstance(first, int) else 0,
        )

    def _states(self, series: pl.Series) -> pl.DataFrame:
        rows = self.held("series").select(
            "series", "version", "deleted", "deleted_seq", created_ns=_ns("created_at"), words=hash_words()
        )  # fmt: skip
        latest = self.held("points").group_by("series").agg(latest=_ns("time").max())
        ends = self.held("rollups").group_by("series").agg(
            sealed_until=_ns("window").filter(pl.col("sealed")).max(),
            restated_until=_ns("window").filter(pl.col("restated_at").is_not_null()).max(),
        )  # fmt: skip
        states = pl.DataFrame({"series": series})
        for frame in (rows, latest, ends):
            states = states.join(frame, on="series", how="left")
        blank = {"latest": NEVER, "sealed_until": NEVER, "restated_until": NEVER, "deleted": False}
        return states.select(
            pl.col(name).cast(kind).fill_null(blank.get(name, 0)) for name, kind in SERIES_STATES.items()
        )

    def _of(self, table: str, schema: dict[str, Any]) -> pl.DataFrame:
        times = {"time": _ns("time"), "received_ns": _ns("received_at")}
        return self.held(table).select(
            times.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in schema.items()
        )

    def _sealed(self, batch: FeedBatch) -> pl.DataFrame:
        feeds = [contest.feed for contest in batch.contests if contest.feed.retention.seal_rollups]
        if not feeds:
            return pl.DataFrame(schema=SEALED)
        return self.windows(rollups.every_ns(feeds[0])).filter("sealed").select(list(SEALED))

    def _applied(self) -> pl.Series:
        return self.held("payloads").filter(pl.col("state") == "applied")["seq"]

    def deleted_payloads(self) -> set[int]:
        return set(self.held("payloads").filter(pl.col("state") == "deleted")["seq"])

    def _announced_points(self, batch: FeedBatch) -> pl.DataFrame:
        mine = (pl.col("every_s") == 0) & pl.col("seq").is_in(batch.seqs.implode()) & (pl.col("feed") == batch.feed)
        return (
            self.held("changes")
            .filter(mine)
            .select(
                (_ns("time") if name == "time" else pl.col(name)).cast(kind).alias(name)
                for name, kind in CHANGED.items()
            )
        )

    def announced(self, windows: AffectedWindows) -> pl.DataFrame:
        mine = (pl.col("every_s") == windows.every // 10**9) & (pl.col("seq") >= windows.from_seq)
        last = (
            self.held("changes").filter(mine).sort("seq", "idx").group_by("series", "time", maintain_order=True).last()
        )
        return last.select(
            "series", _ns("time").alias("window"), mean="new", count="new_count", changed_ns=_ns("changed_at")
        ).join(windows.windows, on=rollups.KEY, how="semi")

    def windows(self, every: int) -> pl.DataFrame:
        times = {"window": _ns("window"), "restated_ns": _ns("restated_at")}
        return (
            self.held("rollups")
            .filter(pl.col("every_s") == every // 10**9)
            .select(times.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in rollups.STORED.items())
        )

    def alive(self, table: str) -> pl.DataFrame:
        """Rows of points, `time` and `received_ns` in ns, without those of deleted series."""
        held = self._of(table, CURRENT)
        gone = self.held("series").select("series", "deleted_seq")
        return held.join(gone, on="series").filter(pl.col("seq") > pl.col("deleted_seq"))


class History:
    """The accepted points of the tables, as `history_lookup.Past`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def points(
        self, tenant: str, series: pl.DataFrame, reach: LookBack, *, before_seq: int, policy: str
    ) -> pl.DataFrame:
        ever = self._ever(before_seq)
        if ever.is_empty():
            return pl.DataFrame(schema=POINTS)
        ordered = ever.sort("series", "time", "seq", "idx")
        key = ["series", "time"]
        ordered = ordered if policy == "first" else ordered.reverse()
        kept = ordered.unique(key, keep="first", maintain_order=True)
        return kept.join(series, on="series", how="semi").sort(key)

    def rejected(
        self, tenant: str, feed: str, rows: pl.DataFrame, *, within_ns: int, codes: Sequence[str], before_seq: int
    ) -> pl.DataFrame:
        held = self._tables.held("rejections").filter(
            (pl.col("seq") < before_seq) & (pl.col("feed") == feed) & pl.col("time").is_not_null()
        )
        known = (pl.col("reasons").list.len() > 0) & pl.col("reasons").list.eval(pl.element().is_in(codes)).list.all()
        times = held.filter(known & (pl.col("recovered_by") == "")).explode("series").with_columns(time=_ns("time"))
        return times.select(pl.col(name).cast(kind) for name, kind in LATEST.items()).unique().sort("series", "time")

    def latest(self, tenant: str, since: pl.DataFrame, *, before_seq: int) -> pl.DataFrame:
        ever = self._ever(before_seq).filter(pl.col("value").is_not_null())
        latest = ever.group_by("series").agg(pl.col("time").max())
        late = latest.join(since, on="series", suffix="_asked").filter(pl.col("time") >= pl.col("time_asked"))
        return late.select(list(LATEST))

    def _ever(self, before_seq: int) -> pl.DataFrame:
        parts = [pl.DataFrame(schema=POINTS)]
        gone = self._tables.held("series")
        for table in ("points", "replaced"):
            held = self._tables.held(table).with_columns(time=_ns("time"))
            held = held.join(gone.select("series", "deleted_seq"), on="series")
            alive = held.filter((pl.col("seq") > pl.col("deleted_seq")) & (pl.col("seq") < before_seq))
            parts.append(alive.select(pl.col(name).cast(kind) for name, kind in POINTS.items()))
        return pl.concat(parts)


def values(points: pl.DataFrame, every: int, late: int) -> pl.DataFrame:
    """`rollups.VALUES` of points (`series`, `window`, `value`, `received_ns`): what `mill_window_values` says."""
    value = pl.col("value")
    is_late = value.is_not_null() & (pl.col("received_ns") - pl.col("window") > every + late)
    found = points.group_by(rollups.KEY).agg(
        count=value.count(), min=value.min(), max=value.max(), sum=value.sum(), late=is_late.sum()
    )
    mean = (pl.col("sum") / pl.col("count")).clip(pl.col("min"), pl.col("max"))
    found = found.with_columns(mean=pl.when(pl.col("count") > 0).then(mean))
    return found.select(pl.col(name).fill_null(0).cast(kind) for name, kind in rollups.VALUES.items())


def _ns(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64)
