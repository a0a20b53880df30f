"""Resolves the instant of each record: the zone of local times, and the feed's policy for gaps and folds.

Adds `time` (i64 ns UTC, null where there is none), `flags` (u8) and `time_reason` (why there is none, else null).
"""

from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.batch import Batch
from tidemill.decode.feed_columns import position_columns
from tidemill.decode.steps import STEP_COUNT, STEP_NS
from tidemill.decode.times import DAY, INSTANT
from tidemill.feeds.definition import Feed
from tidemill.model.iso8601 import DAY_S
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S
from tidemill.model.zones import zone
from tidemill.rules import fold_history, fold_order, time_shifts
from tidemill.rules.fold_history import UnclearFolds
from tidemill.rules.fold_known import KnownTimes, choose_as_known
from tidemill.rules.history_lookup import NO_HISTORY, HistoryLookup
from tidemill.rules.zones import UNKNOWN, LocalInstants, to_instants, zone_at

FOLD_EARLIER: Final = 1  # bit 0: a local time in a fold, taken as the earlier instant
FOLD_LATER: Final = 2  # bit 1: a local time in a fold, taken as the later instant
GAP_SHIFTED: Final = 4  # bit 2: a local time in a gap, moved forward by the length of the gap
SHIFTED: Final = 8  # bit 3: a time that the feed's shift was added to
_NO_FOLDS: Final = UnclearFolds(*[np.zeros(0, np.int64)] * 3)
_NO_REASON: Final = pl.Series("time_reason", [None], dtype=pl.String)


class _Times:
    """The instants of a frame while they are resolved: ns, flags, and the reason of a row without an instant."""

    def __init__(self, wall: NDArray[np.int64]) -> None:
        self.ns = wall.copy()
        self.flags = np.zeros(len(wall), np.uint8)
        self.reasons: dict[int, str] = {}

    def refuse(self, rows: NDArray[np.int64], reason: str) -> None:
        """Note that rows have no instant; a row keeps its first reason."""
        for row in rows.tolist():
            self.reasons.setdefault(row, reason)

    def reason(self) -> pl.Series:
        """The reasons as a column."""
        if not self.reasons:
            return _NO_REASON.new_from_index(0, len(self.ns))
        return pl.Series("time_reason", [self.reasons.get(row) for row in range(len(self.ns))], dtype=pl.String)

    def columns(self) -> list[pl.Series]:
        """`time`, `flags` and `time_reason`."""
        time, reason = pl.Series("time", self.ns, dtype=pl.Int64), self.reason()
        if self.reasons:
            time = time.set(reason.is_not_null(), None)
        return [time, pl.Series("flags", self.flags, dtype=pl.UInt8), reason]


def resolve_times(feed: Feed, frame: pl.DataFrame) -> pl.DataFrame:
    """A batch's frame (or one of stamps) with `time`, `flags` and `time_reason`."""
    return resolve_with_folds(feed, frame)[0]


def resolve_beside_points(
    feed: Feed, batch: Batch, lookup: HistoryLookup, known: KnownTimes | None = None
) -> pl.DataFrame:
    """The frame of a batch with `time`, `flags` and `time_reason`; folds that the order of the records does not decide
    are decided by the points around them, read through `lookup`, or by what is `known` of records that were applied
    before."""
    frame, folds = resolve_with_folds(feed, batch.frame)
    if not len(folds.rows) or (lookup is NO_HISTORY and known is None):
        return frame
    if known is not None:
        chosen = choose_as_known(feed, frame, folds, batch, known)
    else:
        chosen = fold_history.choose_beside_points(feed, frame, folds, batch, lookup)
    time, flags, reasons = (frame[name].to_list() for name in ("time", "flags", "time_reason"))
    for number in np.flatnonzero(chosen != fold_order.UNCLEAR).tolist():
        row, is_second = int(folds.rows[number]), chosen[number] == fold_order.SECOND
        time[row] = int((folds.later if is_second else folds.earlier)[number])
        flags[row], reasons[row] = flags[row] ^ (FOLD_EARLIER | FOLD_LATER if is_second else 0), None
    return frame.with_columns(
        pl.Series("time", time, dtype=pl.Int64),
        pl.Series("flags", flags, dtype=pl.UInt8),
        pl.Series("time_reason", reasons, dtype=pl.String),
    )


def resolve_with_folds(feed: Feed, frame: pl.DataFrame) -> tuple[pl.DataFrame, UnclearFolds]:
    """As `resolve_times`, with the rows that have the reason `fold_unclear`."""
    times, folds = _Times(frame["wall_ns"].to_numpy()), _NO_FOLDS
    kinds = frame["local"].to_numpy()
    local = np.flatnonzero(kinds)
    _move_wall_clocks(feed, frame, times, kinds != INSTANT)
    if len(local):
        zones, names = _row_zones(feed, frame[local])
        _refuse_unknown(feed, frame, local[zones == UNKNOWN], times)
        known = zones != UNKNOWN
        rows = local[known]
        instants = to_instants(times.ns[rows], zones[known], names)
        resolved = _resolve_days(_without_interval_ends(feed, instants), times.ns[rows], kinds[rows] == DAY)
        _apply_policy(feed, times, rows, resolved)
        if feed.time.fold == "by_order":
            folds = _apply_record_order(frame, times, rows[instants.fold], instants.later[instants.fold])
    length_ns = time_shifts.fixed_interval_ns(feed.time)
    if length_ns:
        folds = UnclearFolds(folds.rows, folds.earlier - length_ns, folds.later - length_ns)
        times.ns = np.where(times.ns >= MIN_NS + length_ns, times.ns - length_ns, time_shifts.OUT_OF_RANGE)
    if STEP_NS in frame.columns:
        times.ns = time_shifts.add_steps(times.ns, frame[STEP_NS].to_numpy())
    times.refuse(np.flatnonzero((times.ns < MIN_NS) | (times.ns > MAX_NS)), "time_out_of_range")
    return frame.hstack(times.columns()), folds


