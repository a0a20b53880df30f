"""Anomalies of a series: values far from what is usual at their time, each with a reason in words."""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.periods import Period
from tidemill.analysis.slots import (
    Slots,
    interpolated,
    make_slots,
    present_points,
    running_median,
    season_lengths,
    slot_periods,
    without_seasons,
)
from tidemill.analysis.usual import UsualRanges

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

THRESHOLD: Final = 5.0
MAX_ANOMALIES: Final = 1_000
FEWEST_POINTS: Final = 24
_WINDOWS: Final = (9, 17, 33, 65)  # beside the season: what level a value is compared with
_SAMPLED: Final = 2_000  # values on which the window is chosen
_FACTORS: Final = (0.3, 3.0)  # so much smaller or larger than usual can residuals be at a phase
_NORMAL_MAD, _NORMAL_95, _NORMAL_99 = 1.4826, 1.96, 2.58
_PRIOR: Final = 8  # values of the mean size that each phase is given
_MAX_SCORE: Final = 1e6


class Anomaly(msgspec.Struct, frozen=True):
    """A `value` that is not usual at `at_ns`.

    `expected` is the season's value plus the level around it; `low` to `high` is the range that is usual then, which
    `reason` says in words; the value is outside. `score` is the residual over its usual size: above 0 the value is too
    high.
    """

    at_ns: int
    value: float
    expected: float
    low: float
    high: float
    score: float
    reason: str


class Anomalies(msgspec.Struct, frozen=True, kw_only=True):
    """The anomalies of a series, in order of time: at most `most` of the `anomaly_count` ones, the strongest.

    `count` is of present values, `missing` of the others. `periods` were taken out first, then the median of
    `window` slots around. `below` and `above` are the usual sizes of residuals on either side, as standard deviations
    (null: there is none on that side).
    """

    count: int
    missing: int
    interval: str
    tz: str | None
    threshold: float
    periods: list[Period]
    window: int
    below: float | None
    above: float | None
    anomaly_count: int
    anomalies: list[Anomaly]
    notes: list[str]


def anomalies(
    times_ns: Integers,
    values: Floats,
    *,
    tz: str | None = None,
    unit: str | None = None,
    threshold: float = THRESHOLD,
    most: int = MAX_ANOMALIES,
) -> Anomalies:
    """The anomalies of `values` (float64; NaN: missing) at ascending `times_ns` (int64 ns, UTC).

    residual = value - seasonal medians (day, then week, ...) - running median of `window` slots;
    score = residual / (scale of its side x factor of its phase); an anomaly has |score| > `threshold`.
    The scale of a side is max(1.4826 median, 95 % quantile / 1.96, 0.8 x 99 % quantile / 2.58) of the |residuals| on
    that side: a robust standard deviation (Rousseeuw and Croux 1993, "Alternatives to the median absolute deviation",
    JASA 88(424)) that heavy tails raise, so that a load whose peaks are usual has few anomalies. The factor is the mean
    |residual| at that phase of the first season over that of all, 0.3 to 3. The window is the one of 9, 17, 33, 65 and
    the season whose median is nearest to a value that is left out of it.
    Raises NotEnoughPointsError below 24 values, UnevenSamplingError without a common interval.
    """
    points_ns, points = present_points(times_ns, values, FEWEST_POINTS, "the search for anomalies")
    slots = make_slots(points_ns, points, tz)
    periods = slot_periods(slots)
    model = _model(slots, periods)
    notes = []
    if len(np.unique(points)) <= 2:
        notes.append("there are no more than two values: none of them is unusual")
        score = np.zeros(len(points))
    else:
        score = _scores(points - model.expected[slots.numbers], model, slots.numbers)
    at = np.flatnonzero(np.abs(score) > threshold)
    kept = np.sort(at[np.argsort(-np.abs(score[at]), kind="stable")[:most]])
    reasons = _Reasons(UsualRanges(slots, periods, model.window, tz), model, unit)
    return Anomalies(
        count=len(points),
        missing=len(values) - len(points),
        interval=slots.step.name,
        tz=tz,
        threshold=threshold,
        periods=list(periods),
        window=model.window,
        below=model.below or None,
        above=model.above or None,
        anomaly_count=len(at),
        anomalies=[
            reasons.anomaly(int(slots.numbers[n]), int(points_ns[n]), float(points[n]), float(score[n]))
            for n in kept.tolist()
        ],
        notes=notes,
    )


