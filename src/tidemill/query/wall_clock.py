"""The wall clock of a zone as lookup tables for the store, so that windows follow the changes of its offset.

A window contains all instants with the same wall-clock time rounded down to the window's length, and begins with the
first of these instants. Where clocks are put back by the length of a window or more, the hours that occur twice have
separate windows. Minutes are counted from midnight of 1970-01-01 on the wall clock, and lengths that divide a day
therefore from every midnight.

The offset changes at an instant `change`, from `before` to `after`; `wall` is the wall-clock time of that instant with
the offset `before`. To look up the change for a time without a search, time is divided into buckets of 2^bits ns, so
that no bucket has two changes.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S
from tidemill.rules.zones import offsets_around

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_BITS: Final = range(54, 40, -1)  # 208 days and shorter


class WallClock(msgspec.Struct, frozen=True):
    """The changes of a zone's offset in a range of time, ascending, and one more after all instants. `previous` is the
    instant of the change before each. All arrays are in ns."""

    change: NDArray[np.int64]
    wall: NDArray[np.int64]
    previous: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]

    def first_instants(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first instant of each wall-clock time; the end of the gap for a time that does not exist."""
        number = np.searchsorted(self.wall, times, side="right")
        instants: NDArray[np.int64] = np.maximum(times - self.before[number], self.previous[number])
        return instants

    def second_instants(self, times: NDArray[np.int64], length_ns: int) -> NDArray[np.int64]:
        """The second instants of the wall-clock times that occur twice, where windows of this length are separate."""
        number = np.searchsorted(self.wall, times, side="right")
        later: NDArray[np.int64] = times - self.after[number]
        repeated = (self.before[number] - self.after[number] >= length_ns) & (later >= self.change[number])
        instants: NDArray[np.int64] = later[repeated]
        return instants

    def agrees_with_utc(self, length_ns: int) -> bool:
        """Whether windows of a fixed length are those of UTC, also where the offset changes: every offset and every
        change is a multiple of the length. So it is for the hours of most zones, and not for those of India."""
        times = np.concatenate([self.before, self.after, self.change[:-1]])
        return not (times % length_ns).any()

    def lookup_tables(self) -> dict[str, Any]:
        """The parameters that the SQL fragment points_calendar binds to calculate the same windows."""
        known = self.change[:-1], self.wall[:-1]
        bits = next(bits for bits in _BITS if all(len(np.unique(times >> bits)) == len(times) for times in known))
        first, by_change = _buckets(known[0], bits)
        first_wall, by_wall = _buckets(known[1], bits)
        return {
            "bits": bits,
            "first_bucket": first,
            "by_change": by_change,
            "first_wall_bucket": first_wall,
            "by_wall": by_wall,
            "buckets": len(by_change),
            "wall_buckets": len(by_wall),
            "changes": self.change.tolist(),
            "wall_changes": self.wall.tolist(),
            "previous": self.previous.tolist(),
            "offset_before": self.before.tolist(),
            "offset_after": self.after.tolist(),
        }


def wall_clock(zone: str, first_ns: int, last_ns: int) -> WallClock:
    """The wall clock of a zone over a range of time, with a year more on each side."""
    first, last = (
        datetime.fromtimestamp(max(MIN_NS, min(ns, MAX_NS)) // NS_PER_S, UTC).year for ns in (first_ns, last_ns)
    )
    return _wall_clock_of_years(zone, first - 1, last + 1)


@lru_cache(maxsize=256)
def _wall_clock_of_years(zone: str, first: int, last: int) -> WallClock:
    offsets: list[int] = []
    starts: list[int] = []
    for year in range(first, last + 1):
        around = offsets_around(zone, year)
        for start, offset in zip(around.start_ns.tolist(), around.offset_ns.tolist(), strict=True):
            if not offsets or (start > starts[-1] and offset != offsets[-1]):
                starts.append(start)
                offsets.append(offset)
    change = np.array([*starts[1:], _HIGHEST])
    before = np.array(offsets)
    after = np.array([*offsets[1:], offsets[-1]])
    wall = np.array([*(change[:-1] + before[:-1]), _HIGHEST])
    return WallClock(change, wall, np.array([_LOWEST, *change[:-1]]), before, after)


def _buckets(times: NDArray[np.int64], bits: int) -> tuple[int, list[int]]:
    """The number of the first bucket, and for each bucket, up to one after the last time, the index (from 1) of the
    first time that is not before the bucket."""
    if not len(times):
        return 0, [1]
    first, last = int(times[0]) >> bits, (int(times[-1]) >> bits) + 1
    begins = [bucket << bits for bucket in range(first, last + 1)]
    return first, (np.searchsorted(times, np.array(begins), side="left") + 1).tolist()
