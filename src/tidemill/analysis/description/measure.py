"""Measures the figures of a series that a description is made of. Arrays in, one struct out."""

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.autocorrelation import autocorrelation
from tidemill.analysis.description.days import base_load, day_figures, week_figures
from tidemill.analysis.description.figures import Figures, Measure, Memory
from tidemill.analysis.description.registers import read_register
from tidemill.analysis.gaps import coverage
from tidemill.analysis.local_days import HOUR_NS, day_table, local_times
from tidemill.analysis.moments import check_magnitudes, deviation_of, finite, mean_of, scale_of
from tidemill.analysis.periods import Period, with_exact_cycle
from tidemill.analysis.slots import Slots, interpolated, make_slots, slot_periods
from tidemill.analysis.steps import DAY_NS, NS_PER_S, FixedStep
from tidemill.errors import LimitError, UnevenSamplingError
from tidemill.model.units import readings

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEWEST_POINTS: Final = 8
_WHITE_LAGS: Final = 24
_WHITE: Final = 4.0  # over sqrt(n): so large is hardly one of 24 autocorrelations of white noise
_WHITE_STEPS: Final = 0.1  # so small, an autocorrelation of differences says nothing, however many there are
_FILLED: Final = 0.6  # of the windows must have a value, for an uneven series to be analysed in them
_WELL_FILLED: Final = 0.75  # of windows about as long as the median interval: more than points by chance fill
_MS: Final = 1_000_000  # ns
_LENGTHS: Final = tuple(
    (f"{count}{unit}", count * ns)
    for unit, ns, counts in (
        ("ms", _MS, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        ("s", 1_000 * _MS, (1, 2, 5, 10, 15, 30)),
        ("m", 60_000 * _MS, (1, 2, 5, 10, 15, 30)),
    )
    for count in counts
)
_BLOCKS: Final = 60
_FEWEST_BLOCKS: Final = 10
_STEADY: Final = 0.6  # Kendall's tau of blocks that rise or fall steadily
_HUGE: Final = 1e150  # squares of larger values overflow


class UnitFacts(msgspec.Struct, frozen=True):
    """What a unit measures, and how many base units (J, W, ...) it is."""

    measure: Measure
    scale: float


_DIMENSIONS: Final[dict[str, Measure]] = {"Wh": "energy", "W": "power", "K": "temperature", "W/m2": "irradiance"}


def unit_facts(text: str | None) -> UnitFacts:
    """What a unit measures, by its first meaning; `other` for none and for an unknown one."""
    try:
        unit = readings(text or "")[0]
    except ValueError:
        return UnitFacts("other", 1.0)
    for name, measure in _DIMENSIONS.items():
        if unit.bases == readings(name)[0].bases:
            return UnitFacts(measure, float(unit.scale))
    apparent = unit.bases == readings("varh")[0].bases
    return UnitFacts("energy" if apparent else "other", float(unit.scale))


def measure_figures(times_ns: Integers, values: Floats, tz: str | None, unit: str | None, name: str | None) -> Figures:
    """The figures of a series at ascending times (int64 ns, UTC); values are float64, NaN: missing."""
    check_magnitudes(values)
    present = ~np.isnan(values)
    points_ns, points = (times_ns, values) if present.all() else (times_ns[present], values[present])
    facts = unit_facts(unit)
    whole = coverage(points_ns, points, tz=tz)
    plain = _plain_figures(points_ns, points)
    timed = _timed_figures(points_ns, points, tz, (facts, unit)) if plain["distinct"] != 1 else None
    return msgspec.convert(
        {
            "count": len(points),
            "missing": len(values) - len(points),
            "from_ns": int(points_ns[0]) if len(points) else None,
            "to_ns": int(points_ns[-1]) if len(points) else None,
            "interval": whole.interval,
            "interval_s": whole.interval_s,
            "coverage": whole.share,
            "longest_gap_s": (whole.longest.to_ns - whole.longest.from_ns) / NS_PER_S if whole.longest else None,
            "measure": facts.measure,
            "register": read_register(name),
            **plain,
            **(timed or dict.fromkeys(("sampling", "memory", "trend_per_day", "day", "week", "base_load"))),
            **({} if timed else {"periods": [], "period_s": []}),
        },
        Figures,
    )


def _plain_figures(points_ns: Integers, points: Floats) -> dict[str, object]:
    """The figures that need no common interval."""
    if not len(points):
        shares = ("min", "max", "mean", "median", "stddev", "zero_share", "negative_share", "falling_share")
        return {**dict.fromkeys((*shares, "per_day", "changes_per_day")), "distinct": 0, "whole_numbers": False}
    steps = np.diff(points)
    days = (int(points_ns[-1]) - int(points_ns[0])) / DAY_NS
    return {
        "min": float(points.min()),
        "max": float(points.max()),
        "mean": mean_of(points),
        "median": float(np.median(points)),
        "stddev": deviation_of(points),
        "distinct": len(np.unique(points)),
        "whole_numbers": bool(np.all(points == np.rint(points))),
        "zero_share": float(np.mean(points == 0)),
        "negative_share": float(np.mean(points < 0)),
        "falling_share": float(np.mean(steps < 0)) if len(steps) else None,
        "per_day": finite(float(np.maximum(steps, 0).sum()) / days) if days > 0 else None,
        "changes_per_day": int((steps != 0).sum()) / days if days > 0 else None,
    }


def _timed_figures(
    points_ns: Integers, points: Floats, tz: str | None, unit: tuple[UnitFacts, str | None]
) -> dict[str, object] | None:
    """The figures that need times; None below eight values, and where a sampling is too uneven for all of them."""
    if len(points) < FEWEST_POINTS:
        return None
    slots, sampling = _regular(points_ns, points, tz)
    if slots is None:
        return None
    periods = with_exact_cycle(interpolated(slots.values), slot_periods(slots))
    length_s = slot_length_s(slots)
    return {
        "sampling": sampling,
        "periods": list(periods),
        "period_s": [period.length * length_s for period in periods],
        "memory": _memory(slots.values, length_s),
        "trend_per_day": _trend(slots, periods),
        **_day_part(slots, tz, *unit),
    }


def slot_length_s(slots: Slots) -> float:
    """The length of a slot in seconds; the mean length of calendar months."""
    if isinstance(slots.step, FixedStep):
        return slots.step.length_ns / NS_PER_S
    return (int(slots.times_ns[-1]) - int(slots.times_ns[0])) / NS_PER_S / max(len(slots.times_ns) - 1, 1)


def _regular(points_ns: Integers, points: Floats, tz: str | None) -> tuple[Slots | None, str | None]:
    """The slots of the series; of an uneven one those of means of windows about as long as its median interval, where
    nearly all have a value, else of hours, else of days; None where most are empty."""
    try:
        return make_slots(points_ns, points, tz), None
    except (UnevenSamplingError, LimitError):
        pass
    usual = 0.9 * float(np.median(np.diff(points_ns)))
    own = [(name, length, _WELL_FILLED) for name, length in _LENGTHS if length >= usual][:1]
    for name, length, filled in (*own, ("hour", HOUR_NS, _FILLED), ("day", DAY_NS, _FILLED)):
        windows, inverse, counts = np.unique(points_ns // length, return_inverse=True, return_counts=True)
        if len(windows) < max(FEWEST_POINTS, filled * (windows[-1] - windows[0] + 1)):
            continue
        means = np.zeros(len(windows))
        np.add.at(means, inverse, points / counts[inverse])
        return make_slots(windows * length, means, tz), name
    return None, None


def _day_part(slots: Slots, tz: str | None, facts: UnitFacts, unit: str | None) -> dict[str, object]:
    """`day`, `week` and `base_load`; null where a slot is longer than an hour (`week`: a day), and for huge values."""
    nothing: dict[str, object] = {"day": None, "week": None, "base_load": None}
    present = ~np.isnan(slots.values)
    values, length_s = slots.values[present], slot_length_s(slots)
    if length_s > 86_400 or float(np.abs(values).max()) > _HUGE:
        return nothing
    local = local_times(slots.times_ns[present], tz)
    days = day_table(local, values)
    week = week_figures(days)
    if length_s > 3_600 or len(days.numbers) < 2:
        return {**nothing, "week": week}
    watts = {"energy": facts.scale / length_s, "power": facts.scale}.get(facts.measure)
    return {
        "day": day_figures(local, values, days, _total(facts, unit, length_s)),
        "week": week,
        "base_load": base_load(days, float(values.mean()), watts) if float(values.min()) >= 0 else None,
    }


def _total(facts: UnitFacts, unit: str | None, length_s: float) -> tuple[float, str | None]:
    """The factor of a day's sum and its unit: hours of a power are an energy."""
    if facts.measure in {"power", "irradiance"} and unit:
        return length_s / 3_600, f"{unit}h" if "/" not in unit else f"{unit}.h"
    return 1.0, unit


def _memory(values: Floats, length_s: float) -> Memory:
    n = int((~np.isnan(values)).sum())
    lags = max(min(len(values) // 4, 5_000), min(_WHITE_LAGS, len(values) - 2))
    acf = autocorrelation(values, lags)
    steps = autocorrelation(np.diff(values), min(_WHITE_LAGS, len(values) - 2))
    below = np.flatnonzero(acf < 1 / math.e)
    bound = _WHITE / math.sqrt(n)
    few = acf[1 : _WHITE_LAGS + 1]
    return Memory(
        acf1=float(acf[1]),
        acf1_of_steps=None if math.isnan(steps[1]) else float(steps[1]),
        is_white=bool(np.all(np.abs(few) < bound)),
        steps_are_white=bool(np.all(np.abs(steps[1:]) < max(bound, _WHITE_STEPS))),
        lasts_s=float(below[0]) * length_s if len(below) else None,
    )


def _trend(slots: Slots, periods: tuple[Period, ...]) -> float | None:
    """The slope a day by Theil (1950) and Sen (1968), the median of the slopes of all pairs, of at most 60 block means.

    A block is no shorter than the longest season. None where Kendall's tau is below 0.6, and below 10 blocks (4, where
    each is a season).
    """
    values, n = slots.values, len(slots.values)
    block = max([-(-n // _BLOCKS), *(period.steps for period in periods)])
    count = n // block
    if count < (_FEWEST_BLOCKS if not periods or block == -(-n // _BLOCKS) else 4):
        return None
    whole = interpolated(values)[n - count * block :]
    scale = scale_of(whole)
    means = np.ldexp(whole, -scale).reshape(count, block).mean(axis=1)
    first, second = np.triu_indices(count, 1)
    slopes = (means[second] - means[first]) / (second - first)
    if abs(float(np.sign(slopes).mean())) < _STEADY:
        return None
    per_slot = float(np.median(slopes)) / block
    return math.ldexp(per_slot * 86_400 / slot_length_s(slots), scale) if scale < 1000 else None