class _Model(msgspec.Struct, frozen=True):
    """What is usual: `expected` at each slot; residuals of one standard deviation on either side; their `factors` at
    each phase of the first season ([1] without)."""

    expected: Floats
    window: int
    below: float
    above: float
    factors: Floats


def _model(slots: Slots, periods: tuple[Period, ...]) -> _Model:
    seasonal, rest = without_seasons(slots.values, season_lengths(periods))
    steps = min((p.steps for p in periods), default=1)
    window = _window(rest, max(steps, 1))
    level = running_median(rest, window)
    residual = rest - level
    factors = _factors(residual, steps)
    sizes = residual / factors[np.arange(len(residual)) % steps]
    return _Model(seasonal + level, window, _scale(-sizes), _scale(sizes), factors)


def _window(rest: Floats, season: int) -> int:
    """The window whose median, without the value in its middle, is nearest to that value; a longer one unless it is
    5 % worse, because a short one follows a run of unusual values."""
    whole = interpolated(rest)
    best, least = 0, np.inf
    for window in sorted({*_WINDOWS, season // 2 * 2 + 1}, reverse=True):
        if window > max(len(rest) // 3, _WINDOWS[0]) or window < _WINDOWS[0]:
            continue
        around = np.lib.stride_tricks.sliding_window_view(whole, window)
        around = around[:: max(len(around) // _SAMPLED, 1)]
        others = np.delete(around, window // 2, axis=1)
        errors = np.abs(around[:, window // 2] - np.median(others, axis=1))
        error = float(np.minimum(errors, np.quantile(errors, 0.95)).mean())
        if best == 0 or error < 0.95 * least:
            best, least = window, error
    return best


def _factors(residual: Floats, steps: int) -> Floats:
    """How large |residuals| are at each phase, smoothed over neighbouring phases, over their mean; [1] without."""
    size = np.abs(residual)
    present = ~np.isnan(size)
    top = float(np.quantile(size[present], 0.98))
    if steps < 4 or not top > 0:
        return np.ones(steps)
    size = np.minimum(size, top)
    phases = np.flatnonzero(present) % steps
    sums = np.bincount(phases, size[present], steps)
    counts = np.bincount(phases, minlength=steps)
    sums, counts = (x + 0.5 * (np.roll(x, 1) + np.roll(x, -1)) for x in (sums, counts))
    mean = float(size[present].mean())
    if not mean > 0:  # of subnormal sizes
        return np.ones(steps)
    return np.clip((sums + _PRIOR * mean) / (counts + _PRIOR) / mean, *_FACTORS)


def _scale(sizes: Floats) -> float:
    """The robust standard deviation of the residuals above 0, with half of those that are 0; 0 where there are none."""
    above = np.append(sizes[sizes > 0], np.zeros(int((sizes == 0).sum()) // 2))
    if not above.any():
        return 0.0
    half, most, nearly_all = np.quantile(above, [0.5, 0.95, 0.99])
    return float(max(_NORMAL_MAD * half, most / _NORMAL_95, 0.8 * nearly_all / _NORMAL_99))


def _scores(residual: Floats, model: _Model, numbers: Integers) -> Floats:
    scale = np.where(residual > 0, model.above, model.below) * model.factors[numbers % len(model.factors)]
    score = np.divide(residual, scale, out=np.zeros(len(residual)), where=scale > 0)
    return np.clip(score, -_MAX_SCORE, _MAX_SCORE)


class _Reasons(msgspec.Struct, frozen=True):
    """Gives each anomaly the range that is usual at its time, and its reason."""

    ranges: UsualRanges
    model: _Model
    unit: str | None

    def anomaly(self, slot: int, time_ns: int, value: float, score: float) -> Anomaly:
        """The anomaly of a value in a slot."""
        model = self.model
        expected, factor = float(model.expected[slot]), float(model.factors[slot % len(model.factors)])
        typical = (expected - 2 * model.below * factor, expected + 2 * model.above * factor)
        usual = self.ranges.around(slot, time_ns, value, typical)
        reason = self.ranges.reason(time_ns, value, usual, self.unit)
        return Anomaly(time_ns, value, expected, usual.low, usual.high, score, reason)