def _move_wall_clocks(feed: Feed, frame: pl.DataFrame, times: _Times, local: NDArray[np.bool_]) -> None:
    """Apply the feed's shift, make ends of calendar intervals their begins, and add steps of the calendar, on the clock
    as written."""
    if feed.time.shift is not None:
        times.flags[time_shifts.apply_shift(feed.time.shift, frame, times.ns)] |= SHIFTED
    span = time_shifts.calendar_span(feed.time)
    if span is not None:
        times.ns = time_shifts.interval_begins(feed.time, times.ns, local, span)
    if STEP_COUNT in frame.columns:
        time_shifts.step_calendar(feed.time, times.ns, local, frame[STEP_COUNT].to_numpy())


def _without_interval_ends(feed: Feed, instants: LocalInstants) -> LocalInstants:
    """The instants without gaps that are ends of intervals: where times are interval ends, the first moment of a gap is
    the end of the interval before it."""
    if feed.time.stamp != "end":
        return instants
    return msgspec.structs.replace(instants, gap=instants.gap & (instants.earlier != instants.change))


def resolve_stamps(feed: Feed, stamps: pl.DataFrame | None) -> pl.DataFrame:
    """`seq`, `idx`, `time` (ns UTC) of the rejected records whose instant the feed's policy can resolve."""
    if stamps is None or stamps.is_empty():
        return pl.DataFrame(schema={"seq": pl.UInt64, "idx": pl.UInt32, "time": pl.Int64})
    return resolve_times(feed, stamps).filter(pl.col("time").is_not_null()).select("seq", "idx", "time")


def _resolve_days(instants: LocalInstants, wall: NDArray[np.int64], days: NDArray[np.bool_]) -> LocalInstants:
    """The instants where a day without a time (`days`) means the begin of the day: in a fold or gap at midnight the
    first moment of the day. A day that a gap skips entirely stays in its gap."""
    if not days.any():
        return instants
    late = days & instants.gap & (instants.resumed < wall + DAY_S * NS_PER_S)
    begin = np.where(late, instants.change, instants.earlier)
    return LocalInstants(
        begin,
        np.where(days, begin, instants.later),
        instants.gap & ~late,
        instants.fold & ~days,
        instants.change,
        instants.resumed,
    )


def _apply_policy(feed: Feed, times: _Times, rows: NDArray[np.int64], instants: LocalInstants) -> None:
    later = feed.time.fold == "later"
    times.ns[rows] = np.where(instants.fold & later, instants.later, instants.earlier)
    times.flags[rows[instants.fold]] |= FOLD_LATER if later else FOLD_EARLIER
    times.flags[rows[instants.gap]] |= GAP_SHIFTED
    if feed.time.gap == "reject":
        times.refuse(rows[instants.gap], "dst_gap")
    if feed.time.fold == "reject":
        times.refuse(rows[instants.fold], "dst_fold")


def _apply_record_order(
    frame: pl.DataFrame, times: _Times, rows: NDArray[np.int64], later: NDArray[np.int64]
) -> UnclearFolds:
    """Set the instants of local times in a fold (of which `times` has the earlier) by the order of the records; refuse
    those that the order does not decide, and return them."""
    chosen = fold_order.choose_folds(frame, times.ns, rows, later)
    second = chosen == fold_order.SECOND
    times.ns[rows[second]] = later[second]
    times.flags[rows[second]] ^= FOLD_EARLIER | FOLD_LATER
    unclear = chosen == fold_order.UNCLEAR
    times.refuse(rows[unclear], "fold_unclear")
    return UnclearFolds(rows[unclear], times.ns[rows[unclear]], later[unclear])


def _refuse_unknown(feed: Feed, frame: pl.DataFrame, rows: NDArray[np.int64], times: _Times) -> None:
    named = np.zeros(len(rows), np.bool_)
    if feed.time.zone_path is not None:
        named = frame["zone"][rows].is_not_null().to_numpy()
    times.refuse(rows[named], "zone_unknown")
    times.refuse(rows[~named], "zone_missing")


def _row_zones(feed: Feed, frame: pl.DataFrame) -> tuple[NDArray[np.int64], list[str]]:
    """(zone number of each row, the zone names by number); UNKNOWN where a row has no zone or an unknown one."""
    if feed.time.zone is not None:
        return np.zeros(len(frame), np.int64), [feed.time.zone]
    degree_columns = position_columns(feed)
    names: list[str | None]
    if degree_columns is None:
        names = frame["zone"].to_list()
    else:
        latitudes, longitudes = (frame[column].to_list() for column in degree_columns)
        names = [
            None if latitude is None or longitude is None else zone_at(longitude, latitude)
            for latitude, longitude in zip(latitudes, longitudes, strict=True)
        ]
    numbers: dict[str | None, int] = {None: UNKNOWN}
    known: list[str] = []
    for name in dict.fromkeys(names):
        if name is not None:
            numbers[name] = len(known) if zone(name) else UNKNOWN
            known += [name] if zone(name) else []
    return np.array([numbers[name] for name in names], np.int64), known
