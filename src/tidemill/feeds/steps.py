"""Steps from one record to the next: what a feed writes, as an exact length or as a span of a calendar."""

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
SHORTEST_NS: Final = 1  # records of one list have different times


def parse_step(text: str) -> Fraction | Span:
    """`15m`, `39.0625us` -> nanoseconds, exactly; `1d`, `1mo` -> a span of the calendar. Raises ValueError with a
    sentence."""
    try:
        span = parse_span(text)
    except ValueError:
        span = Span()
    if span.days or span.months:
        return span
    return check_step(Fraction(*parse_duration_ns(text)))


def check_step(step_ns: Fraction) -> Fraction:
    """The step, if records that are so far apart have different times; else raises ValueError with a sentence."""
    if not SHORTEST_NS <= step_ns <= MAX_NS:
        raise ValueError("a step is at least a nanosecond, and no longer than what a time can be")
    return step_ns
