"""Computes the times of a series' samples: by start and interval, by sample rate, or from a time for each.

Sample i of an even series is at start + round(i * interval), halves up, in exact arithmetic: a million samples at
39.0625 us end on the nanosecond. Without a start the series starts when it was received.
"""

from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.time_formats import TimeFormats
from tidemill.decode.times import INSTANT, UNIT_NS, parse_numbers
from tidemill.model.iso8601 import parse_iso
from tidemill.model.time import MAX_NS, MIN_NS, NS_PER_S, parse_duration_ns

TIME_UNITS: Final = {unit.removeprefix("unix_"): ns for unit, ns in UNIT_NS.items()}

_TEXTS: Final = TimeFormats(("iso8601",))
_EXACT: Final = 1 << 42  # denominators up to this leave room for a million samples in an int64


class SampleBody(msgspec.Struct, kw_only=True):
    """The members of the JSON object, with their types."""

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

    @property
    def rounded(self) -> bool:
        """Whether times are numbers with decimals, whose last digits a double may not hold."""
        kinds = {type(self.start), *map(type, self.times or ())}
        return float in kinds and str not in kinds


class ExactTimes(msgspec.Struct):
    """The times of a body of numbers, every digit of them."""

    start: int | Decimal | None = None
    times: list[int | Decimal] | None = None


class Members(msgspec.Struct, frozen=True):
    """A body as read. `faulty`: the names of members that are present but at fault, so that their value is unknown; of
    `values` that are not faulty at least the number is right. `column`: the values, NaN for null, where they were
    read as a column already; `body.values` is empty then. `exact`: the times, where a double may not hold them;
    `rounded`: the indexes of values that a double does not hold."""

    body: SampleBody
    faulty: Collection[str] = ()
    column: NDArray[np.float64] | None = None
    exact: ExactTimes | None = None
    rounded: tuple[int, ...] = ()

    @property
    def start(self) -> Any:
        """The start as written."""
        return self.body.start if self.exact is None else self.exact.start

    @property
    def times(self) -> list[Any]:
        """The times as written."""
        return list((self.body.times if self.exact is None else self.exact.times) or [])

    def has(self, name: str) -> bool:
        """Whether a member is present, at fault or not; a null member is not."""
        return name in self.faulty or getattr(self.body, name) not in (UNSET, None)

    @property
    def count(self) -> int | None:
        """The number of values; None where it is not known."""
        if "values" in self.faulty:
            return None
        return len(self.body.values if self.column is None else self.column)


def sample_times(members: Members, received_ns: int, faults: FaultCollector) -> NDArray[np.int64] | None:
    """The time of each sample, in their order, ns UTC; counted from the time of receipt where there is no start. None
    where they cannot be computed: then every fault of the members that define the times is added."""
    unit = members.body.time_unit
    if "time_unit" not in members.faulty and members.has("time_unit") and unit not in TIME_UNITS:
        faults.add("$.time_unit", "invalid_value", f"must be one of {', '.join(TIME_UNITS)}")
    return _explicit_times(members, faults) if members.has("times") else _even_times(members, received_ns, faults)


def _even_times(members: Members, received_ns: int, faults: FaultCollector) -> NDArray[np.int64] | None:
    """Times by start and interval."""
    interval, start, count = _interval(members, faults), _start(members, faults), members.count
    if faults.count or interval is None or not count:
        return None
    first = received_ns if start is None else start
    if not (first >= MIN_NS and first + (count - 1) * interval <= MAX_NS):
        faults.add("$.start", "time_out_of_range", "the series reaches outside 1900-01-01 to 2262-04-11")
        return None
    return even_offsets(interval, count) + (start or 0)


