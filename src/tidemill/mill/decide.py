"""Decides what a batch of one feed writes: the rows, the windows to compute again, the records that are superseded.
Pure: takes the batch and the `StoreState` that was read for it, and returns `Writes`.

Each record either keeps an earlier outcome (it was deleted, or its window was sealed after it counted), is too late for
a sealed window, is a duplicate, or has its points stored. The outcome depends neither on the order in which payloads
are decided nor on how they are cut into batches.
"""

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import changes, ledger, rollups
from tidemill.mill.affected import AffectedWindows, affected_windows
from tidemill.mill.batch import Contest, FeedBatch
from tidemill.mill.known import hash_words
from tidemill.mill.ledger import DUPLICATE, LOCAL_DUPLICATE, concat_rejections
from tidemill.mill.replaced import REPLACED, last_wins
from tidemill.mill.store_state import CURRENT, SEQS, StoreState
from tidemill.mill.submissions import submission_rows
from tidemill.mill.tombstones import without_deleted
from tidemill.mill.writes import VACATED, ContestWrites, Writes, point_rows, replaced_rows, series_rows
from tidemill.rules.duplicates import SUPERSEDED, keep_first_records
from tidemill.rules.submissions import keep_first_submissions
from tidemill.store.tables import table

_RECORD = ["seq", "idx"]


class Decision(msgspec.Struct, frozen=True):
    """The decision about a contest: `points` to store (columns of the shape), `rejections` (REJECTED), `superseded`:
    records in the store that were current and are not any more (`duplicates.SUPERSEDED`), `replaced` (REPLACED);
    `purge`: rows of deleted series must leave the store before the points are written. Of a feed that compares local
    times: `repointed` (see `submissions.Contested`), and `entrants`, the records that were compared (their anchors)."""

    points: pl.DataFrame
    rejections: pl.DataFrame
    superseded: pl.DataFrame
    replaced: pl.DataFrame
    purge: bool
    repointed: pl.DataFrame | None = None
    entrants: pl.DataFrame | None = None


def decide(batch: FeedBatch, state: StoreState, *, version: int, now: int) -> Writes:
    """The rows to write for a batch. `version`: of the rows that are versioned by time; `now`: ns since the epoch."""
    parts: list[ContestWrites] = []
    for contest in batch.contests:
        state = _after(state, parts[-1]) if parts else state
        parts.append(_writes(batch, contest, state, version=version, now=now))
    rejections = concat_rejections([batch.rejected, *(part.rejections for part in parts)])
    outcomes = [
        ledger.outcomes_without_points(batch.refused, "refused"),
        ledger.payload_outcomes(batch.counts, rejections, "applied"),
    ]
    listed = without_deleted(concat_rejections([batch.refused, rejections]), state.tombstones)
    return Writes(
        tenant=batch.tenant,
        feed=batch.feed,
        contests=tuple(parts),
        rejections=listed,
        outcomes=pl.concat(outcomes),
    )


def decide_contest(contest: Contest, state: StoreState, seqs: pl.Series = SEQS) -> Decision:
    """The decision about every point of a contest. `seqs`: payloads whose rejections are listed with this batch, also
    where their records are of another contest."""
    deleted = state.series.filter(pl.col("deleted_seq") > 0).select("series", "deleted_seq")
    points, earlier = _without_tombstones(contest.points, state.tombstones)
    current, dead, submitted = state.current, state.current.clear(), state.submitted
    if deleted.height:
        points, settled = _without_deleted(points, deleted, state)
        earlier = concat_rejections([earlier, settled])
        current, dead = _alive_and_dead(current, deleted)
        submitted, _ = _alive_and_dead(submitted, deleted)
    points, late = _without_sealed(contest.feed, points, state)
    entrants, lost, replaced, purge = points, pl.DataFrame(schema=SUPERSEDED), pl.DataFrame(schema=REPLACED), False
    by_local_time, repointed, detail = contest.feed.compares_local_times, None, DUPLICATE
    if contest.feed.duplicates == "first":
        # The first submitted point stays current. A deleted one does not: it is purged before the next one is stored.
        purge = dead.height > 0 and not points.filter("anchor").join(dead, on=["series", "time"]).is_empty()
        if by_local_time:
            contested = keep_first_submissions(points, current, submitted)
            points, lost, repointed, detail = (
                contested.points,
                contested.superseded,
                contested.repointed,
                LOCAL_DUPLICATE,
            )
        else:
            points, lost = keep_first_records(points, current)
    elif contest.feed.duplicates == "last":
        points, replaced = last_wins(points, current)
        if state.applied.len():  # of payloads that were applied before, the replaced values are in the table already
            replaced = replaced.filter(pl.col("stood") | ~pl.col("seq").is_in(state.applied.implode()))
    offered = contest.points
    return Decision(
        points=points,
        rejections=concat_rejections(
            [
                earlier,
                _with_series(late, offered),
                _with_series(_duplicates(lost, pl.concat([entrants["seq"], seqs]), detail), offered),
            ]
        ),
        superseded=lost.filter("stood") if lost.height else lost,
        replaced=replaced,
        purge=purge,
        repointed=repointed,
        entrants=entrants.filter("anchor") if by_local_time else None,
    )


