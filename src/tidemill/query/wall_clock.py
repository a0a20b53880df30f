"""The wall clock of a zone as tables that the store looks up: windows follow it wherever it goes.

A window is every instant whose wall clock, rounded down to the window's length, shows the same; it begins with the
first of them. Where clocks are put back by the length of a window or more, the hours that come twice have windows of
their own each time. Minutes are counted from the midnight of 1970-01-01 on the wall clock, and lengths that divide a
day therefore from every midnight.

A change of offset is at an instant `change`, from `before` to `after`; at it the clock shows `wall` last. To find the
change that matters for a time without searching, time is cut into buckets of 2^bits ns, so that no bucket has two
changes.
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
    """The changes of a zone's offset from one instant to another, in order, and one more that is never. `previous` is
    the change before each. All in ns."""

    change: NDArray[np.int64]
    wall: NDArray[np.int64]
    previous: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]

    def local_times(self, ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the clock shows at instants (ns as if UTC)."""
        walls: NDArray[np.int64] = ns + self.before[np.searchsorted(self.change, ns, side="right")]
        return walls

    def first_instants(self, walls: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first instant at which the clock shows each of these times; of one in a gap the end of the gap."""
        at = np.searchsorted(self.wall, walls, side="right")
        found: NDArray[np.int64] = np.maximum(walls - self.before[at], self.previous[at])
        return found

    def second_instants(self, walls: NDArray[np.int64], length_ns: int) -> NDArray[np.int64]:
        """The second instants of those times that come twice, where windows of a length have both."""
        at = np.searchsorted(self.wall, walls, side="right")
        twice = (self.before[at] - self.after[at] >= length_ns) & (walls - self.after[at] >= self.change[at])
        later: NDArray[np.int64] = (walls - self.after[at])[twice]
        return later

    def lookup_tables(self) -> dict[str, Any]:
        """What the store binds to look up the same (fragment points_calendar)."""
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
            "walls": self.wall.tolist(),
            "previous": self.previous.tolist(),
            "offset_before": self.before.tolist(),
            "offset_after": self.after.tolist(),
        }


def wall_clock(zone: str, first_ns: int, last_ns: int) -> WallClock:
    """The clock of a zone as it goes from one instant to another, and for a while around."""
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
    """(the number of the first bucket, for each bucket up to one behind the last time the place (from 1) of the first
    time that is not before it)."""
    if not len(times):
        return 0, [1]
    first, last = int(times[0]) >> bits, (int(times[-1]) >> bits) + 1
    begins = [bucket << bits for bucket in range(first, last + 1)]
    return first, (np.searchsorted(times, np.array(begins), side="left") + 1).tolist()
