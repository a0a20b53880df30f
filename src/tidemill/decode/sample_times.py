"""When the samples of a series were: by start and interval, by sample rate, or each by its own time.

Sample i of an even series is at start + round(i * interval), halves up, in exact arithmetic: a million samples at
39.0625 us end on the nanosecond. Without a start the series starts when it was received.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from tidemill.decode.faults import Faults
from tidemill.decode.times import UNIT_NS, parse_numbers, parse_texts
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, parse_duration_ns, parse_wall

TIME_UNITS: Final = {unit.removeprefix("unix_"): ns for unit, ns in UNIT_NS.items()}

_EXACT: Final = 1 << 42  # denominators up to this leave room for a million samples in an int64


class SampleBody(msgspec.Struct, kw_only=True):
    """The members of the JSON object, as far as types can say."""

    values: list[float | None]
    name: str | UnsetType | None = UNSET
    unit: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    tags: dict[str, str] | UnsetType | None = UNSET
    start: str | int | float | UnsetType | None = UNSET
    interval: str | UnsetType | None = UNSET
    sample_rate_hz: int | float | UnsetType | None = UNSET
    times: list[str | int | float] | UnsetType | None = UNSET
    time_unit: str | UnsetType | None = UNSET


def even_times(body: SampleBody, count: int, received_ns: int, faults: Faults) -> NDArray[np.int64] | None:
    """Times by start and interval; counted from the receipt where there is no start."""
    if body.times is not UNSET and body.times is not None:
        faults.add("$.times", "unequal_length", f"has 0 times for {count} values")
        return None
    interval = _interval(body, count, faults)
    start = _start(body, faults)
    if faults.count:
        return None
    first = received_ns if start is None else start
    if count > 1 and interval < 1:
        faults.add("$.interval", "out_of_range", "samples are at least a nanosecond apart")
        return None
    if not (first >= MIN_NS and first + (count - 1) * interval <= MAX_NS):
        faults.add("$.start", "time_out_of_range", "the series reaches outside 1900-01-01 to 2262-04-11")
        return None
    return multiples(interval, count) + (start or 0)


def multiples(interval: Fraction, count: int) -> NDArray[np.int64]:
    """round(i * interval) for i = 0 .. count - 1, halves up, exactly."""
    numerator, denominator = interval.numerator, interval.denominator
    whole, part = divmod(numerator, denominator)
    index = np.arange(count, dtype=np.int64)
    if denominator <= _EXACT:
        return index * whole + (index * part * 2 + denominator) // (2 * denominator)
    exact = [(2 * i * numerator + denominator) // (2 * denominator) for i in range(count)]
    return np.array(exact, np.int64)


def _interval(body: SampleBody, count: int, faults: Faults) -> Fraction:
    """Nanoseconds between samples, exactly."""
    rate, interval = body.sample_rate_hz or None, body.interval
    if body.sample_rate_hz is not UNSET and body.sample_rate_hz is not None:
        if interval is not UNSET and interval is not None:
            faults.add("$.sample_rate_hz", "conflict", "interval and sample_rate_hz exclude each other")
        elif not rate or rate < 0 or rate > 1e12:
            faults.add("$.sample_rate_hz", "out_of_range", "must be above 0 and at most 1e9")
        else:
            return NS_PER_S / Fraction(Decimal(repr(rate)))
        return Fraction(1)
    if interval is UNSET or interval is None:
        if count > 1:
            faults.add("$.interval", "missing", "say when the samples were: interval, sample_rate_hz or times")
        return Fraction(1)
    try:
        return Fraction(*parse_duration_ns(interval))
    except ValueError as error:
        faults.add("$.interval", "wrong_type", str(error))
        return Fraction(1)


def _start(body: SampleBody, faults: Faults) -> int | None:
    if body.start is UNSET or body.start is None:
        return None
    times = _parse([body.start], "$.start", body, faults)
    return None if times is None else int(times[0])


def given_times(body: SampleBody, faults: Faults) -> NDArray[np.int64] | None:
    """Times that were given, one a value, in any order but each only once."""
    assert body.times
    for other in ("start", "interval", "sample_rate_hz"):
        if getattr(body, other) not in (UNSET, None):
            faults.add(f"$.{other}", "conflict", f"times and {other} exclude each other")
    if len(body.times) != len(body.values):
        faults.add("$.times", "unequal_length", f"has {len(body.times)} times for {len(body.values)} values")
        return None
    times = _parse(body.times, "$.times", body, faults)
    if times is None or faults.count:
        return None
    if not (np.diff(times) > 0).all():
        order = np.argsort(times, kind="stable")
        again = order[1:][np.diff(times[order]) == 0]
        for place in np.sort(again).tolist():
            faults.add(
                f"$.times[{place}]", "duplicate_time", "this time is there before; a series has one value a time"
            )
    return times


def _parse(given: list[Any], path: str, body: SampleBody, faults: Faults) -> NDArray[np.int64] | None:
    """Times of one kind, texts or numbers, as ns; None with a fault for each that is not good."""
    texts = isinstance(given[0], str)
    if any((kind is str) != texts for kind in set(map(type, given))):
        faults.add(path, "wrong_type", "must be all RFC 3339 texts or all numbers")
        return None
    unit = body.time_unit
    if not texts and (unit is UNSET or unit is None):
        faults.add("$.time_unit", "missing", "times are numbers: say their unit, one of s, ms, us, ns")
        return None
    if unit is not UNSET and unit is not None and unit not in TIME_UNITS:
        faults.add("$.time_unit", "wrong_type", "must be one of s, ms, us, ns")
        return None
    walls = parse_texts(given) if texts else parse_numbers(given, TIME_UNITS[str(unit)])
    good = walls.ok & ~walls.local & (walls.ns >= MIN_NS) & (walls.ns <= MAX_NS)
    if not good.all():
        for row in np.flatnonzero(~good).tolist():
            _explain(given[row], path if path == "$.start" else f"{path}[{row}]", faults)
        return None
    return walls.ns


def _explain(time: Any, path: str, faults: Faults) -> None:
    """Why a time was not taken."""
    message, code = "the time is outside 1900-01-01 to 2262-04-11", "time_out_of_range"
    if isinstance(time, str):
        try:
            if parse_wall(time)[1] is None:
                message, code = f"'{time}' has no offset from UTC; add Z or, for example, +01:00", "time_no_offset"
        except ValueError as error:
            message, code = str(error), "time_invalid"
    faults.add(path, code, message)
