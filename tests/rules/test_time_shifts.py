"""Times that are known to be wrong by a fixed length, and times that are the end of what they stamp."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.test_time_formats import batch, feed, instants, of
from tidemill.errors import FeedDefinitionError
from tidemill.model.spans import parse_span
from tidemill.model.time import NS_PER_S
from tidemill.model.zones import zone
from tidemill.rules.apply import apply_rules
from tidemill.rules.time import SHIFTED

BERLIN = 'offset = "optional"\nzone = "Europe/Berlin"\n'
EPOCH = datetime(1970, 1, 1)


def end(interval: str, more: str = BERLIN) -> str:
    return f'{more}stamp = "end"\ninterval = "{interval}"\n'


def test_a_receiver_1024_weeks_behind_is_put_right_and_its_points_say_so() -> None:
    time = 'shift = { by = "7168d", older_than = "3650d" }\n'  # received in 2023
    assert instants(time, *of("2000-03-19T10:00:00Z", "2023-01-01T00:00:00Z")) == [
        *("2019-11-03T10:00:00Z", "2023-01-01T00:00:00Z")
    ]
    checked = apply_rules(feed(time), batch(time, *of("2000-03-19T10:00:00Z", "2023-01-01T00:00:00Z")))
    assert checked.frame.sort("idx")["flags"].to_list() == [SHIFTED, 0]


def test_a_shift_has_bounds_and_comes_before_the_zone() -> None:
    time = f'{BERLIN}shift = {{ by = "-1h", after = "2026-01-01T00:00:00Z", before = "2026-07-01" }}\n'
    texts = of("2025-12-31 23:59", "2026-01-01 00:00", "2026-03-29 03:30", "2026-06-30 23:59", "2026-07-01 00:00")
    assert instants(time, *texts) == [
        *("2025-12-31T22:59:00Z", "2025-12-31T22:00:00Z", "dst_gap", "2026-06-30T20:59:00Z", "2026-06-30T22:00:00Z")
    ]


@pytest.mark.parametrize("by", ["7168d", "-7168d", "100000000d", "-100000000d"])
def test_what_a_shift_takes_out_of_range_is_rejected(by: str) -> None:
    text = "1901-01-01T00:00:00Z" if by.startswith("-") else "2262-01-01T00:00:00Z"
    assert instants(f'shift = {{ by = "{by}" }}\n', *of(text)) == ["time_out_of_range"]


def test_the_end_of_a_day_is_of_the_day_that_it_ends() -> None:
    assert instants(end("30m"), *of("2020-08-25 00:00:00", "2020-08-24 23:30:00Z", "2020-08-24T24:00")) == [
        *("2020-08-24T21:30:00Z", "2020-08-24T23:00:00Z", "2020-08-24T21:30:00Z")
    ]


def test_ends_of_intervals_around_a_clock_change_are_instants() -> None:
    texts = of("2026-03-29 01:30", "2026-03-29 02:00", "2026-03-29 03:00", "2026-03-29 03:30", "2026-03-29 02:30")
    assert instants(end("30m"), *texts) == [
        *("2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "dst_gap")
    ]


@pytest.mark.parametrize(
    ("interval", "text", "begin"),
    [
        ("1d", "2026-03-30", "2026-03-28T23:00:00Z"),
        ("1d", "2026-03-29T22:00:00Z", "2026-03-28T23:00:00Z"),  # with an offset: the calendar of the zone counts
        ("1w", "2026-04-06T00:00", "2026-03-29T22:00:00Z"),
        ("1mo", "2026-03-01", "2026-01-31T23:00:00Z"),
        ("1mo", "2024-02-29T12:00", "2024-01-31T11:00:00Z"),
        ("1y", "2026-01-01", "2024-12-31T23:00:00Z"),
    ],
)
def test_days_and_longer_follow_the_calendar(interval: str, text: str, begin: str) -> None:
    assert instants(end(interval), *of(text)) == [begin]


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu"]),
    st.sampled_from(["15m", "1h", "6h"]),
)
def test_an_end_is_an_instant_less_its_interval(moment: datetime, name: str, interval: str) -> None:
    time = f'offset = "optional"\nzone = "{name}"\n{end(interval, "")}gap = "shift_forward"\n'
    offset = moment.replace(tzinfo=zone(name)).utcoffset()
    assert offset is not None
    length = timedelta(seconds=parse_span(interval).fixed_ns // NS_PER_S)
    assert instants(time, *of(moment.isoformat())) == [(moment - offset - length).isoformat() + "Z"]


@settings(max_examples=100, deadline=None)
@given(st.datetimes(datetime(1905, 1, 1), datetime(2200, 1, 1)), st.integers(1, 24))
def test_a_month_back_and_forth_is_never_more_than_a_month_off(moment: datetime, months: int) -> None:
    wall = (moment - EPOCH) // timedelta(microseconds=1) * 1000
    before = EPOCH + timedelta(microseconds=parse_span(f"{months}mo").before(wall) // 1000)
    assert moment.year * 12 + moment.month - before.year * 12 - before.month == months
    assert before.time() == moment.time()
    assert before.day >= min(moment.day, 28)


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ('stamp = "end"\n', "say how long the intervals are"),
        ('interval = "30m"\n', "of no use unless stamp = 'end'"),
        ('stamp = "end"\ninterval = "half"\n', "is not a duration"),
        ('shift = { by = "soon" }\n', "is not a duration"),
        ('shift = { by = "1h", before = "later" }\n', "is not an ISO 8601 time"),
        ('shift = { by = "1h", when = "later" }\n', "unknown key 'when'"),
    ],
)
def test_feed_check_says_what_is_wrong_with_it(time: str, why: str) -> None:
    with pytest.raises(FeedDefinitionError) as raised:
        feed(time)
    assert why in str(raised.value)
