"""Columns for the evaluation of rules with a past (`history.py`): the order of rows, and the past of groups of rows one
after the other. Pure.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.checks.look_back import RESTART, Floats, Ints

NEVER: Final = np.iinfo(np.int64).min  # instead of a time: there is none


class FrameColumns:
    """Columns of a frame in another order; only the columns that are used are reordered."""

    def __init__(self, frame: pl.DataFrame, order: Ints) -> None:
        self._frame = frame
        self._order = order

    def __getitem__(self, name: str) -> Any:
        return self._frame[name].to_numpy()[self._order]


def row_order(frame: pl.DataFrame) -> Ints:
    """The rows that have an instant, in the order of (identity, seq, idx)."""
    rows = np.arange(frame.height)
    if frame["time"].null_count():
        rows = np.flatnonzero(frame["time"].is_not_null().to_numpy())
    identity, seq, idx = (frame[name].to_numpy()[rows] for name in ("identity", "seq", "idx"))
    if not bool(((seq[1:] > seq[:-1]) | ((seq[1:] == seq[:-1]) & (idx[1:] > idx[:-1]))).all()):
        return rows[np.lexsort((idx, seq, identity))]
    if identity.max(initial=0) < 1 << 16:  # sorted by counting: 1,000,000 rows in 10 ms
        identity = identity.astype(np.uint16)
    return rows[np.argsort(identity, kind="stable")]


def ranges(start: Ints, stop: Ints) -> Ints:
    """The integers of all ranges [start, stop), one range after the other."""
    sizes = stop - start
    numbers: Ints = np.arange(sizes.sum()) + np.repeat(start - (np.cumsum(sizes) - sizes), sizes)
    return numbers


def group_past(past: pl.DataFrame, ids: NDArray[np.uint64]) -> tuple[Ints, Floats, Ints]:
    """(time, value, begin of each group's part and the end of the last) of the points `past` (sorted by series and
    time); `ids` are the series of the groups."""
    series = past["series"].to_numpy()
    start, stop = np.searchsorted(series, ids), np.searchsorted(series, ids, side="right")
    rows = ranges(start, stop)
    return past["time"].to_numpy()[rows], past["value"].to_numpy()[rows], np.append(0, np.cumsum(stop - start))


def with_rejected(
    time: Ints, value: Floats, begin: Ints, *, rejected: Ints, rejected_begin: Ints
) -> tuple[Ints, Floats, Ints]:
    """A past (time, value, begin of each group) with RESTART at the times of rejected records where it has no point."""
    groups = np.arange(len(begin) - 1)
    group = np.append(np.repeat(groups, np.diff(begin)), np.repeat(groups, np.diff(rejected_begin)))
    times = np.append(time, rejected)
    restarts = np.append(np.zeros(len(time), np.bool_), np.ones(len(rejected), np.bool_))
    order = np.lexsort((restarts, times, group))
    group, times, restarts = group[order], times[order], restarts[order]
    values = np.append(value, np.full(len(rejected), RESTART))[order]
    again = (np.diff(times, prepend=NEVER) == 0) & (np.diff(group, prepend=-1) == 0) & restarts
    return times[~again], values[~again], np.searchsorted(group[~again], np.arange(len(begin)))


def write_latest(latest_times: pl.DataFrame, ids: NDArray[np.uint64], latest: Ints) -> None:
    """Write the time of each series into `latest` (one element per group); `ids` are the series of the groups."""
    groups = {series: group for group, series in enumerate(ids.tolist())}
    for series, time in latest_times.select("series", "time").iter_rows():
        latest[groups[series]] = time
