"""What is usual at the time of a value, as a range and in words: the reasons that anomalies give."""

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.forecast.steps import DAY_NS, NS_PER_S, FixedStep
from tidemill.analysis.periods import Period
from tidemill.analysis.slots import Slots
from tidemill.analysis.words import WEEKDAYS, local_time, outside_texts, with_unit

Floats = NDArray[np.float64]

_QUANTILES: Final = (0.05, 0.95)
_FEWEST: Final = 6  # values of the same phase, for a range of theirs


class UsualRange(msgspec.Struct, frozen=True):
    """The range that is usual, and `when` it is: `usual at this hour`."""

    low: float
    high: float
    when: str


class UsualRanges(msgspec.Struct, frozen=True):
    """The usual ranges of a series in `tz`, whose `periods` are known and whose level is that of `window` slots."""

    slots: Slots
    periods: tuple[Period, ...]
    window: int
    tz: str | None

    def around(self, slot: int, time_ns: int, value: float, expected: tuple[float, float]) -> UsualRange:
        """The first range that does not hold the value: on this weekday at this hour, at this hour, around then; else
        `expected`, which must not hold it."""
        for near, when in self._neighbours(slot, time_ns):
            others = near[~np.isnan(near)]
            if len(others) >= _FEWEST:
                low, high = (float(x) for x in np.quantile(others, _QUANTILES))
                if not low <= value <= high:
                    return UsualRange(low, high, when)
        return UsualRange(*expected, "expected there")

    def _neighbours(self, slot: int, time_ns: int) -> Iterator[tuple[Floats, str]]:
        """Values that are like the one in a slot, and in what they are."""
        for period in sorted(self.periods, key=lambda p: -p.steps):
            yield (
                self._others(np.arange(slot % period.steps, len(self.slots.values), period.steps), slot),
                (f"usual {self._phase_text(period, time_ns)}"),
            )
        half = self.window // 2
        near = np.arange(max(slot - half, 0), min(slot + half + 1, len(self.slots.values)))
        yield self._others(near, slot), "usual around then"

    def _others(self, at: NDArray[np.int64], slot: int) -> Floats:
        return np.asarray(self.slots.values[at[at != slot]])

    def _phase_text(self, period: Period, time_ns: int) -> str:
        local = local_time(time_ns, self.tz)
        below_day = isinstance(self.slots.step, FixedStep) and self.slots.step.length_ns < DAY_NS
        if period.name == "day":
            return "at this hour"
        if period.name == "week":
            return f"on a {WEEKDAYS[local.weekday()]}{' at this hour' if below_day else ''}"
        if period.name == "year":
            is_monthly = period.steps <= 12
            return f"in {local:%B}" if is_monthly else "at this time of the year"
        return "at this point of the cycle"

    def reason(self, time_ns: int, value: float, usual: UsualRange, unit: str | None) -> str:
        """`6.1 kW at 03:15, usual at this hour 0.2–0.5`."""
        value_text, texts = outside_texts(value, usual.low, usual.high)
        return f"{with_unit(value_text, unit)} {self._time_text(time_ns)}, {usual.when} {texts}"

    def _time_text(self, time_ns: int) -> str:
        local = local_time(time_ns, self.tz)
        length_ns = self.slots.step.length_ns if isinstance(self.slots.step, FixedStep) else None
        if length_ns is None or length_ns >= DAY_NS:
            return f"on {local:%Y-%m-%d}"
        if length_ns >= 60 * NS_PER_S and local.second == 0:
            return f"at {local:%H:%M}"
        return f"at {local:%H:%M:%S}" if length_ns >= NS_PER_S else f"at {local:%H:%M:%S.%f}"
