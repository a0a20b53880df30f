"""The tasks that worker processes do for the API: samples and parameters in, an encoded answer out.

Each imports the analysis that it needs when it is first called, so that a process which forecasts imports no more.
"""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidemill.errors import LimitError, NotEnoughPointsError, SeriesError
from tidemill.query.plain_answers import encode_answer, instants, plain

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LAGS: Final = (100, 2_000)  # the fewest and the most that are chosen where a request names none
_LONG_PERIODS: Final = 2  # that the chosen lags show


class TaskSubject(msgspec.Struct, frozen=True):
    """What is analysed: the members of `Analysed` but start and end, the name of its field and the zone."""

    head: dict[str, Any]
    name: str
    tz: str | None


def forecast(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The forecast of a series: ForecastAnswer."""
    from tidemill.analysis.forecast import forecast as make

    present = ~np.isnan(values)
    times_ns, values = times_ns[present], values[present]
    made = make(
        times_ns,
        values,
        options["horizon"],
        options["levels"],
        model=options["model"],
        minimum=options["minimum"],
        tz=subject.tz,
    )
    answer = plain(made, subject.tz)
    answer["backtest"] = answer.pop("back_test")
    return encode_answer(head_of(subject, times_ns), {"horizon": options["horizon"], **answer})


def autocorrelation(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The correlogram of a series with its periods: AutocorrelationAnswer."""
    from tidemill.analysis.autocorrelation import correlogram
    from tidemill.analysis.periods import with_exact_cycle
    from tidemill.analysis.slots import interpolated, make_slots, present_points, slot_periods

    slots = make_slots(*present_points(times_ns, values, 3, "an autocorrelation"), None)
    periods = with_exact_cycle(interpolated(slots.values), slot_periods(slots))
    longest = max((period.steps for period in periods), default=0)
    most = len(slots.values) - 1
    lags = min(options["lags"] or min(max(_LAGS[0], _LONG_PERIODS * longest), _LAGS[1]), most)
    result = correlogram(slots.values, lags, level=options["level"] / 100)
    answer = {"interval": slots.step.name, **plain(result), "level": options["level"], "periods": plain(periods)}
    return encode_answer(head_of(subject, times_ns), answer)


def correlation(
    subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any], second: tuple[Integers, Floats]
) -> bytes:
    """The cross-correlation of two series at their common times: CorrelationAnswer."""
    from tidemill.analysis.autocorrelation import cross_correlation
    from tidemill.analysis.slots import make_slots

    common, at, second_at = np.intersect1d(times_ns, second[0], assume_unique=True, return_indices=True)
    both = ~(np.isnan(values[at]) | np.isnan(second[1][second_at]))
    if both.sum() < 3:
        message = (
            f"a correlation needs at least 3 times at which both series have a value; there are {int(both.sum())}: ask "
            "for windows (every=15m), in which both have values"
        )
        raise NotEnoughPointsError(int(both.sum()), 3, message)
    grids = [make_slots(common[both], column[both], None) for column in (values[at], second[1][second_at])]
    first, other = (grid.values for grid in grids)
    lags = min(options["lags"] or _LAGS[0], len(first) - 1)
    result = cross_correlation(first, other, lags, trend=options["trend"], level=options["level"] / 100)
    answer = {"other": options["other"], "interval": grids[0].step.name, **plain(result), "level": options["level"]}
    return encode_answer(head_of(subject, common[both]), answer)


def spectrum(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The spectrum of an evenly sampled series: SpectrumAnswer."""
    return encode_answer(head_of(subject, times_ns), _spectrum(times_ns, values, options))


def frequency_metrics(times_ns: Integers, values: Floats, options: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The members of FrequencyMetrics; None with the reason in a sentence where the series has none."""
    try:
        result = _spectrum(times_ns, values, options)
    except (SeriesError, LimitError) as error:
        return None, error.message
    return {name: member for name, member in result.items() if name not in ("frequencies", "density")}, ""


def distribution(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The distribution of the values: DistributionAnswer."""
    from tidemill.analysis.distribution import distribution as make

    return encode_answer(head_of(subject, times_ns), plain(make(values, **options)))


def duration(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The load-duration curve: DurationAnswer. A value holds until the next slot."""
    from tidemill.analysis.distribution import duration_curve
    from tidemill.analysis.slots import make_slots, present_points

    slots = make_slots(*present_points(times_ns, values, 2, "a load-duration curve"), None)
    lengths = np.diff(slots.times_ns) / 3.6e12
    result = duration_curve(slots.values, np.append(lengths, np.median(lengths)))
    return encode_answer(head_of(subject, times_ns), {"interval": slots.step.name, **plain(result)})


def profile(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The profile on the calendar: ProfileAnswer."""
    from tidemill.analysis.profile import profile as make

    return encode_answer(head_of(subject, times_ns), plain(make(times_ns, values, options["by"], subject.tz or "UTC")))


def calendar(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The days of the calendar: CalendarAnswer."""
    from tidemill.analysis.profile import calendar_days

    return encode_answer(head_of(subject, times_ns), plain(calendar_days(times_ns, values, subject.tz or "UTC")))


def decomposition(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The parts of the series: DecompositionAnswer."""
    from tidemill.analysis.decomposition import decompose

    return encode_answer(head_of(subject, times_ns), plain(decompose(times_ns, values, tz=subject.tz), subject.tz))


def change_points(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The changes of level: ChangePointsAnswer."""
    from tidemill.analysis.change_points import change_points as find

    return encode_answer(head_of(subject, times_ns), plain(find(times_ns, values, tz=subject.tz), subject.tz))


def anomalies(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """The unusual values: AnomaliesAnswer."""
    from tidemill.analysis.anomalies import anomalies as find

    result = find(times_ns, values, tz=subject.tz, unit=subject.head["unit"], **options)
    return encode_answer(head_of(subject, times_ns), plain(result, subject.tz))


def description(subject: TaskSubject, times_ns: Integers, values: Floats, options: dict[str, Any]) -> bytes:
    """What the series is: DescriptionAnswer."""
    from tidemill.analysis.description import describe

    result = describe(times_ns, values, tz=subject.tz, unit=subject.head["unit"], name=subject.name)
    return encode_answer(head_of(subject, times_ns), plain(result, subject.tz))


def head_of(subject: TaskSubject, times_ns: Integers) -> dict[str, Any]:
    """The members of Analysed."""
    ends = instants(times_ns[[0, -1]], subject.tz) if len(times_ns) else [None, None]
    return {**subject.head, "start": ends[0], "end": ends[1]}


def _spectrum(times_ns: Integers, values: Floats, options: dict[str, Any]) -> dict[str, Any]:
    """The members of a spectrum on the even grid of the series."""
    from tidemill.analysis.slots import make_slots, present_points
    from tidemill.analysis.spectrum import spectrum as make
    from tidemill.analysis.steps import FixedStep

    points = present_points(times_ns, values, 2, "a spectrum")
    steps = np.diff(times_ns)
    if steps.min() == steps.max():
        grid, length_ns = values, int(steps[0])
    else:
        slots = make_slots(*points, None)
        if not isinstance(slots.step, FixedStep):
            raise SeriesError(f"the interval of the series is {slots.step.name}, which has no length in seconds")
        grid, length_ns = slots.values, slots.step.length_ns
    members: dict[str, Any] = plain(make(grid, 1e9 / length_ns, **options))
    return members
