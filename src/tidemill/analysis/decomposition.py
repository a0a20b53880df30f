"""Decomposition of a series into trend, seasons and rest, robust against outliers, for several seasons at once."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import signal

from tidemill.analysis.moments import scale_of
from tidemill.analysis.slots import (
    Slots,
    interpolated,
    make_slots,
    present_points,
    running_median,
    slot_periods,
    without_seasons,
)
from tidemill.errors import Fault, InputError, LimitError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_DECOMPOSED: Final = 100_000
FEWEST_POINTS: Final = 8
_SEASON_CYCLES: Final = 7  # on either side, over which a season may change
_ROBUST_ROUNDS: Final = 3
_BACKFITS: Final = 2
_EXACT: Final = 1e-9  # of the largest value, a rest is rounding
_NEAR: Final = 0.1  # of the weight of a window must be on values
_SEEN: Final = 1e-9  # so small a determinant is that of a single value


class Extreme(msgspec.Struct, frozen=True):
    """A smallest or largest value, and when it was."""

    at_ns: int
    value: float


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a series: `trend`, a season (`day`, `week`, `year`, `cycle`; its length in `steps`) or `rest`.

    `values` has one element for each slot; null in the rest where the series has no value. `share` is the part's share
    of the variance (null: a constant): shares of all parts add up to 1. `strength` (0 to 1) is that of a trend or
    season beside the rest.
    """

    name: str
    steps: int | None
    values: list[float | None]
    share: float | None
    strength: float | None
    stddev: float | None
    lowest: Extreme | None
    highest: Extreme | None


class Decomposition(msgspec.Struct, frozen=True, kw_only=True):
    """A series as the sum of `trend`, `seasons` (shortest first) and `rest`, at each of `times_ns`."""

    count: int
    missing: int
    interval: str
    tz: str | None
    times_ns: list[int]
    values: list[float | None]
    trend: Component
    seasons: list[Component]
    rest: Component


def decompose(
    times_ns: Integers, values: Floats, *, tz: str | None = None, seasons: Sequence[int] | None = None
) -> Decomposition:
    """The trend, the seasons and the rest of `values` (float64; NaN: missing) at ascending `times_ns` (int64 ns, UTC).

    STL (Cleveland et al. 1990, "STL: a seasonal-trend decomposition procedure based on loess", Journal of Official
    Statistics 6(1)) for several seasons as MSTL (Bandara, Hyndman and Bergmeir 2021, arXiv 2107.13462): each season is
    smoothed over 15 cycles, phase by phase, and what is slower is taken out of it; the trend is smoothed over 1.67 of
    the longest season, without a season over a fifth of the series. Smoothing is local linear regression with tricube
    weights of a fixed width. Outliers lose their weight in three rounds
    (bisquare), in the first by what is left of running medians.

    `seasons` are in slots, else the periods that are detected; at least two cycles of each must be there. A missing
    value has a trend and a season all the same. share = cov(part, values) / var(values); strength = max(0, 1 -
    var(rest) / var(part + rest)): Wang, Smith and Hyndman (2006). Raises NotEnoughPointsError below 8 values,
    UnevenSamplingError without a common interval, LimitError above 100,000 slots, InputError for a bad season.
    """
    points_ns, points = present_points(times_ns, values, FEWEST_POINTS, "a decomposition")
    slots = make_slots(points_ns, points, tz)
    _check(len(slots.values), seasons)
    named = [(p.name, p.steps) for p in slot_periods(slots)] if seasons is None else _named(slots, seasons)
    named = sorted(((name, steps) for name, steps in named if 2 * steps <= len(slots.values)), key=lambda s: s[1])
    exponent = scale_of(points)
    level = float(np.median(np.ldexp(points, -exponent)))
    parts = _parts(np.ldexp(slots.values, -exponent) - level, [steps for _, steps in named])
    maker = _ComponentMaker(slots, exponent)
    return Decomposition(
        count=len(points),
        missing=len(slots.values[slots.on_clock]) - int((~np.isnan(slots.values)).sum()),
        interval=slots.step.name,
        tz=tz,
        times_ns=slots.times_ns[slots.on_clock].tolist(),
        values=_nullable(slots.values[slots.on_clock]),
        trend=maker.component("trend", None, parts.trend, parts.rest, level),
        seasons=[
            maker.component(name, steps, season, parts.rest)
            for (name, steps), season in zip(named, parts.seasons, strict=True)
        ],
        rest=maker.component("rest", None, parts.rest, None),
    )


