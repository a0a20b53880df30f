"""Compiles the time formats of a feed: parses one value or a column of values into instants and wall clocks.

A text is parsed by the formats in their order, a number by the numeric format (`unix_s` ...). A column gives the same
results as its single values (a property test compares them); the usual spellings are parsed in NumPy.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, get_args

import msgspec
import numpy as np

from tidemill.decode.times import (
    DAY,
    INSTANT,
    LOCAL_MAX_NS,
    UNIT_NS,
    WALL,
    LocalTimes,
    number_ns,
    parse_numbers,
    parse_texts,
)
from tidemill.model.iso8601 import ISO_INSTANT_TEXT, ISO_WALL_TEXT, Written, parse_iso, parse_offset
from tidemill.model.time import INSTANT_TEXT, MAX_NS, MIN_NS, NS_PER_S, WALL_TEXT, parse_wall
from tidemill.model.time_patterns import compile_pattern

UNITS: Final = {"unix_s": "seconds", "unix_ms": "milliseconds", "unix_us": "microseconds", "unix_ns": "nanoseconds"}
OFFSET_UNITS_S: Final = {"s": 1, "min": 60, "h": 3600}
_FIRST_NS: Final = MIN_NS - 86_400 * NS_PER_S  # before this, no offset brings a time into range

_LONGEST_DATE: Final = 8  # digits of a date that is only digits

TimeKind = Literal["time_text", "time_number", "time_any"]
TIME_KINDS: Final = frozenset(get_args(TimeKind))


class TimeFormats:
    """The formats of one feed. `local_epoch`: its numbers count the local wall clock; `offset_required`: what messages
    ask for. Thread-safe: it keeps nothing between calls."""

    def __init__(self, formats: Sequence[str], *, local_epoch: bool = False, offset_required: bool = True) -> None:
        self._required = offset_required
        self._kind_of_number = WALL if local_epoch else INSTANT
        self._formats = tuple(name for name in formats if name != "received")
        counted = [name for name in self._formats if name in UNIT_NS]
        self._unit = counted[0] if counted else None
        self._texts = tuple(self._text_reader(name) for name in self._formats)
        self._dated = self._unit is not None and "iso8601" in self._formats
        self._quick = bool(self._formats) and self._formats[0] in ("iso8601", "rfc3339")
        self._respelled = self._formats[:1] == ("iso8601",)

    @property
    def kind(self) -> TimeKind:
        """The JSON types that the formats accept."""
        if self._unit is None:
            return "time_text"
        return "time_number" if len(self._formats) == 1 else "time_any"

    @property
    def certain(self) -> bool:
        """Whether every RFC 3339 text is parsed as such."""
        return self._quick and self._unit is None

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        return ", or ".join(self._expected(name) for name in self._formats)

    def parse_column(self, values: Sequence[Any]) -> LocalTimes | None:
        """The times of a column of texts, or of ints and Decimals; None for other types. A value that fits no format is
        not `ok`."""
        kinds = set(map(type, values))
        if kinds == {str}:
            return self._column_of_texts(values)
        if kinds == {int, str}:
            return self._column_of_both(values)
        if self._unit is None or not kinds <= {int, Decimal}:
            return None
        times = parse_numbers(values, UNIT_NS[self._unit])
        return msgspec.structs.replace(times, local=np.full(len(values), self._kind_of_number, np.uint8))

    def parse_value(self, value: Any) -> tuple[int, int]:
        """(ns, kind) of one value: a text, or a finite int, float or Decimal; not checked for range. Raises ValueError
        with a sentence."""
        if not isinstance(value, str):
            assert self._unit is not None
            return number_ns(value, UNIT_NS[self._unit]), self._kind_of_number
        if self._has_two_readings(value):
            raise ValueError(f"'{value}' is a date, and a number of {UNITS[str(self._unit)]}: keep one of both formats")
        first: ValueError | None = None
        for read in self._texts:
            try:
                return read(value)
            except ValueError as error:
                first = first or error
        assert first is not None
        raise ValueError(f"'{value[:40]}' is not {self.expected}") if len(self._texts) > 1 else first

    def _has_two_readings(self, text: str) -> bool:
        """Whether a text is a date by `iso8601` and a number since the epoch by another format of the list."""
        if not (self._dated and text.isascii() and text.isdigit()):
            return False
        try:
            parse_iso(text)
        except ValueError:
            return False
        return True

    def _column_of_both(self, values: Sequence[Any]) -> LocalTimes | None:
        texts = np.fromiter((type(value) is str for value in values), np.bool_, len(values))
        times = LocalTimes(
            np.zeros(len(values), np.int64), np.zeros(len(values), np.uint8), np.zeros(len(values), np.bool_)
        )
        for mask in (texts, ~texts):
            part = self.parse_column([values[row] for row in np.flatnonzero(mask).tolist()])
            if part is None:
                return None
            times.ns[mask], times.local[mask], times.ok[mask] = part.ns, part.local, part.ok
        return times

    def _column_of_texts(self, texts: Sequence[str]) -> LocalTimes:
        count = len(texts)
        if self._unit is not None and self._formats[0] == self._unit:
            digits = "".join(texts)
            plain = digits.isascii() and digits.isdigit() and all(texts) and max(map(len, texts)) < 20
            if plain and not (self._dated and min(map(len, texts)) <= _LONGEST_DATE):
                times = parse_numbers(list(map(int, texts)), UNIT_NS[self._unit])
                return msgspec.structs.replace(times, local=np.full(count, self._kind_of_number, np.uint8))
        if self._quick:
            times = parse_texts(texts)
            if self._respelled:
                self._respell(texts, times)
        else:
            times = LocalTimes(np.zeros(count, np.int64), np.zeros(count, np.uint8), np.zeros(count, np.bool_))
        for row in np.flatnonzero(~times.ok).tolist():
            try:
                ns, kind = self.parse_value(texts[row])
            except ValueError:
                continue
            if _FIRST_NS <= ns <= (LOCAL_MAX_NS if kind else MAX_NS):
                times.ns[row], times.local[row], times.ok[row] = ns, kind, True
        return times

    def _respell(self, texts: Sequence[str], times: LocalTimes) -> None:
        """Parse the commonest other spellings of ISO 8601 as a column: without seconds, `+0100`, `+01`."""
        rows = np.flatnonzero(~times.ok)
        spelled = [(row, text) for row in rows.tolist() if (text := _respelled(texts[row])) is not None]
        if not spelled:
            return
        again = parse_texts([text for _, text in spelled])
        at = np.array([row for row, _ in spelled])[again.ok]
        times.ns[at], times.local[at], times.ok[at] = again.ns[again.ok], again.local[again.ok], True

    def _text_reader(self, name: str) -> Callable[[str], tuple[int, int]]:
        if name in UNIT_NS:
            return lambda text: (number_ns(_number(text, self._expected(name)), UNIT_NS[name]), self._kind_of_number)
        if name == "rfc3339":
            expected = INSTANT_TEXT if self._required else WALL_TEXT

            def rfc3339(text: str) -> tuple[int, int]:
                wall, offset = parse_wall(text, expected)
                return wall - (offset or 0) * NS_PER_S, WALL if offset is None else INSTANT

            return rfc3339
        if name == "iso8601":
            return lambda text: _settled(parse_iso(text, self._expected(name)))
        pattern = compile_pattern(name)
        return lambda text: _settled(pattern.parse(text))

    def _expected(self, name: str) -> str:
        if name in UNIT_NS:
            return f"a number, the {UNITS[name]} since 1970-01-01T00:00:00Z"
        if name == "rfc3339":
            return INSTANT_TEXT if self._required else WALL_TEXT
        if name == "iso8601":
            return ISO_INSTANT_TEXT if self._required else ISO_WALL_TEXT
        return compile_pattern(name).expected


def offset_s(value: Any, unit: str) -> int:
    """Seconds east of UTC of an offset from a member of its own: a text such as `+01:00`, or a number of `unit`s
    (OFFSET_UNITS_S). Raises ValueError with a sentence."""
    if isinstance(value, str):
        return parse_offset(value)
    seconds = value * OFFSET_UNITS_S[unit]
    if not -86_400 < seconds < 86_400 or seconds != int(seconds):
        raise ValueError(f"{value} {unit} is not an offset from UTC (at most 23:59)")
    return int(seconds)


def offset_column(values: Sequence[Any], unit: str) -> list[int | None] | None:
    """The offsets of a column in s, None where a record has none; None instead of the list where any is invalid."""
    try:
        known = {value: None if value is None else offset_s(value, unit) for value in set(values)}
    except ValueError:
        return None
    return [known[value] for value in values]


def with_offsets(times: LocalTimes, offsets: Sequence[int | None]) -> LocalTimes:
    """The times with wall clocks made instants by the offsets of their records. A time that has an offset itself keeps
    it."""
    there = np.array([offset is not None for offset in offsets], np.bool_) & (times.local != INSTANT)
    shift = np.array([offset or 0 for offset in offsets], np.int64) * NS_PER_S
    fits = ~there | ((times.ns >= _FIRST_NS) & (times.ns <= MAX_NS - 86_400 * NS_PER_S))
    ns = np.where(there & fits, times.ns - shift, times.ns)
    return LocalTimes(ns, np.where(there, INSTANT, times.local).astype(np.uint8), times.ok & fits)


def _number(text: str, expected: str) -> Decimal:
    """A number written as text, exactly. Raises ValueError."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise ValueError(f"'{text[:40]}' is not {expected}")
    return number


def _settled(written: Written) -> tuple[int, int]:
    if written.offset_s is not None:
        return written.wall_ns - written.offset_s * NS_PER_S, INSTANT
    return written.wall_ns, DAY if written.day else WALL


def _respelled(text: str) -> str | None:
    """An ISO 8601 text respelled for `parse_texts`; None where it is not one of the commonest spellings. An invalid
    time stays invalid."""
    size = len(text)
    if size < 16 or text[13] != ":" or text[10] not in "Tt ":
        return None
    if text[-3] in "+-":
        text, size = f"{text}:00", size + 3
    elif text[-5] in "+-":
        text, size = f"{text[:-2]}:{text[-2:]}", size + 1
    return f"{text[:16]}:00{text[16:]}" if size == 16 or text[16] in "Zz+-" else text
