"""Gives each record its instant: finds the zone of local times and applies the feed's policy for gaps and folds.

Adds `time` (i64 ns UTC, null where there is none), `flags` (u8) and `time_reason` (why there is none).
"""

from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.plan import position_columns
from tidemill.decode.times import DAY, INSTANT
from tidemill.feeds.definition import Feed
from tidemill.model.iso8601 import DAY_S
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S
from tidemill.model.zones import zone
from tidemill.rules import fold_order, time_shifts
from tidemill.rules.zones import UNKNOWN, LocalInstants, to_instants, zone_at

FOLD_EARLIER: Final = 1  # bit 0: a local time that was twice, taken as the earlier
FOLD_LATER: Final = 2  # bit 1: the same, taken as the later
GAP_SHIFTED: Final = 4  # bit 2: a local time that never was, put forward by the length of the gap
SHIFTED: Final = 8  # bit 3: what the feed's shift was added to
_NO_REASON: Final = pl.Series("time_reason", [None], dtype=pl.String)


class _Times:
    """The instants of a frame while they are being found: ns, flags, and why there is none."""

    def __init__(self, wall: NDArray[np.int64]) -> None:
        self.ns = wall.copy()
        self.flags = np.zeros(len(wall), np.uint8)
        self.reasons: dict[int, str] = {}

    def refuse(self, rows: NDArray[np.int64], reason: str) -> None:
        """Rows without an instant; the first reason stays."""
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
    """The batch's frame with `time`, `flags` and `time_reason`."""
    times = _Times(frame["wall_ns"].to_numpy())
    kinds = frame["local"].to_numpy()
    local = np.flatnonzero(kinds)
    _before_zones(feed, frame, times, kinds != INSTANT)
    if len(local):
        zones, names = _zones(feed, frame[local])
        _refuse_unknown(feed, frame, local[zones == UNKNOWN], times)
        known = zones != UNKNOWN
        rows = local[known]
        found = to_instants(times.ns[rows], zones[known], names)
        _apply_policy(
            feed, times, rows, _resolve_days(_without_interval_ends(feed, found), times.ns[rows], kinds[rows] == DAY)
        )
        if feed.time.fold == "by_order":
            _by_order(frame, times, rows[found.fold], found.later[found.fold])
    length_ns = time_shifts.fixed_interval_ns(feed.time)
    if length_ns:
        times.ns = np.where(times.ns >= MIN_NS + length_ns, times.ns - length_ns, time_shifts.OUT_OF_RANGE)
    times.refuse(np.flatnonzero((times.ns < MIN_NS) | (times.ns > MAX_NS)), "time_out_of_range")
    return frame.hstack(times.columns())


def _before_zones(feed: Feed, frame: pl.DataFrame, times: _Times, local: NDArray[np.bool_]) -> None:
    """What is added to the clock as it is written."""
    if feed.time.shift is not None:
        times.flags[time_shifts.apply_shift(feed.time.shift, frame, times.ns)] |= SHIFTED
    span = time_shifts.calendar_span(feed.time)
    if span is not None:
        times.ns = time_shifts.interval_begins(feed.time, times.ns, local, span)


def _without_interval_ends(feed: Feed, found: LocalInstants) -> LocalInstants:
    """The same where times are ends of intervals: the first moment of a gap is the end of the interval before it."""
    if feed.time.stamp != "end":
        return found
    return msgspec.structs.replace(found, gap=found.gap & (found.earlier != found.change))


def resolve_stamps(feed: Feed, stamps: pl.DataFrame | None) -> pl.DataFrame:
    """`seq`, `idx`, `time` (ns UTC) of the rejected records whose instant the feed's policy can say."""
    if stamps is None or stamps.is_empty():
        return pl.DataFrame(schema={"seq": pl.UInt64, "idx": pl.UInt32, "time": pl.Int64})
    return resolve_times(feed, stamps).filter(pl.col("time").is_not_null()).select("seq", "idx", "time")


def _resolve_days(found: LocalInstants, wall: NDArray[np.int64], days: NDArray[np.bool_]) -> LocalInstants:
    """The same where a day without a time means its begin: whichever way clocks are put at midnight, a day has one. A
    day that never was stays in its gap."""
    if not days.any():
        return found
    late = days & found.gap & (found.resumed < wall + DAY_S * NS_PER_S)
    begin = np.where(late, found.change, found.earlier)
    return LocalInstants(
        begin,
        np.where(days, begin, found.later),
        found.gap & ~late,
        found.fold & ~days,
        found.change,
        found.resumed,
    )


def _apply_policy(feed: Feed, times: _Times, rows: NDArray[np.int64], found: LocalInstants) -> None:
    later = feed.time.fold == "later"
    times.ns[rows] = np.where(found.fold & later, found.later, found.earlier)
    times.flags[rows[found.fold]] |= FOLD_LATER if later else FOLD_EARLIER
    times.flags[rows[found.gap]] |= GAP_SHIFTED
    if feed.time.gap == "reject":
        times.refuse(rows[found.gap], "dst_gap")
    if feed.time.fold == "reject":
        times.refuse(rows[found.fold], "dst_fold")


def _by_order(frame: pl.DataFrame, times: _Times, rows: NDArray[np.int64], later: NDArray[np.int64]) -> None:
    """Local times that were twice, of which `times` has the first instant: the one that the order of records tells."""
    passed = fold_order.choose_folds(frame, times.ns, rows, later)
    second = passed == fold_order.SECOND
    times.ns[rows[second]] = later[second]
    times.flags[rows[second]] ^= FOLD_EARLIER | FOLD_LATER
    times.refuse(rows[passed == fold_order.UNCLEAR], "fold_unclear")


def _refuse_unknown(feed: Feed, frame: pl.DataFrame, rows: NDArray[np.int64], times: _Times) -> None:
    named = np.zeros(len(rows), np.bool_)
    if feed.time.zone_path is not None:
        named = frame["zone"][rows].is_not_null().to_numpy()
    times.refuse(rows[named], "zone_unknown")
    times.refuse(rows[~named], "zone_missing")


def _zones(feed: Feed, frame: pl.DataFrame) -> tuple[NDArray[np.int64], list[str]]:
    """(zone number of each row, the names of the numbers); UNKNOWN where there is no zone of that name."""
    if feed.time.zone is not None:
        return np.zeros(len(frame), np.int64), [feed.time.zone]
    position = position_columns(feed)
    names: list[str | None]
    if position is None:
        names = frame["zone"].to_list()
    else:
        latitudes, longitudes = (frame[column].to_list() for column in position)
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