def _check(slots: int, seasons: Sequence[int] | None) -> None:
    if slots > MAX_DECOMPOSED:
        message = (
            f"there are {slots:,} intervals, and at most {MAX_DECOMPOSED:,} are decomposed: ask for longer windows"
        )
        raise LimitError("max_slots", MAX_DECOMPOSED, message)
    if any(not 2 <= steps <= slots // 2 for steps in seasons or ()):
        message = f"a season must be 2 to {slots // 2} steps long, so that two cycles of it are there"
        raise InputError(message, (Fault("seasons", "out_of_range", message),))


def _named(slots: Slots, seasons: Sequence[int]) -> list[tuple[str, int]]:
    names = {steps: name for name, steps in slots.seasons}
    return [(names.get(steps, "cycle"), steps) for steps in dict.fromkeys(seasons)]


class _Parts(msgspec.Struct, frozen=True):
    """Parts of equal length that add up to the values; the rest is NaN where there is none."""

    trend: Floats
    seasons: list[Floats]
    rest: Floats


def _parts(x: Floats, seasons: list[int]) -> _Parts:
    """Trend, seasons and rest of values around 0 (NaN: missing)."""
    present = ~np.isnan(x)
    whole = np.where(present, x, 0.0)
    parts = [np.zeros(len(x)) for _ in seasons]
    half = math.ceil(0.835 * seasons[-1]) if seasons else max(len(x) // 10, 3)
    deseasonalised = without_seasons(x, seasons)[1]
    rest = deseasonalised - running_median(deseasonalised, min(2 * half, len(x) - 1) // 2 * 2 + 1)
    trend = np.zeros(len(x))
    for _ in range(_ROBUST_ROUNDS):
        weights = _bisquare(rest)
        for _ in range(_BACKFITS):
            for n, steps in enumerate(seasons):
                others = sum((part for m, part in enumerate(parts) if m != n), np.zeros(len(x)))
                parts[n] = _season(whole - trend - others, weights, steps)
            trend = local_line(whole - sum(parts, np.zeros(len(x))), weights, half)
        rest = np.where(present, whole - trend - sum(parts, np.zeros(len(x))), np.nan)
    return _Parts(trend, parts, rest)


def _season(x: Floats, weights: Floats, steps: int) -> Floats:
    """A season: each phase smoothed over its cycles, less the moving average over a cycle.

    The phases are continued by a cycle at both ends, so that the average has no ends."""
    cycles = -(-len(x) // steps)
    padding = (steps, (cycles + 1) * steps - len(x))
    phases, phase_weights = (np.pad(array, padding).reshape(cycles + 2, steps) for array in (x, weights))
    smooth = interpolated(local_line(phases, phase_weights, min(_SEASON_CYCLES, cycles)).reshape(-1))
    ends = [0.5 / steps] * (
        1 - steps % 2
    )  # an even cycle is averaged over one value more, both ends with half a weight
    width = np.concatenate((ends, np.full(steps - len(ends), 1 / steps), ends))
    slower = signal.oaconvolve(smooth, width, mode="same")
    return np.asarray((smooth - slower)[steps : steps + len(x)])


def _bisquare(rest: Floats) -> Floats:
    """Weights (1 - (rest / h)^2)^2; 0 beyond h and where there is no value (NaN).

    h is four robust standard deviations, max(1.4826 median, 95 % quantile / 1.96) of |rest|: 6 median |rest| for a
    normal distribution, as in STL, and more where the rest is large at some hours only, as that of a solar roof by day.
    """
    size = np.abs(rest)
    middle, most = np.nanquantile(size, [0.5, 0.95])
    bound = max(4 * 1.4826 * float(middle), 4 * float(most) / 1.96, _EXACT)
    return np.asarray(np.nan_to_num(np.maximum(1 - (size / bound) ** 2, 0) ** 2))


def local_line(x: Floats, weights: Floats, half: int) -> Floats:
    """Local linear regression along the first axis, at each element: tricube weights times `weights` within `half` + 1.

    The weighted line through x_{t+j}, |j| <= half, at j = 0: (S2 T0 - S1 T1) / (S0 S2 - S1^2) with S_k = sum w j^k and
    T_k = sum w j^k x (Cleveland 1979), all elements at once by convolution. Where less than a tenth of the weight is
    near, the line between the neighbours that have more; NaN where none has.
    """
    half = min(half, len(x) - 1)
    j = np.arange(-half, half + 1) / (half + 1)
    kernel = (1 - np.abs(j) ** 3) ** 3
    shape = (-1,) + (1,) * (x.ndim - 1)

    def sums(values: Floats, power: int) -> Floats:
        return np.asarray(signal.oaconvolve(values, (kernel * j**power)[::-1].reshape(shape), mode="full", axes=0))[
            half : half + len(x)
        ]

    s0, s1, s2 = (sums(weights, power) for power in range(3))
    t0, t1 = (sums(weights * x, power) for power in range(2))
    determinant = s0 * s2 - s1 * s1
    seen = s0 > _NEAR * kernel.sum()
    determinant = np.maximum(s0 * s2 - s1 * s1, _SEEN * s0 * s0)
    line = np.divide(s2 * t0 - s1 * t1, determinant, out=np.full(x.shape, np.nan), where=seen)
    return interpolated(line) if line.ndim == 1 else np.apply_along_axis(interpolated, 0, line)


class _ComponentMaker(msgspec.Struct, frozen=True):
    """Makes components of parts whose values are scaled by 2 ** -`exponent`."""

    slots: Slots
    exponent: int

    def component(
        self, name: str, steps: int | None, part: Floats, rest: Floats | None, level: float = 0.0
    ) -> Component:
        """The component of a part; `rest` is None for the rest itself."""
        has_value = ~np.isnan(self.slots.values)
        x = np.ldexp(self.slots.values[has_value], -self.exponent)
        x, own = x - x.mean(), part[has_value]
        variance = float(x @ x) / len(x)
        strength = None
        if rest is not None and variance > 0:
            both = float((own + rest[has_value]).var())
            strength = max(0.0, 1 - float(rest[has_value].var()) / both) if both > 0 else 0.0
        shown = np.ldexp(part + level, self.exponent)[self.slots.on_clock]
        times = self.slots.times_ns[self.slots.on_clock]
        low, high = int(np.nanargmin(shown)), int(np.nanargmax(shown))
        return Component(
            name=name,
            steps=steps,
            values=_nullable(shown),
            share=float(x @ (own - own.mean())) / len(x) / variance if variance > 0 else None,
            strength=strength,
            stddev=math.ldexp(float(own.std()), self.exponent),
            lowest=Extreme(int(times[low]), float(shown[low])),
            highest=Extreme(int(times[high]), float(shown[high])),
        )


def _nullable(numbers: Floats) -> list[float | None]:
    return [None if math.isnan(number) else number for number in numbers.tolist()]
