"""Patterns of times read what strptime reads, with English names on every machine."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.model.time import NS_PER_S
from tidemill.model.time_patterns import compile_pattern

EPOCH = datetime(1970, 1, 1)
PATTERNS = [
    *("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%a, %d %b %Y %H:%M:%S %z", "%Y%m%d%H%M%S"),
    *("%B %d, %Y at %H:%M:%S", "%Y/%j %H:%M:%S.%f", "%d-%b-%y %H:%M", "%A %F %T", "100%% %d/%m/%Y", "%F %R%z"),
]


def wall_ns(moment: datetime) -> int:
    return (moment.replace(tzinfo=None) - EPOCH) // timedelta(microseconds=1) * 1000


@settings(max_examples=300, deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), st.sampled_from(PATTERNS))
def test_a_pattern_reads_what_strptime_reads(moment: datetime, pattern: str) -> None:
    text = moment.strftime(pattern.replace("%z", "+0530"))
    longer = pattern.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").replace("%R", "%H:%M")
    expected = datetime.strptime(text, longer)
    found = compile_pattern(pattern).parse(text)
    assert (found.wall_ns, found.offset_s) == (wall_ns(expected), 19_800 if "%z" in pattern else None)
    assert found.day == ("%H" not in longer and "%I" not in longer)


@pytest.mark.parametrize(
    ("pattern", "text", "why"),
    [
        ("%d.%m.%Y", "31.02.2026", "not a time that exists"),
        ("%d.%m.%Y", "1.2.2026", "not a time of the form %d.%m.%Y such as 31.12.2026"),
        ("%d.%m.%Y %H:%M", "01.02.2026 24:01", "beyond 24:00"),
        ("%a %d.%m.%Y", "Mon 01.02.2026", "that day is a Sunday, not a Mon"),
        ("%I:%M %p %F", "13:00 PM 2026-01-01", "hours with AM and PM"),
        ("%Y-%j", "2026-366", "2026 has no day 366"),
        ("%F %z", "2026-01-01 +25:00", "not an offset"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_and_says_why(pattern: str, text: str, why: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + why.replace("+", r"\+")):
        compile_pattern(pattern).parse(text)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("%d.%m %H:%M", "no year"),
        ("%Y %H:%M", "does not say which day"),
        ("%Y-%m-%d %Y", "the year twice"),
        ("%Y-%m-%j", "says the day twice"),
        ("%Y-%m-%d %M", "a minute without the hour"),
        ("%Y-%m-%d %I:%M", "go together"),
        ("%Y-%m-%d %Q", "'%Q' is no directive"),
        ("%Y-%m-%d %", "is no directive"),
    ],
)
def test_a_pattern_that_leaves_something_open_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_pattern(pattern)


def test_a_space_may_stand_for_a_leading_zero_and_midnight_ends_a_day() -> None:
    pattern = compile_pattern("%b %e %Y %k:%M")
    assert pattern.parse("Jan  9 2026  7:05").wall_ns == wall_ns(datetime(2026, 1, 9, 7, 5))
    assert pattern.parse("Jan 9 2026 24:00").wall_ns == wall_ns(datetime(2026, 1, 10))
    assert pattern.parse("Jan 9 2026 24:00").wall_ns % NS_PER_S == 0
