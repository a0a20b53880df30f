"""Readers of query parameters that are numbers: each converts text or raises ValueError with a message for callers."""

import math
import re
from collections.abc import Callable
from typing import Final, TypeVar

from tidemill.query.readers import Context, ItemsError, Reader

_NUMBER: Final = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)
_HERTZ: Final = r"\s*((?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?)\s*"
_BAND: Final = re.compile(f"{_HERTZ}-{_HERTZ}", re.ASCII)
MOST_LEVELS: Final = 10
MOST_BANDS: Final = 100
_T = TypeVar("_T")


def number(text: str, _: Context) -> float:
    """A finite number."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{text[:40]}' is not a number such as 0 or -1.5")
    return value


def number_from(low: float, high: float) -> Reader:
    """A reader of numbers from `low` to `high`."""

    def read(text: str, context: Context) -> float:
        value = number(text, context)
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not '{text[:40]}'")
        return value

    return read


def whole(low: int, high: int) -> Reader:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str, _: Context) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}, not '{text[:40]}'")
        return int(text)

    return read


def percent(text: str, context: Context) -> float:
    """A percent above 0 and below 100."""
    value = number(text, context)
    if not 0 < value < 100:
        raise ValueError(f"must be a percent above 0 and below 100 such as 95, not '{text[:40]}'")
    return value


def percents(text: str, context: Context) -> tuple[float, ...]:
    """Up to ten percents above 0 and below 100, separated by commas, each once."""
    return tuple(dict.fromkeys(_each(text, lambda word: percent(word.strip(), context), MOST_LEVELS)))


def bands(text: str, context: Context) -> tuple[tuple[float, float], ...]:
    """Up to a hundred bands of frequencies in Hz such as `0-100`, separated by commas."""
    return tuple(_each(text, lambda word: _band(word, context), MOST_BANDS))


def _band(text: str, context: Context) -> tuple[float, float]:
    match = _BAND.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text[:40]}' is not a band of frequencies in Hz such as 0-100")
    low, high = number(match[1], context), number(match[2], context)
    if low >= high:
        raise ValueError(f"'{text[:40]}' must go from a lower to a higher frequency")
    return low, high


def _each(text: str, read: Callable[[str], _T], most: int) -> list[_T]:
    """The values of the items of a list, at most `most`. Raises ItemsError with the fault of every invalid item."""
    values: list[_T] = []
    faults: dict[int, str] = {}
    words = text.split(",")
    if len(words) > most:
        raise ValueError(f"at most {most} at a time")
    for index, word in enumerate(words):
        try:
            values.append(read(word))
        except ValueError as error:
            faults[index] = str(error)
    if faults:
        raise ItemsError(faults)
    return values