def even_offsets(interval: Fraction, count: int) -> NDArray[np.int64]:
    """round(i * interval) for i = 0 .. count - 1, halves up, exactly."""
    numerator, denominator = interval.numerator, interval.denominator
    whole, part = divmod(numerator, denominator)
    index = np.arange(count, dtype=np.int64)
    if denominator <= _EXACT:
        return index * whole + (index * part * 2 + denominator) // (2 * denominator)
    exact = [(2 * i * numerator + denominator) // (2 * denominator) for i in range(count)]
    return np.array(exact, np.int64)


def _interval(members: Members, faults: FaultCollector) -> Fraction | None:
    """Nanoseconds between samples, exactly; None with a fault, or where the member is faulty. A single sample needs no
    interval."""
    body = members.body
    if members.has("sample_rate_hz"):
        if members.has("interval"):
            faults.add("$.sample_rate_hz", "conflict", "interval and sample_rate_hz exclude each other")
            return None
        return None if "sample_rate_hz" in members.faulty else _of_rate(body.sample_rate_hz or 0, faults)
    if not members.has("interval"):
        if members.count == 1:
            return Fraction(1)
        faults.add("$.interval", "missing", "say when the samples were: interval, sample_rate_hz or times")
        return None
    if "interval" in members.faulty:
        return None
    try:
        interval = Fraction(*parse_duration_ns(body.interval or ""))
    except ValueError as error:
        faults.add("$.interval", "invalid_value", str(error))
        return None
    if interval < 1 and members.count != 1:
        faults.add("$.interval", "out_of_range", "samples are at least a nanosecond apart")
        return None
    return interval


def _of_rate(rate: float, faults: FaultCollector) -> Fraction | None:
    if 0 < rate <= NS_PER_S:
        return NS_PER_S / Fraction(Decimal(repr(rate)))
    faults.add("$.sample_rate_hz", "out_of_range", "must be above 0 and at most 1e9")
    return None


def _start(members: Members, faults: FaultCollector) -> int | None:
    if not members.has("start") or "start" in members.faulty:
        return None
    times = _parse([members.start], "$.start", members, faults)
    return None if times is None else int(times[0])


def _explicit_times(members: Members, faults: FaultCollector) -> NDArray[np.int64] | None:
    """The member `times`, a time for each value, in any order; no time may occur twice."""
    given, count = members.times, members.count
    for other in ("start", "interval", "sample_rate_hz"):
        if members.has(other):
            faults.add(f"$.{other}", "conflict", f"times and {other} exclude each other")
    if "times" in members.faulty:
        return None
    if count and len(given) != count:
        faults.add("$.times", "unequal_length", f"has {len(given)} times for {count} values")
    times = _parse(given, "$.times", members, faults) if given else None
    if times is not None and not (np.diff(times) > 0).all():
        order = np.argsort(times, kind="stable")
        again = order[1:][np.diff(times[order]) == 0]
        for index in np.sort(again).tolist():
            faults.add(
                f"$.times[{index}]", "duplicate_time", "this time is there before; a series has one value a time"
            )
    return times


def _parse(given: list[Any], path: str, members: Members, faults: FaultCollector) -> NDArray[np.int64] | None:
    """Times of one type, texts or numbers, as ns; None with a fault for each that is not valid."""
    texts = isinstance(given[0], str)
    if any((kind is str) != texts for kind in set(map(type, given))):
        faults.add(path, "wrong_type", "must be all ISO 8601 texts or all numbers")
        return None
    if not texts and not members.has("time_unit"):
        faults.add("$.time_unit", "missing", f"times are numbers: say their unit, one of {', '.join(TIME_UNITS)}")
        return None
    unit = TIME_UNITS.get(str(members.body.time_unit))
    if not texts and unit is None:
        return None
    parsed = _TEXTS.parse_column(given) if texts else parse_numbers(given, unit or 1)
    assert parsed is not None
    good = parsed.ok & (parsed.local == INSTANT) & (parsed.ns >= MIN_NS) & (parsed.ns <= MAX_NS)
    if not good.all():
        for row in np.flatnonzero(~good).tolist():
            _explain(given[row], path if path == "$.start" else f"{path}[{row}]", faults)
        return None
    return parsed.ns


def _explain(time: Any, path: str, faults: FaultCollector) -> None:
    """Add the fault of an invalid time."""
    message, code = "the time is outside 1900-01-01 to 2262-04-11", "time_out_of_range"
    if isinstance(time, str):
        try:
            if parse_iso(time).offset_s is None:
                message, code = f"'{time}' has no offset from UTC; add Z or, for example, +01:00", "time_no_offset"
        except ValueError as error:
            message, code = str(error), "time_invalid"
    faults.add(path, code, message)