def _writes(batch: FeedBatch, contest: Contest, state: StoreState, *, version: int, now: int) -> ContestWrites:
    """The rows to write for one contest of a batch."""
    tenant, feed, decision = batch.tenant, contest.feed, decide_contest(contest, state, batch.seqs)
    points = decision.points
    changed = (
        changes.replaced_changes(decision.replaced)
        if decision.replaced.height
        else pl.DataFrame(schema=changes.CHANGED)
    )
    if not decision.superseded.is_empty():
        changed = pl.concat([changed, changes.superseded_changes(decision.superseded, state.current, points)])
    vacated = vacated_instants(contest.feed, decision, state)
    return ContestWrites(
        points=point_rows(tenant, points),
        series=series_rows(state.series, tenant, contest.series, points),
        replaced=replaced_rows(tenant, decision.replaced),
        changes=changes.change_rows(changed, tenant=tenant, feed=batch.feed, now=now, version=version),
        rejections=decision.rejections,
        superseded=decision.superseded,
        purged=_deleted(contest, state) if decision.purge else {},
        submissions=decided_submissions(tenant, decision, state),
        repointed=decision.repointed,
        vacated=vacated,
        before_points=bool(decision.replaced["stood"].any()) or not changed.is_empty() or not vacated.is_empty(),
        latest=points.select("series", "time"),
        windows=_windows(tenant, feed, state, points, changed),
    )


def vacated_instants(feed: Feed, decision: Decision, state: StoreState) -> pl.DataFrame:
    """VACATED: the points of superseded records at whose instants the decision stores none instead. Those of anchors
    are last, because they show whether a record is still current."""
    if not feed.compares_local_times or decision.superseded.is_empty():
        return pl.DataFrame(schema=VACATED)
    assert decision.entrants is not None
    lost = state.current.join(decision.superseded, on=_RECORD, how="semi").select(list(VACATED))
    lost = lost.join(decision.points, on=list(VACATED), how="anti")
    return lost.sort(pl.col("series").is_in(decision.entrants["series"].unique().implode()), "series", "time")


def decided_submissions(tenant: str, decision: Decision, state: StoreState) -> pl.DataFrame:
    """Rows of table `submissions` for a decision."""
    if decision.entrants is None:
        return pl.DataFrame(schema=table("submissions").columns)
    return submission_rows(tenant, decision.entrants, decision.points, decision.superseded, state.current)


def _deleted(contest: Contest, state: StoreState) -> dict[int, int]:
    """The `deleted_seq` of those series of a contest that were ever deleted."""
    deleted = state.series.filter(pl.col("deleted_seq") > 0).join(contest.points, on="series", how="semi")
    return dict(deleted.select("series", "deleted_seq").iter_rows())


def _windows(
    tenant: str, feed: Feed, state: StoreState, points: pl.DataFrame, changed: pl.DataFrame
) -> AffectedWindows | None:
    """The windows of a contest's points and of the changes of an earlier attempt; null: the feed has no rollups."""
    if not feed.rollups:
        return None
    every, late = rollups.every_ns(feed), rollups.late_ns(feed)
    changed = pl.concat([changed, state.announced]) if state.announced.height else changed
    windows = affected_windows(state.series, points, changed, every=every, late=late)
    return AffectedWindows(
        tenant=tenant, feed=feed.name, every=every, late=late, windows=windows, from_seq=state.retried_from
    )


def _after(state: StoreState, writes: ContestWrites) -> StoreState:
    """The state for the next contest, in which the series and points that these writes store are known, as if they had
    been written in a batch of their own."""
    latest = writes.latest.group_by("series").agg(pl.col("time").max().alias("written"))
    rows = writes.series.select(
        "series",
        pl.col("version").alias("row_version"),
        pl.col("created_at").cast(pl.Int64).alias("created"),
        hash_words().alias("row_words"),
    )
    series = state.series.join(latest, on="series", how="left").join(rows, on="series", how="left")
    return msgspec.structs.replace(
        state,
        current=_with_points(state.current, writes.points),
        series=series.with_columns(
            latest=pl.max_horizontal("latest", "written"),
            version=pl.max_horizontal("version", "row_version"),
            deleted=pl.col("deleted") & pl.col("row_version").is_null(),
            created_ns=pl.coalesce("created", "created_ns"),
            words=pl.coalesce("row_words", "words"),
        ).drop("written", "row_version", "created", "row_words"),
    )


