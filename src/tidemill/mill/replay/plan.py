"""Plans a replay: its points contend with the current points, decided for all of them at once.

The stored points of the replayed payloads are left out, and their new points contend as if applied for the first time.
The plan says which rows are written, which are removed and what changes for readers. Writes nothing.
"""

from typing import Final

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import ledger
from tidemill.mill.batch import Contest
from tidemill.mill.context import MillContext
from tidemill.mill.decide import Decision, decide_contest, decided_submissions, vacated_instants
from tidemill.mill.lookup import StateReader
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.replay.stored_rows import KEY, ROWS, as_rows, current_rows, read_rows_at
from tidemill.mill.store_state import CURRENT, StoreState
from tidemill.rules.shape import POINTS, SERIES
from tidemill.rules.submissions import SUBMITTED
from tidemill.store.client import Store

RECORD: Final = ["seq", "idx"]
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
    """`points` (POINTS) to write; `removed` (ROWS): to remove, among them rows of deleted series at these
    instants, which would win where the first record wins; `rejections` (REJECTED) of the contest;
    `superseded` (LOSERS): records of other payloads; `replaced` (REPLACED) to write in place of the rows that
    concern these payloads; `moved` (MOVED): each instant at which the current value changes, `was`/`is`: whether there
    was, or is, a point. Of a feed that compares local times: `repointed` (`rules.submissions.REPOINTED`; else null),
    and the rows of table `submissions` to write in place of those of these payloads."""

    points: pl.DataFrame
    removed: pl.DataFrame
    rejections: pl.DataFrame
    superseded: pl.DataFrame
    replaced: pl.DataFrame
    moved: pl.DataFrame
    repointed: pl.DataFrame | None
    submissions: pl.DataFrame


class Planner:
    """Plans against one store. Loads the series concerned into the known series."""

    def __init__(self, context: MillContext) -> None:
        self._reader = StateReader(context)
        self._store = context.store
        self._known = context.known

    def plan(self, tenant: str, feed: Feed, offsets: OffsetSet, offered: pl.DataFrame, old: pl.DataFrame) -> ReplayPlan:
        """The plan for `offered` (POINTS that the rules accepted, of the payloads at `offsets`), given the `old` (ROWS)
        of these payloads in the store."""
        keys = pl.concat([frame.select("series", "time") for frame in (offered, old)])
        ids = keys["series"].unique()
        self._known.load_series(tenant, ids, 0)
        deleted = self._known.frame(ids).select("series", "deleted_seq")
        submitted = self._submitted(tenant, feed, offsets, offered, deleted)
        if submitted.height:
            keys = pl.concat([keys, _points_of(submitted, offered)])
        stored = read_rows_at(self._store, tenant, keys)
        stored = stored.join(deleted, on="series")
        alive = stored.filter(pl.col("seq") > pl.col("deleted_seq")).select(list(ROWS))
        dead = stored.filter(pl.col("seq") <= pl.col("deleted_seq")).select(list(ROWS))
        rest = alive.filter(~offsets.has())
        decision, state = self._contend(tenant, feed, offered, rest, submitted)
        vacated = rest.join(vacated_instants(feed, decision, state), on=["series", "time"], how="semi")
        after = pl.concat([rest.join(vacated, on=[*KEY, *RECORD], how="anti"), decision.points.select(list(ROWS))])
        return ReplayPlan(
            points=decision.points.select(list(POINTS)),
            removed=pl.concat([old, dead, vacated]).unique().join(decision.points, on=[*KEY, *RECORD], how="anti"),
            rejections=decision.rejections,
            superseded=decision.superseded,
            replaced=decision.replaced,
            moved=_moved(current_rows(alive), current_rows(after)),
            repointed=decision.repointed,
            submissions=decided_submissions(tenant, decision, state),
        )

    def _submitted(
        self, tenant: str, feed: Feed, offsets: OffsetSet, offered: pl.DataFrame, deleted: pl.DataFrame
    ) -> pl.DataFrame:
        """SUBMITTED of other payloads at the times of the offered records."""
        if not feed.compares_local_times or offered.is_empty():
            return pl.DataFrame(schema=SUBMITTED)
        rows = self._known.submissions.read(tenant, offered.filter("anchor"), deleted, every=True)
        return rows.filter(~offsets.has())

    def _contend(
        self, tenant: str, feed: Feed, offered: pl.DataFrame, rest: pl.DataFrame, submitted: pl.DataFrame
    ) -> tuple[Decision, StoreState]:
        """The contest of the offered points with the `rest`, as if none of them had been applied before."""
        points = offered if not offered.is_empty() else pl.DataFrame(schema=POINTS)
        contest = Contest(feed, points, pl.DataFrame(schema=SERIES))
        state = self._reader.read_settled(tenant, feed.name, points["seq"], [contest])
        current = current_rows(rest).select(list(CURRENT))
        state = msgspec.structs.replace(state, current=current, submitted=submitted)
        return decide_contest(contest, state), state


def _points_of(submitted: pl.DataFrame, offered: pl.DataFrame) -> pl.DataFrame:
    """`series`, `time` of all points that submitted records can have: in the series of offered records of the same
    anchor."""
    anchors = offered.filter("anchor").select(*RECORD, anchor_series="series")
    series = offered.join(anchors, on=RECORD).select("anchor_series", "series").unique()
    points = submitted.join(series, left_on="series", right_on="anchor_series", suffix="_of_field")
    return points.select(pl.col("series_of_field").alias("series"), "time").unique()


def read_old_points(store: Store, tenant: str, feed: str, offsets: OffsetSet) -> pl.DataFrame:
    """ROWS of these payloads in the store."""
    return as_rows(store.frame("replay_points", tenant=tenant, feed=feed, **offsets.bound)).filter(offsets.has())


def _moved(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """MOVED, from the current rows before and after."""
    columns = [*KEY, *RECORD, "value"]
    old = before.select(*columns, was=pl.lit(True))
    new = after.select(*columns, **{"is": pl.lit(True)})
    both = old.join(new, on=KEY, how="full", coalesce=True, suffix="_new").with_columns(
        pl.col("was", "is").fill_null(False)
    )
    changed = both.filter((pl.col("was") != pl.col("is")) | pl.col("value").ne_missing(pl.col("value_new")))
    # In the order of the change events' keys: a follower between two inserts misses none.
    return changed.sort("series", "time").select(
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
    return ledger.concat_rejections([by_rules, plan.rejections])
