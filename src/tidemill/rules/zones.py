"""Converts local times to instants and back, a column at a time, by the pinned time zone data.

Offsets come from `model.zones`, as for a single time, and not from Polars: its copy of the data is of another date and
has no daylight saving time after 2100.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import tzfpy
from numpy.typing import NDArray

from tidemill.model.iso8601 import DAY_S
from tidemill.model.time import NS_PER_S
from tidemill.model.zones import offset_s, zone

UNKNOWN: Final = -1  # zone number of a row whose zone is missing or unknown
_FAR_NS: Final = 1 << 62

# The zone at (longitude, latitude); at sea the nautical one (`Etc/GMT+5`). The cache key is the exact position.
zone_at = lru_cache(maxsize=1 << 16)(tzfpy.get_tz)


class LocalInstants(msgspec.Struct, frozen=True):
    """The instants (ns UTC) of local times. `earlier` and `later` differ only in a fold. In a gap, `earlier` is the
    time moved forward by the length of the gap, `change` the instant at which clocks were put forward over it, and
    `resumed` the wall clock that they were put to."""

    earlier: NDArray[np.int64]
    later: NDArray[np.int64]
    gap: NDArray[np.bool_]
    fold: NDArray[np.bool_]
    change: NDArray[np.int64]
    resumed: NDArray[np.int64]


class Offsets(msgspec.Struct, frozen=True):
    """The offsets of a zone around one year: `offset_ns[i]` holds from `start_ns[i]` (UTC) to the next start."""

    start_ns: NDArray[np.int64]
    offset_ns: NDArray[np.int64]


def to_instants(wall_ns: NDArray[np.int64], zones: NDArray[np.int64], names: Sequence[str]) -> LocalInstants:
    """The instants of wall clocks (ns as if UTC) in zones (numbers into `names`, none of them UNKNOWN)."""
    marks = np.zeros(len(zones), np.bool_)
    result = LocalInstants(wall_ns.copy(), wall_ns.copy(), marks, marks.copy(), wall_ns.copy(), wall_ns.copy())
    years = wall_ns.astype("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970
    groups, row_group = np.unique(zones * 10_000 + years, return_inverse=True)
    for number, group in enumerate(groups):
        rows = slice(None) if len(groups) == 1 else np.flatnonzero(row_group == number)
        offsets = offsets_around(names[group // 10_000], int(group % 10_000))
        _resolve(wall_ns[rows], offsets, result, rows)
    return result


def to_wall_ns(ns: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """Instants (ns UTC) -> the wall clock of a zone (ns as if UTC)."""
    wall_ns = ns.copy()
    years = ns.astype("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970
    for year in np.unique(years).tolist():
        rows = np.flatnonzero(years == year)
        offsets = offsets_around(name, year)
        wall_ns[rows] += offsets.offset_ns[np.searchsorted(offsets.start_ns, ns[rows], side="right") - 1]
    return wall_ns


def _resolve(wall: NDArray[np.int64], offsets: Offsets, result: LocalInstants, rows: slice | NDArray[np.int64]) -> None:
    begins = offsets.start_ns + offsets.offset_ns  # wall clock at which each stretch of one offset begins
    ends = np.append(offsets.start_ns[1:] + offsets.offset_ns[:-1], _FAR_NS * 2 - 1)
    first = np.searchsorted(ends, wall, side="right")  # the first stretch that has not ended at that wall clock
    gap = wall < begins[first]
    following = np.minimum(first + 1, len(begins) - 1)
    fold = (following > first) & (wall >= begins[following])
    before = np.where(gap, first - 1, first)  # in a gap, clocks that were not put forward still show this time
    result.earlier[rows] = wall - offsets.offset_ns[before]
    result.later[rows] = wall - offsets.offset_ns[np.where(fold, following, before)]
    result.gap[rows] = gap
    result.fold[rows] = fold
    result.change[rows] = offsets.start_ns[first]
    result.resumed[rows] = begins[first]


@lru_cache(maxsize=4096)
def offsets_around(name: str, year: int) -> Offsets:
    """The offsets that hold in a zone from two days before a year to two days after it."""
    info = zone(name)
    assert info is not None, name
    first = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) - 2 * DAY_S
    days = range(first, first + 371 * DAY_S, DAY_S)
    offsets_s = [offset_s(info, day) for day in days]
    starts, offsets = [-_FAR_NS], [offsets_s[0] * NS_PER_S]
    for day, before, after in zip(days, offsets_s, offsets_s[1:], strict=False):
        if before != after:
            starts.append(_change_s(info, day, day + DAY_S, before) * NS_PER_S)
            offsets.append(after * NS_PER_S)
    return Offsets(np.array(starts), np.array(offsets))


def _change_s(info: ZoneInfo, low: int, high: int, before: int) -> int:
    """The first second (UTC) in (low, high] at which the zone's offset is no longer `before` seconds."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset_s(info, middle) == before else (low, middle)
    return high
