"""Readers of single query parameters: each converts text to a value or raises ValueError with a message for callers.

`Context` has all parameters of the request as text, for those whose meaning depends on another (`unit`, `tz`).
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from tidemill.model.ids import format_series, parse_series
from tidemill.model.time import NS_PER_S, check_range, parse_instant, parse_wall

Context = Mapping[str, str]
Reader = Callable[[str, Context], Any]
_T = TypeVar("_T")

UNITS_NS: Final = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EPOCH: Final = re.compile(r"([+-]?)(\d{1,20})(?:\.(\d{1,9}))?", re.ASCII)
_PLUS_LOST: Final = re.compile(r"(.*\d\d:\d\d:\d\d(?:\.\d+)?) (\d\d:\d\d)", re.ASCII)
_WINDOW: Final = re.compile(r"(\d{1,9})(ns|us|ms|s|min|mo|m|h|d|w|q|y)", re.ASCII)
_STEP_NS: Final = {
    **UNITS_NS, "m": 60 * NS_PER_S, "h": 3600 * NS_PER_S, "d": 86400 * NS_PER_S, "w": 7 * 86400 * NS_PER_S,
    "mo": 30 * 86400 * NS_PER_S, "y": 365 * 86400 * NS_PER_S,
}  # fmt: skip
_MAX_WINDOW_NS: Final = 100 * 366 * 86400 * NS_PER_S


class ItemsError(ValueError):
    """The faults of items of a list: messages by index."""

    def __init__(self, items: dict[int, str]) -> None:
        super().__init__("; ".join(items.values()))
        self.items = items


class WindowLength(msgspec.Struct, frozen=True):
    """A length of windows: `count` of `unit` (ns, us, ms, s, m, h, d, w, mo, y). Days and longer follow a calendar."""

    count: int
    unit: str

    @property
    def text(self) -> str:
        """The length as requests write it: `15m`, `1mo`."""
        return f"{self.count}{self.unit}"

    @property
    def of_epoch(self) -> bool:
        """Whether windows of this length count from the epoch, independent of the zone."""
        return self.unit in UNITS_NS

    @property
    def nominal_ns(self) -> int:
        """The length in ns, with days of 24 hours, months of 30 and years of 365 days."""
        return self.count * _STEP_NS[self.unit]


def instant(text: str, context: Context) -> int:
    """Ns UTC of an RFC 3339 time, a date (midnight in `tz`, else UTC) or a number since the epoch in `unit`."""
    epoch = _EPOCH.fullmatch(text)
    if epoch is not None:
        return _epoch(epoch, context)
    if _DATE.fullmatch(text):
        return _midnight(text, context.get("tz", "UTC"))
    lost = _PLUS_LOST.fullmatch(text)  # a '+' that the client did not encode arrives as a space
    return parse_instant(f"{lost[1]}+{lost[2]}" if lost else text)


def _epoch(match: re.Match[str], context: Context) -> int:
    unit = context.get("unit")
    if unit not in UNITS_NS:
        raise ValueError(f"'{match[0]}' is a number; say its unit with unit=s, ms, us or ns, or send an RFC 3339 time")
    scale = UNITS_NS[unit]
    fraction = (match[3] or "").ljust(9, "0")
    ns = int(match[2]) * scale + int(fraction) * scale // NS_PER_S
    return check_range(-ns if match[1] == "-" else ns)


def _midnight(text: str, zone_name: str) -> int:
    wall, _ = parse_wall(f"{text}T00:00:00")
    if zone_name == "UTC" or zone_name not in zones():
        return check_range(wall)
    return check_range(wall_to_utc(wall, zone_name))


def wall_to_utc(wall_ns: int, zone_name: str) -> int:
    """Ns UTC of wall-clock ns in a zone; the earlier instant of a time that occurs twice (PEP 495, fold 0)."""
    seconds, fraction = divmod(wall_ns, NS_PER_S)
    naive = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    offset = naive.replace(tzinfo=ZoneInfo(zone_name)).astimezone(UTC).replace(tzinfo=None) - naive
    return (seconds + round(offset.total_seconds())) * NS_PER_S + fraction


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The IANA zone names of the pinned tzdata."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(listed) - {"Factory", "localtime", "posixrules"}


def zone(text: str, _: Context) -> str:
    """An IANA zone name such as Europe/Zurich."""
    if text not in zones():
        raise ValueError(f"'{text[:40]}' is not an IANA time zone such as Europe/Zurich{nearest(text, zones())}")
    return text


def window(text: str, _: Context) -> WindowLength:
    """A length such as `15m`, `1h`, `1d`, `1w`, `1mo`, `1q` (three months), `1y`. Hours must divide a day; at most a
    hundred years."""
    match = _WINDOW.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"'{text[:40]}' is not a length such as 100ms, 15m, 1h, 1d, 1w, 1mo, 1q or 1y")
    count, unit = int(match[1]), match[2]
    length = WindowLength(count * 3, "mo") if unit == "q" else WindowLength(count, "m" if unit == "min" else unit)
    if length.nominal_ns > _MAX_WINDOW_NS:
        raise ValueError(f"'{text[:40]}' is longer than a hundred years")
    if length.unit == "h" and 24 % length.count:
        raise ValueError(f"'{text[:40]}' does not divide a day; hours are 1, 2, 3, 4, 6, 8, 12 or 24")
    return length


def limit(maximum: int) -> Reader:
    """A reader of whole numbers from 1 to `maximum`."""

    def read(text: str, _: Context) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= maximum):
            raise ValueError(f"must be a whole number from 1 to {maximum}, not '{text[:40]}'")
        return int(text)

    return read


def choice(*allowed: str) -> Reader:
    """A reader of one of the allowed words."""

    def read(text: str, _: Context) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not '{text[:40]}'{nearest(text, allowed)}")
        return text

    return read


def choices(*allowed: str) -> Reader:
    """A reader of some of the allowed words, separated by commas; repeated words are returned once."""
    read_word = choice(*allowed)

    def read(text: str, context: Context) -> tuple[str, ...]:
        return read_each(text.split(","), lambda word: read_word(word.strip(), context))

    return read


def filling(text: str, _: Context) -> str | float:
    """What fills a window without points: `null`, `previous`, `linear`, or the number behind `value:`."""
    word, colon, number = text.partition(":")
    if word == "value" and colon:
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
    elif text in ("null", "previous", "linear"):
        return text
    raise ValueError(f"must be one of null, previous, linear or a number such as value:0, not '{text[:40]}'")


def true_or_false(text: str, _: Context) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError(f"must be true or false, not '{text[:40]}'")
    return text == "true"


def quantiles(text: str, _: Context) -> tuple[float, ...]:
    """Up to 100 numbers from 0 to 1, separated by commas."""
    words = text.split(",")
    if len(words) > 100:
        raise ValueError("at most 100 quantiles at a time")
    return read_each(words, _quantile)


def _quantile(text: str) -> float:
    if not re.fullmatch(r"\s*(0?\.\d{1,17}|0|1|1\.0+|0\.|1\.)\s*", text, re.ASCII):
        raise ValueError(f"'{text[:40]}' is not a number from 0 to 1 such as 0.95")
    return float(text)


def read_each(words: Sequence[str], read: Callable[[str], _T]) -> tuple[_T, ...]:
    """The values of the items of a list, each once. Raises ItemsError with the fault of every invalid item."""
    values: dict[_T, None] = {}
    faults: dict[int, str] = {}
    for index, word in enumerate(words):
        try:
            values[read(word)] = None
        except ValueError as error:
            faults[index] = str(error)
    if faults:
        raise ItemsError(faults)
    return tuple(values)


def word(text: str, _: Context) -> str:
    """Any text."""
    return text


def series(text: str, _: Context) -> int:
    """A series id, 16 hexadecimal digits."""
    return parse_series(text)


def series_word(text: str, _: Context) -> str:
    """A series id as the text that it is."""
    return format_series(parse_series(text))


def nearest(text: str, known: Iterable[str], written: Callable[[str], str] = str) -> str:
    """` (did you mean 'x'?)` with the nearest known word in the form of `written`; empty where no word is near."""
    close = get_close_matches(text, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{written(close[0])}'?)" if close else ""
