"""Steps from one record to the next: what a feed writes, as an exact length or as a span of a calendar."""

import re
from fractions import Fraction
from typing import Final

from tidemill.model.spans import Span, parse_span
from tidemill.model.time import MAX_NS, NS_PER_S, parse_duration_ns

STEP_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
_ISO_CALENDAR: Final = re.compile(r"P(\d{1,4})([YMWD])", re.ASCII)
_ISO_UNITS: Final = {"Y": "y", "M": "mo", "W": "w", "D": "d"}
_ISO_TIME: Final = re.compile(r"PT(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:[.,]\d{1,9})?)S)?", re.ASCII)
SHORTEST_NS: Final = 1  # records of one list have different times


def parse_step(text: str) -> Fraction | Span:
    """`15m`, `39.0625us` -> nanoseconds, exactly; `1d`, `1mo` -> a span of the calendar. So are durations of ISO 8601:
    `PT15M`, `PT1H30M`, `P1D`, `P1M`. Raises ValueError with a sentence."""
    text = _plain_duration(text.strip())
    try:
        span = parse_span(text)
    except ValueError:
        span = Span()
    if span.days or span.months:
        return span
    return check_step(Fraction(*parse_duration_ns(text)))


def _plain_duration(text: str) -> str:
    """A duration of ISO 8601, written as feeds write it (`P1M` -> `1mo`, `PT1H30M` -> `5400s`); else the text."""
    if calendar := _ISO_CALENDAR.fullmatch(text):
        return f"{int(calendar[1])}{_ISO_UNITS[calendar[2]]}"
    if clock := _ISO_TIME.fullmatch(text):
        seconds, _, decimals = (clock[3] or "0").replace(",", ".").partition(".")
        whole = int(clock[1] or 0) * 3600 + int(clock[2] or 0) * 60 + int(seconds)
        return f"{whole}.{decimals}s" if decimals else f"{whole}s"
    return text


def parse_sent_step(text: str, *, local: bool) -> Fraction:
    """The step that a payload says, which is a fixed length: days are of 24 hours, and if its times are `local` they
    have no fixed length, as months have none. Raises ValueError with a sentence."""
    step = parse_step(text)
    if isinstance(step, Fraction):
        return step
    if local or step.months:
        unit = f"{step.months}mo" if step.months else f"{step.days}d"
        raise ValueError(
            f"'{text[:40]}' has a length that depends on the date; say it in the feed: [time] step = '{unit}'"
        )
    return check_step(Fraction(step.days * STEP_UNITS_NS["d"]))


def check_step(step_ns: Fraction) -> Fraction:
    """The step, if records that are so far apart have different times; else raises ValueError with a sentence."""
    if not SHORTEST_NS <= step_ns <= MAX_NS:
        raise ValueError("a step is at least a nanosecond, and no longer than what a time can be")
    return step_ns
