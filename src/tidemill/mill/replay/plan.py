"""What a replay comes to: the contest of its points with those that stand, decided for all of them together.

The points of the replayed payloads count as gone and are entered anew. Which rows are written, which go, and what
changes for readers follows; nothing is written here.
"""

from typing import Final

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import ledger
from tidemill.mill.batch import Contest
from tidemill.mill.context import MillContext
from tidemill.mill.decide import Decision, decide_contest
from tidemill.mill.lookup import StateReader
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.replay.present import KEY, ROWS, present, rows, standing
from tidemill.mill.store_state import CURRENT
from tidemill.rules.shape import POINTS, SERIES
from tidemill.store.client import Store

PLACE: Final = ["seq", "idx"]
MOVED: Final = {
    "series": pl.UInt64,
    "time": pl.Int64,
    "old": pl.Float64,
    "new": pl.Float64,
    "was": pl.Boolean,
    "is": pl.Boolean,
    "cause_seq": pl.UInt64,
    "cause_idx": pl.UInt32,
}


class ReplayPlan(msgspec.Struct, frozen=True):
    """`points` (POINTS) to write; `withdrawn` (ROWS) to remove, among them what is left of deleted series at these
    instants: the first submitted stays, also if it is dead; `rejections` (REJECTED) of the contest;
    `superseded` (LOSERS): records of other payloads that lose; `replaced` (REPLACED) to write in place of the rows that
    concern these payloads; `moved` (MOVED): each instant at which what stands changes, `was`/`is` whether there was, or
    is, a point."""

    points: pl.DataFrame
    withdrawn: pl.DataFrame
    rejections: pl.DataFrame
    superseded: pl.DataFrame
    replaced: pl.DataFrame
    moved: pl.DataFrame


class Planner:
    """Plans against one store. What is known of the series concerned is brought up to date."""

    def __init__(self, context: MillContext) -> None:
        self._reader = StateReader(context)
        self._store = context.store
        self._known = context.known

    def plan(self, tenant: str, feed: Feed, places: OffsetSet, offered: pl.DataFrame, old: pl.DataFrame) -> ReplayPlan:
        """The fate of `offered` (POINTS: what the rules let pass of the payloads at `places`), where `old` (ROWS) is
        what these payloads have in the store."""
        keys = pl.concat([frame.select("series", "time") for frame in (offered, old)])
        here = present(self._store, tenant, keys)
        ids = keys["series"].unique()
        self._known.load_series(tenant, ids, 0)
        gone = self._known.frame(ids).select("series", "deleted_seq")
        there = here.join(gone, on="series")
        here = there.filter(pl.col("seq") > pl.col("deleted_seq")).select(list(ROWS))
        dead = there.filter(pl.col("seq") <= pl.col("deleted_seq")).select(list(ROWS))
        rest = here.filter(~places.has())
        decision = self._contend(tenant, feed, offered, rest)
        after = pl.concat([rest, decision.points.select(list(ROWS))])
        return ReplayPlan(
            points=decision.points.select(list(POINTS)),
            withdrawn=pl.concat([old, dead]).unique().join(decision.points, on=[*KEY, *PLACE], how="anti"),
            rejections=decision.rejections,
            superseded=decision.superseded,
            replaced=decision.replaced,
            moved=_moved(standing(here), standing(after)),
        )

    def _contend(self, tenant: str, feed: Feed, offered: pl.DataFrame, rest: pl.DataFrame) -> Decision:
        """The contest of what is offered with the `rest`, as if nothing of it had ever been applied."""
        points = offered if not offered.is_empty() else pl.DataFrame(schema=POINTS)
        contest = Contest(feed, points, pl.DataFrame(schema=SERIES))
        state = self._reader.read_settled(tenant, feed.name, points["seq"], [contest])
        return decide_contest(contest, msgspec.structs.replace(state, current=standing(rest).select(list(CURRENT))))


def old_points(store: Store, tenant: str, feed: str, places: OffsetSet) -> pl.DataFrame:
    """ROWS of these payloads in the store."""
    return rows(store.frame("replay_points", tenant=tenant, feed=feed, **places.bound)).filter(places.has())


def _moved(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """MOVED from what stands before and after."""
    columns = [*KEY, *PLACE, "value"]
    old = before.select(*columns, was=pl.lit(True))
    new = after.select(*columns, **{"is": pl.lit(True)})
    both = old.join(new, on=KEY, how="full", coalesce=True, suffix="_new").with_columns(
        pl.col("was", "is").fill_null(False)
    )
    changed = both.filter((pl.col("was") != pl.col("is")) | pl.col("value").ne_missing(pl.col("value_new")))
    return changed.select(
        "series",
        "time",
        pl.col("value").alias("old"),
        pl.col("value_new").alias("new"),
        "was",
        "is",
        pl.coalesce("seq_new", "seq").alias("cause_seq"),
        pl.coalesce("idx_new", "idx").alias("cause_idx"),
    )


def joined_rejections(by_rules: pl.DataFrame, plan: ReplayPlan) -> pl.DataFrame:
    """REJECTED of the replayed payloads altogether: by the rules and by the contest."""
    return ledger.rejected([by_rules, plan.rejections])