def _with_points(current: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """CURRENT with rows of table `points` that are being written: of each point the row with the highest version."""
    written = rows.with_columns(pl.col("time").cast(pl.Int64), received_ns=pl.col("received_at").cast(pl.Int64))
    both = pl.concat([current, written.select(pl.col(name).cast(kind) for name, kind in CURRENT.items())])
    return both.sort("version", descending=True).unique(
        ["series", "time", "ordinal"], keep="first", maintain_order=True
    )


def _alive_and_dead(rows: pl.DataFrame, deleted: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Splits rows (`series`, `seq`) into those that were submitted after their series was deleted, and the others.
    `deleted` has the `deleted_seq` of the series that were ever deleted."""
    both = rows.join(deleted, on="series", how="left", maintain_order="left")
    is_dead = (pl.col("seq") <= pl.col("deleted_seq")).fill_null(False)
    return both.filter(~is_dead).select(rows.columns), both.filter(is_dead).select(rows.columns)


def _duplicates(lost: pl.DataFrame, seqs: pl.Series, detail: str) -> pl.DataFrame:
    """The records to reject as duplicates: those of the batch, including a record that was current and is applied again
    in this batch, because it is counted with its batch."""
    if lost.is_empty():
        return lost
    mine = ~pl.col("stood") | pl.col("seq").is_in(seqs.unique().implode())
    return lost.filter(mine).with_columns(reasons=pl.lit(["duplicate"]), detail=pl.lit(detail))


def _without_deleted(
    points: pl.DataFrame, deleted: pl.DataFrame, state: StoreState
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Points without those of series that were deleted after they were submitted, and the rejections that the records
    of those had before."""
    alive, dead = _alive_and_dead(points, deleted)
    if dead.is_empty():
        return points, points.clear().select(_RECORD)
    before = _earlier(state, dead.filter("anchor"))
    return alive.join(before, on=_RECORD, how="anti"), before


def _without_tombstones(points: pl.DataFrame, tombstones: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Points without those of records that have a tombstone, and the `reasons` of such records that were rejected
    before."""
    if tombstones.is_empty():
        return points, points.clear().select(_RECORD)
    points = points.join(tombstones, on=[*_RECORD, "series"], how="anti")
    records = tombstones.filter(pl.col("series") == 0)
    settled = records.filter(pl.col("reasons").list.len() > 0).join(points.filter("anchor"), on=_RECORD, how="semi")
    return points.join(records, on=_RECORD, how="anti"), settled.select(*_RECORD, "reasons")


def _without_sealed(feed: Feed, points: pl.DataFrame, state: StoreState) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Points without those in sealed windows, and the rejections of these: too late, or the outcome that they had
    before, if they counted for the window."""
    every = rollups.every_ns(feed)
    if not feed.retention.seal_rollups or not every or state.sealed.is_empty():
        return points, points.clear().select(_RECORD)
    anchors = points.filter("anchor").with_columns(window=rollups.window_of(every))
    inside = anchors.join(state.sealed, on=rollups.KEY).drop("window")
    if inside.is_empty():
        return points, points.clear().select(_RECORD)
    before = inside.filter(pl.col("seq") <= pl.col("sealed_seq"))
    late = inside.filter(pl.col("seq") > pl.col("sealed_seq")).select(
        *_RECORD,
        "time",
        reasons=pl.lit(["window_sealed"]),
        detail=pl.lit("the window of this instant is past retention and sealed"),
    )
    return points.join(inside, on=_RECORD, how="anti"), concat_rejections([late, _earlier(state, before)])


def _earlier(state: StoreState, records: pl.DataFrame) -> pl.DataFrame:
    """The rejections that these records (`seq`, `idx`, `time`) had before their series was deleted or their window was
    sealed; no rows of those that were accepted."""
    return state.earlier.join(records.select(*_RECORD, "time").unique(_RECORD), on=_RECORD)


def _with_series(lost: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """Rejected records, with the series of the points that they had offered."""
    if lost.is_empty():
        return lost
    offered = points.join(lost.select(_RECORD), on=_RECORD, how="semi").group_by(_RECORD).agg(offered="series")
    known = pl.coalesce("series", "offered") if "series" in lost.columns else pl.col("offered")
    return lost.join(offered, on=_RECORD, how="left").with_columns(known.alias("series")).drop("offered")
