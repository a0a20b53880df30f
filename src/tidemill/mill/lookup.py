"""Reads the state of the store that `decide` needs: the current points at a batch's instants, the sealed windows, and
the outcomes of payloads that were applied before.

Most batches need no query, because the remembered state of their series says that the store has nothing to return. Keys
are bound by the server as arrays, in key order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import polars as pl

from tidemill.feeds.definition import Feed
from tidemill.mill import rollups
from tidemill.mill.batch import Contest, FeedBatch
from tidemill.mill.changes import CHANGED
from tidemill.mill.context import MillContext
from tidemill.mill.store_state import CURRENT, EARLIER, SEALED, StoreState
from tidemill.rules.submissions import SUBMITTED, keep_first_submissions
from tidemill.store.client import Store

_CHUNK = 10_000  # keys in one query: 400 kB of bound values, some 50 ms
_RECORD = ["seq", "idx"]
_INSTANT = ["series", "time"]


class StateReader:
    """Reads the state of one store. Raises StoreUnavailableError, StoreQueryError. Not thread-safe."""

    def __init__(self, context: MillContext) -> None:
        self._store = context.store
        self._known = context.known
        self._status = context.status

    def read_state(self, batch: FeedBatch, *, applied_until: int, announced_until: int) -> StoreState:
        """The state that `decide` needs for a batch. No payload beyond `applied_until` was applied before, and none
        beyond `announced_until` has changes of an interrupted attempt."""
        seqs = pl.concat([batch.seqs, batch.refused["seq"]])
        settled = self.read_settled(batch.tenant, batch.feed, seqs, batch.contests)
        if not batch.contests:
            return settled
        read = [self.read_current(batch.tenant, contest, settled.series) for contest in batch.contests]
        first, retried = _least(batch.seqs), pl.DataFrame(schema=CHANGED)
        has_windows = any(contest.feed.rollups for contest in batch.contests)
        retried_from = first if has_windows and first <= announced_until else 0
        if retried_from:
            rows = self._store.frame("mill_announced_points", tenant=batch.tenant, feed=batch.feed, seqs=batch.seqs)
            retried = _typed(rows.rename({"time_ns": "time"}), CHANGED)
        return msgspec.structs.replace(
            settled,
            current=pl.concat([current for current, _ in read]),
            submitted=pl.concat([submitted for _, submitted in read]),
            applied=self._applied(batch, applied_until),
            announced=retried,
            retried_from=retried_from,
        )

    def read_settled(self, tenant: str, feed: str, seqs: pl.Series, contests: Sequence[Contest]) -> StoreState:
        """The state without the points at the contests' instants: the states of their series, sealed windows, and the
        tombstones and earlier rejections of the payloads `seqs`."""
        tombstones = self._known.tombstones.deleted_records(tenant, feed, seqs)
        if not contests:
            return StoreState(tombstones=tombstones)
        points = pl.concat([contest.points.select(*_INSTANT, *_RECORD, "anchor") for contest in contests])
        series, since = points["series"].unique(), points["time"].min()
        self._known.load_series(tenant, series, since if isinstance(since, int) else 0)
        states = self._known.frame(series)
        sealed = [self._sealed(tenant, contest, states) for contest in contests]
        windows = pl.concat([windows for windows, _ in sealed])
        settled = pl.concat([_deleted(points, states), *(seqs for _, seqs in sealed)]).unique()
        return StoreState(
            series=states,
            tombstones=tombstones,
            sealed=windows,
            earlier=self._earlier(tenant, feed, settled),
        )

    def _sealed(self, tenant: str, contest: Contest, states: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """SEALED of a contest's windows, and the payloads with records that counted for one of them."""
        anchors = contest.points.filter("anchor").select(*_INSTANT, "seq")
        nothing = pl.DataFrame(schema=SEALED)
        if not contest.feed.retention.seal_rollups or anchors.is_empty():
            return nothing, anchors["seq"].clear()
        anchors = anchors.join(states.select("series", "sealed_until"), on="series")
        rows = sealed_records(self._store, tenant, contest.feed, anchors)
        counted = rows.filter(pl.col("seq") <= pl.col("sealed_seq"))["seq"]
        every = rollups.every_ns(contest.feed)
        if rows.is_empty():
            return nothing, counted
        windows = rows.select("series", rollups.window_of(every).alias("window"), "sealed_seq").unique()
        return windows, counted

    def _earlier(self, tenant: str, feed: str, seqs: pl.Series) -> pl.DataFrame:
        if seqs.is_empty():
            return pl.DataFrame(schema=EARLIER)
        return _typed(self._store.frame("mill_rejections", tenant=tenant, feed=feed, seqs=seqs), EARLIER)

    def _applied(self, batch: FeedBatch, applied_until: int) -> pl.Series:
        """Those of the batch's payloads that were applied before, where that can make a difference."""
        seqs = batch.seqs.filter(batch.seqs <= applied_until)
        if seqs.is_empty() or all(contest.feed.duplicates != "last" for contest in batch.contests):
            return seqs.clear()
        return self._store.frame("mill_applied", tenant=batch.tenant, seqs=seqs)["seq"].cast(pl.UInt64)

    def read_current(self, tenant: str, contest: Contest, states: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(CURRENT, SUBMITTED) of a contest: the points at its instants. Under the policy `first` at the instants of
        its anchors, and all points of the records that they supersede. Local times only where the feed compares
        them."""
        nothing = pl.DataFrame(schema=SUBMITTED)
        if contest.feed.duplicates == "keep":
            return pl.DataFrame(schema=CURRENT), nothing
        if contest.feed.duplicates == "last":
            return self._at(tenant, _possible(contest.points, states)), nothing
        if contest.feed.compares_local_times:
            return self._current_submissions(tenant, contest, states)
        return self._current_first(tenant, contest, states), nothing

    def _current_submissions(
        self, tenant: str, contest: Contest, states: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        anchors = contest.points.filter("anchor")
        submitted = self._known.submissions.read(tenant, anchors, states)
        current = self._at(tenant, _possible(anchors, states))
        later = submitted.filter(pl.col("seq") >= _least(anchors["seq"])).select(_INSTANT).unique()
        later = later.join(anchors, on=_INSTANT, how="anti").join(states.select("series", "sealed_until"), on="series")
        if contest.feed.retention.seal_rollups and later.height:  # what counted for a sealed window stays
            later = later.join(sealed_records(self._store, tenant, contest.feed, later), on=_INSTANT, how="anti")
        current = pl.concat([current, self._at(tenant, later)])
        if current.is_empty():
            return current, submitted
        superseded = keep_first_submissions(contest.points, current, submitted).superseded.filter("stood")
        rest = superseded.join(contest.points, left_on=["winner_seq", "winner_idx"], right_on=_RECORD)
        rest = rest.select("series", "time").unique().join(current, on=_INSTANT, how="anti")
        return pl.concat([current, self._at(tenant, rest)]), submitted

    def _current_first(self, tenant: str, contest: Contest, states: pl.DataFrame) -> pl.DataFrame:
        anchors = contest.points.filter("anchor")
        current = self._at(tenant, _possible(anchors, states))
        if current.is_empty():
            return current
        is_later = (pl.col("seq_current") > pl.col("seq")) | (
            (pl.col("seq_current") == pl.col("seq")) & (pl.col("idx_current") > pl.col("idx"))
        )
        wins = anchors.join(current, on=_INSTANT, suffix="_current").filter(is_later)
        if wins.is_empty():
            return current
        rest = contest.points.join(wins, on=_RECORD, how="semi").select(_INSTANT)
        rest = rest.join(current, on=_INSTANT, how="anti")
        return pl.concat([current, self._at(tenant, rest)])

    def _at(self, tenant: str, keys: pl.DataFrame) -> pl.DataFrame:
        """CURRENT at these instants (`series`, `time`), by queries."""
        frames = [pl.DataFrame(schema=CURRENT)]
        for part in _parts(keys.select(_INSTANT)):
            self._status.lookups += 1
            rows = self._store.frame("mill_point_versions", tenant=tenant, series=part["series"], times=part["time"])
            frames.append(_highest(_typed(rows.rename({"time_ns": "time"}), CURRENT)))
        return pl.concat(frames)


def sealed_records(store: Store, tenant: str, feed: Feed, records: pl.DataFrame) -> pl.DataFrame:
    """Those of `records` (`series`, `time`, `sealed_until`, and more) that are in sealed windows, with `sealed_seq`."""
    every = rollups.every_ns(feed)
    candidates = records.with_columns(window=rollups.window_of(every)) if every else records.clear()
    if every:
        candidates = candidates.filter(pl.col("window") <= pl.col("sealed_until"))
    if candidates.is_empty():
        return records.clear().with_columns(sealed_seq=pl.lit(None, pl.UInt64))
    frames = [pl.DataFrame(schema=SEALED)]
    for part in _parts(candidates.select("series", "window")):
        params: dict[str, Any] = {"tenant": tenant, "every_s": every // 1_000_000_000}
        rows = store.frame("mill_sealed", series=part["series"], windows=part["window"], **params)
        frames.append(_typed(rows.rename({"window_ns": "window"}), SEALED))
    return candidates.join(pl.concat(frames), on=["series", "window"]).drop("window")


def _deleted(points: pl.DataFrame, states: pl.DataFrame) -> pl.Series:
    """Payloads with records of series that were deleted since they were submitted."""
    deleted = states.filter(pl.col("deleted_seq") >= _least(points["seq"])).select("series", "deleted_seq")
    if deleted.is_empty():
        return points["seq"].clear()
    return points.filter("anchor").join(deleted, on="series").filter(pl.col("seq") <= pl.col("deleted_seq"))["seq"]


def _possible(points: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    """Those of these instants at which the store can have a point."""
    since = points["time"].min()
    latest = states.filter(pl.col("latest") >= since).select("series", "latest")
    if latest.is_empty():
        return points.clear()
    return points.join(latest, on="series").filter(pl.col("time") <= pl.col("latest"))


def _highest(rows: pl.DataFrame) -> pl.DataFrame:
    """The row with the highest version of each point."""
    ordered = rows.sort("version", descending=True)
    return ordered.unique(["series", "time", "ordinal"], keep="first", maintain_order=True)


def _parts(keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for part in keys.unique().sort(keys.columns).iter_slices(_CHUNK):
        if part.height:
            yield part


def _typed(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _least(seqs: pl.Series) -> int:
    least = seqs.min()
    return least if isinstance(least, int) else 0
