"""Comparison of two periods of a series, or of two series: means, totals, profiles, and whether the difference is
more than chance."""

import math
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.analysis.local_days import HOUR_NS, DayTable, LocalHours, day_table, local_times
from tidemill.analysis.moments import check_magnitudes, deviation_of, finite, mean_of, scale_of, total_of
from tidemill.analysis.significance import (
    Difference,
    RankDifference,
    Sample,
    mann_whitney,
    paired,
    sample_of,
    welch,
    wilcoxon,
)
from tidemill.analysis.words import WEEKDAYS, hour_text, number_text, percent_text, range_text, with_unit
from tidemill.errors import Fault, InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Observation = Literal["value", "day"]

_DAYS: Final = 7  # whole days on either side, for days to be tested
_A_DAY: Final = 4  # values that a day must have
_PAIRED: Final = 0.8  # of the observations of both sides must be at the same times
_FEWEST: Final = 3


class ComparedSide(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of a side; null: not defined. `observations` were tested, worth `effective` independent ones."""

    count: int
    missing: int
    from_ns: int | None
    to_ns: int | None
    mean: float | None
    median: float | None
    stddev: float | None
    min: float | None
    max: float | None
    total: float | None
    observations: int
    effective: float | None


class ProfileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The means of both sides by hour (0 to 23) or weekday (1: Monday) of the local time; null: no value."""

    by: Literal["hour", "weekday"]
    group: list[int]
    first: list[float | None]
    second: list[float | None]
    difference: list[float | None]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides compared; differences are second minus first, `relative` is the difference over |mean of the first|.

    `observation` is what was tested: means of whole days, or values; in pairs where `is_paired`, and then `correlation`
    is that of the pairs. `mean_test` bounds the difference of the observations' means with confidence `level`;
    `is_significant` says whether its p value is below 1 - level. null: not defined, or too few observations.
    """

    first: ComparedSide
    second: ComparedSide
    tz: str | None
    difference: float | None
    relative: float | None
    total_difference: float | None
    observation: Observation
    is_paired: bool
    correlation: float | None
    level: float
    mean_test: Difference | None
    rank_test: RankDifference | None
    is_significant: bool | None
    profiles: list[ProfileDifference]
    sentences: list[str]


def compare(
    first_times_ns: Integers,
    first_values: Floats,
    second_times_ns: Integers,
    second_values: Floats,
    *,
    tz: str | None = None,
    unit: str | None = None,
    level: float = 0.95,
) -> Comparison:
    """Two periods of a series, or two series: values are float64 (NaN: missing) at ascending times (int64 ns, UTC).

    Tested are the means of whole local days (of `tz`) where each side has at least seven with four values or more, so
    that the rhythm of a day is no noise; else the values. Where four of five observations of either side are at the
    same time as one of the other, differences of pairs are tested. Tests are Welch's t and Mann and Whitney's ranks, or
    Student's t and Wilcoxon's signed ranks of pairs, with the number of independent observations that autocorrelated
    ones are worth (see `significance`). Raises InputError for a level that is not between 0 and 1, SeriesError for
    values whose sums overflow.
    """
    if not 0 < level < 1:
        raise InputError("level must be above 0 and below 1", (Fault("level", "out_of_range", "0 < level < 1"),))
    sides = (_side(first_times_ns, first_values, tz), _side(second_times_ns, second_values, tz))
    observation: Observation = "day" if all(_has_days(side) for side in sides) else "value"
    keys, observed = _observations(sides, observation)
    scale = max(scale_of(values) for values in observed)
    test = _tested(keys, [np.ldexp(values, -scale) for values in observed], level)
    first, second = (_summary(side, sample) for side, sample in zip(sides, test.samples, strict=True))
    answer = Comparison(
        first=first,
        second=second,
        tz=tz,
        difference=_minus(second.mean, first.mean),
        relative=_relative(first.mean, second.mean),
        total_difference=_minus(second.total, first.total),
        observation=observation,
        is_paired=test.is_paired,
        correlation=test.correlation,
        level=level,
        mean_test=_scaled_back(test.mean, scale),
        rank_test=test.rank,
        is_significant=test.mean.p_value < 1 - level if test.mean else None,
        profiles=list(_profiles(sides)),
        sentences=[],
    )
    return msgspec.structs.replace(answer, sentences=list(_sentences(answer, unit)))


class _Side(msgspec.Struct, frozen=True):
    """The present values of a side, with their local times and their whole days."""

    times_ns: Integers
    values: Floats
    missing: int
    local: LocalHours
    days: DayTable


def _side(times_ns: Integers, values: Floats, tz: str | None) -> _Side:
    check_magnitudes(values)
    present = ~np.isnan(values)
    times_ns, kept = times_ns[present], values[present]
    local = local_times(times_ns, tz)
    return _Side(times_ns, kept, len(values) - len(kept), local, day_table(local, kept))


def _has_days(side: _Side) -> bool:
    return len(side.days.numbers) >= _DAYS and side.days.count >= _A_DAY


def _observations(sides: tuple[_Side, _Side], observation: Observation) -> tuple[list[Integers], list[Floats]]:
    """The times (or days) of the observations of either side, and the observations."""
    if observation == "day":
        return [side.days.numbers for side in sides], [side.days.means for side in sides]
    return [side.times_ns for side in sides], [side.values for side in sides]


class _Tested(msgspec.Struct, frozen=True):
    """The samples of either side, and the tests of their difference."""

    samples: tuple[Sample, Sample]
    is_paired: bool
    correlation: float | None
    mean: Difference | None
    rank: RankDifference | None


def _tested(keys: list[Integers], observed: list[Floats], level: float) -> _Tested:
    samples = (sample_of(observed[0]), sample_of(observed[1]))
    if min(len(values) for values in observed) < _FEWEST:
        return _Tested(samples, False, None, None, None)
    _, at_first, at_second = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    if len(at_first) < max(_PAIRED * max(len(values) for values in observed), _FEWEST):
        return _Tested(samples, False, None, welch(*samples, level), mann_whitney(*samples))
    pairs = observed[0][at_first], observed[1][at_second]
    differences = sample_of(pairs[1] - pairs[0])
    return _Tested(samples, True, _correlation(*pairs), paired(differences, level), wilcoxon(differences))


def _scaled_back(test: Difference | None, scale: int) -> Difference | None:
    """The test with its numbers times 2 ** `scale`; None where a double cannot hold them."""
    if test is None:
        return None
    try:
        difference, lower, upper = (math.ldexp(number, scale) for number in (test.difference, test.lower, test.upper))
    except OverflowError:
        return None
    return Difference(difference, lower, upper, test.t, test.degrees, test.p_value)


def _correlation(first: Floats, second: Floats) -> float | None:
    """Pearson's correlation; null where one of them is constant."""
    x, y = (np.ldexp(values, -scale_of(values)) for values in (first, second))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt(x @ x) * np.sqrt(y @ y))
    return float(x @ y) / size if size > 0 else None


