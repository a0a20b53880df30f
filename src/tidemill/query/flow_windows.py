"""The windows of an answer of flow: their begins, and into which of them a time of receipt falls."""

from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.model.time import NS_PER_S
from tidemill.query.ladder import LADDER
from tidemill.query.nearest import too_many_windows
from tidemill.query.readers import WindowLength

MAX_WINDOWS: Final = 10_000
PICKED: Final = 240  # windows of an answer that names no length: at most so many
_SHORTEST: Final = NS_PER_S
_QUARTER: Final = 900 * NS_PER_S  # the offset of every zone of today is a multiple of it
_CALENDAR: Final = frozenset({"d", "w", "mo", "y"})


class FlowWindows(msgspec.Struct, frozen=True):
    """Windows of [first_ns, end_ns): `begins` (ns, ascending), the first of which may be before `first_ns`. The store
    counts in slots of `step_ns` from `begins[0]`; every window consists of whole slots."""

    every: WindowLength
    begins: NDArray[np.int64]
    step_ns: int

    def of_slots(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of the window of each slot."""
        return self.of_times(self.begins[0] + slots * self.step_ns)

    def of_times(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of the window of each instant of the range."""
        index: NDArray[np.int64] = np.searchsorted(self.begins, times, side="right") - 1
        return index


def flow_windows(every: WindowLength | None, first_ns: int, end_ns: int, zone: str) -> FlowWindows:
    """The windows of a range that is not empty; without `every` those of the shortest length of the ladder, from a
    second on, that is at most PICKED windows. Raises TooBigQuestionError for more than MAX_WINDOWS."""
    length = every or _picked(first_ns, end_ns)
    if (end_ns - first_ns) // length.nominal_ns >= MAX_WINDOWS:
        what, most = f"More than {MAX_WINDOWS} windows", MAX_WINDOWS
        raise too_many_windows(
            "max_windows", MAX_WINDOWS, what, every=length, start_ns=first_ns, end_ns=end_ns, most=most
        )
    if length.unit not in _CALENDAR:
        step = length.nominal_ns
        return FlowWindows(length, np.arange(first_ns - first_ns % step, end_ns, step, dtype=np.int64), step)
    local = pl.Series([first_ns, end_ns - 1]).cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(zone)
    ends = local.dt.truncate(length.text)
    begins = pl.datetime_range(ends[0], ends[1], length.text, time_unit="ns", time_zone=zone, eager=True)
    return FlowWindows(length, begins.to_physical().to_numpy(), _QUARTER)


def _picked(first_ns: int, end_ns: int) -> WindowLength:
    length_ns = end_ns - first_ns
    fits = (item for item in LADDER if item.nominal_ns >= _SHORTEST and length_ns // item.nominal_ns < PICKED)
    return next(fits, LADDER[-1])
