"""Gives each record its instant: finds the zone of local times and applies the feed's policy for gaps and folds.

Adds `time` (i64 ns UTC, null where there is none), `flags` (u8) and `time_reason` (why there is none).
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.decode.plan import position_columns
from tidemill.feeds.definition import Feed
from tidemill.model.time import MAX_NS, MIN_NS
from tidemill.model.zones import zone
from tidemill.rules.zones import UNKNOWN, LocalInstants, to_instants, zone_at

FOLD_EARLIER: Final = 1  # bit 0: a local time that was twice, taken as the earlier
FOLD_LATER: Final = 2  # bit 1: the same, taken as the later
GAP_SHIFTED: Final = 4  # bit 2: a local time that never was, put forward by the length of the gap
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
    local = np.flatnonzero(frame["local"].to_numpy())
    if len(local):
        zones, names = _zones(feed, frame[local])
        _refuse_unknown(feed, frame, local[zones == UNKNOWN], times)
        known = zones != UNKNOWN
        _apply_policy(feed, times, local[known], to_instants(times.ns[local[known]], zones[known], names))
    times.refuse(np.flatnonzero((times.ns < MIN_NS) | (times.ns > MAX_NS)), "time_out_of_range")
    return frame.hstack(times.columns())


def instants(feed: Feed, stamps: pl.DataFrame | None) -> pl.DataFrame:
    """`seq`, `idx`, `time` (ns UTC) of the rejected records whose instant the feed's policy can say."""
    if stamps is None or stamps.is_empty():
        return pl.DataFrame(schema={"seq": pl.UInt64, "idx": pl.UInt32, "time": pl.Int64})
    return resolve_times(feed, stamps).filter(pl.col("time").is_not_null()).select("seq", "idx", "time")


def _apply_policy(feed: Feed, times: _Times, rows: NDArray[np.int64], found: LocalInstants) -> None:
    later = feed.time.fold == "later"
    times.ns[rows] = np.where(found.fold & later, found.later, found.earlier)
    times.flags[rows[found.fold]] |= FOLD_LATER if later else FOLD_EARLIER
    times.flags[rows[found.gap]] |= GAP_SHIFTED
    if feed.time.gap == "reject":
        times.refuse(rows[found.gap], "dst_gap")
    if feed.time.fold == "reject":
        times.refuse(rows[found.fold], "dst_fold")


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