def _summary(side: _Side, sample: Sample) -> ComparedSide:
    values = side.values
    some = len(values) > 0
    return ComparedSide(
        count=len(values),
        missing=side.missing,
        from_ns=int(side.times_ns[0]) if some else None,
        to_ns=int(side.times_ns[-1]) if some else None,
        mean=mean_of(values) if some else None,
        median=float(np.median(values)) if some else None,
        stddev=deviation_of(values),
        min=float(values.min()) if some else None,
        max=float(values.max()) if some else None,
        total=total_of(values) if some else None,
        observations=len(sample.values),
        effective=sample.effective if len(sample.values) else None,
    )


def _minus(second: float | None, first: float | None) -> float | None:
    difference = None if first is None or second is None else second - first
    return None if difference is None else finite(difference)


def _relative(first: float | None, second: float | None) -> float | None:
    difference = _minus(second, first)
    return None if difference is None or not first else finite(difference / abs(first))


def _profiles(sides: tuple[_Side, _Side]) -> Iterator[ProfileDifference]:
    """By hour where both sides have values within hours over a day; by weekday where both have a week."""
    spans = [int(np.ptp(side.times_ns)) if len(side.times_ns) > 1 else 0 for side in sides]
    intervals = [int(np.median(np.diff(side.times_ns))) if len(side.times_ns) > 1 else 0 for side in sides]
    if min(spans) >= 23 * HOUR_NS and max(intervals) <= HOUR_NS:
        yield _profile("hour", 0, [_group_means(side.local.hours, side.values, 24) for side in sides])
    if min(spans) >= 6 * 24 * HOUR_NS and max(intervals) <= 24 * HOUR_NS:
        yield _profile("weekday", 1, [_group_means(side.local.weekdays, side.values, 7) for side in sides])


def _group_means(groups: Integers, values: Floats, size: int) -> list[float | None]:
    counts = np.bincount(groups, minlength=size)
    means = np.bincount(groups, values / counts[groups], size).tolist()
    return [mean if count else None for mean, count in zip(means, counts.tolist(), strict=True)]


def _profile(by: Literal["hour", "weekday"], begin: int, means: list[list[float | None]]) -> ProfileDifference:
    return ProfileDifference(
        by=by,
        group=list(range(begin, begin + len(means[0]))),
        first=means[0],
        second=means[1],
        difference=[_minus(second, first) for first, second in zip(*means, strict=True)],
    )


def _sentences(answer: Comparison, unit: str | None) -> Iterator[str]:
    """What the figures say: by how much the second differs, whether by more than chance, and when it does most."""
    first, second, difference = answer.first.mean, answer.second.mean, answer.difference
    if first is None or second is None or difference is None:
        yield "One of the two has no value."
        return
    change = f", {percent_text(abs(answer.relative))}" if answer.relative else ""
    more = "higher" if difference > 0 else "lower"
    means = f"{with_unit(number_text(second), unit)} instead of {with_unit(number_text(first), unit)}"
    size = with_unit(number_text(abs(difference)), unit)
    yield f"The second is {size} {more} on average ({means}{change})." if difference else f"Both have the mean {means}."
    test = answer.mean_test
    if test is None:
        yield "There are too few independent observations to say whether this is chance."
        return
    verdict = "is more than chance" if answer.is_significant else "may be chance"
    bounds = with_unit(range_text(test.lower, test.upper).replace("–", " to "), unit)
    counts = f"{answer.first.observations} and {answer.second.observations} {answer.observation}s"
    effective = f"{number_text(answer.first.effective or 0, 2)} and {number_text(answer.second.effective or 0, 2)}"
    yield f"The difference {verdict}: {bounds} with {percent_text(answer.level)} confidence, tested over {counts}" + (
        " in pairs." if answer.is_paired else f", worth {effective} independent ones."
    )
    if answer.is_significant:
        yield from _largest(answer, unit)


def _largest(answer: Comparison, unit: str | None) -> Iterator[str]:
    """When the difference is largest in its direction, by hour and by weekday."""
    sign = 1 if (answer.difference or 0) > 0 else -1
    for profile in answer.profiles:
        known = [(sign * value, group) for value, group in zip(profile.difference, profile.group, strict=True) if value]
        if known:
            value, group = max(known)
            when = f"around {hour_text(group)}" if profile.by == "hour" else f"on {WEEKDAYS[group - 1]}s"
            yield f"It is largest {when}: {with_unit(number_text(value), unit)}."
