"""ISO 8601 is read as the standard library reads it, and what can be read in two ways is not read at all."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidemill.model.iso8601 import Written, parse_iso, parse_offset
from tidemill.model.time import NS_PER_S

EPOCH = datetime(1970, 1, 1)

# What datetime.fromisoformat takes (Python 3.11), by its documentation and of each kind that it knows.
TAKEN_ELSEWHERE = [
    *("2011-11-04", "20111104", "2011-W01", "2011-W01-1", "2011W011", "2011W01"),
    *("2011-11-04T00:05:23", "2011-11-04T00:05:23Z", "20111104T000523", "2011-W01-2T00:05:23.283"),
    *("2011-11-04 00:05:23.283", "2011-11-04 00:05:23.283+00:00", "2011-11-04T00:05:23+04:00"),
    *("2011-11-04T00", "2011-11-04T00:05", "20111104T0005", "2011-11-04T00:05+01", "2011-11-04T00:05:23.283185-0530"),
    *("2020W53-7T235959,999999Z".replace("-", ""), "2011-11-04t10:11:12", "2011-11-04T10:11:12.1", "2011-11-04 10Z"),
    *("2011-11-04T10:11:12+05:30:15", "2011-11-04T10:11:12.123456789Z"),
]
# Taken by others and of one meaning only, though not by Python 3.11; and what each means.
BEYOND = {
    "2026-010": "2026-01-10",
    "2026010T1530Z": "2026-01-10T15:30Z",
    "2024-366": "2024-12-31",
    "2026-01": "2026-01-01",
    "2026-01-10T24:00": "2026-01-11T00:00",
    "2026-12-31T24:00:00Z": "2027-01-01T00:00:00Z",
    "2026-01-10T22:55,5": "2026-01-10T22:55:30",
    "2026-01-10T22.25": "2026-01-10T22:15",
    "2026-01-10 22:55:31 +0100": "2026-01-10T22:55:31+01:00",
    "2026-01-10T22:55\u221205:00": "2026-01-10T22:55-05:00",
}
AMBIGUOUS_OR_WRONG = [
    *("202601", "260110", "26-01-10", "2026", "2026-1-1", "10.01.2026", "01/10/2026", "1700000000", "20260110225531"),
    *("2026-01-10+10:00", "20260110-10:00", "2026-01-10-01", "2026-01T10:00", "+002026-01-10", "2026-01-10T"),
    *(
        "2026-01-10T24:00:01",
        "2026-01-10T25:00",
        "2026-01-10T10:60",
        "2026-01-10T10:11:60Z",
        "2026-02-30",
        "2026-13-01",
    ),
    *("2026-000", "2026-366", "2026-W54", "2026-W01-8", "2026-W01-0", "0000-01-01", "2026-01-10T10:1"),
    *(
        "2026-01-10T10:11+24",
        "2026-01-10T10:11+01:60",
        "2026-01-10T10:11+1",
        "2026-01-10T10:1112",
        "2026-01-10T1011:12",
    ),
    *(
        "2026-01-10T10:11:12.",
        "2026-01-10T.5",
        " 2026-01-10",
        "2026-01-10\n",
        "２０２６-01-10",
        "2026-01-10T10:11Z+01",
        "",
    ),
]


def of(moment: datetime) -> tuple[int, int | None]:
    """(wall clock in ns, offset in s) of a datetime."""
    since = moment.replace(tzinfo=None) - EPOCH
    offset = moment.utcoffset()
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000, (
        None if offset is None else offset // timedelta(seconds=1)
    )


def read(text: str) -> tuple[int, int | None]:
    found = parse_iso(text)
    return found.wall_ns // 1000 * 1000, found.offset_s


@pytest.mark.parametrize("text", TAKEN_ELSEWHERE)
def test_what_the_standard_library_takes_is_read_as_the_same(text: str) -> None:
    assert read(text) == of(datetime.fromisoformat(text))


@pytest.mark.parametrize(("text", "same"), BEYOND.items())
def test_other_forms_of_one_meaning_are_read(text: str, same: str) -> None:
    assert read(text) == read(same)


@pytest.mark.parametrize("text", AMBIGUOUS_OR_WRONG)
def test_what_can_be_read_in_two_ways_or_in_none_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|no place|has a time of day and no day"):
        parse_iso(text)


DATES = ["%Y-%m-%d", "%Y%m%d", "%G-W%V-%u", "%GW%V%u"]
TIMES = ["%H:%M:%S.%f", "%H:%M:%S", "%H%M%S", "%H:%M", "%H%M", "%H", "%H%M%S,%f"]


@settings(max_examples=300, deadline=None)
@given(
    st.datetimes(datetime(1000, 1, 3), datetime(9998, 1, 1)),
    st.sampled_from(DATES),
    st.sampled_from([*(f"{sep}{time}" for sep in "T " for time in TIMES)]),
    st.sampled_from(["", "Z", "+01", "-0930", "+05:45", "-12", "+00:00"]),
)
def test_every_form_reads_as_the_standard_library_reads_it(moment: datetime, day: str, time: str, offset: str) -> None:
    text = moment.strftime(day).zfill(4) + moment.strftime(time) + offset
    assert read(text) == of(datetime.fromisoformat(text))
    assert parse_iso(text).day is False


@settings(max_examples=500, deadline=None)
@given(
    st.text("0123456789-:TWZ+., ", max_size=25) | st.from_regex(r"20[12]\d-?W?[0-5]\d-?[0-9]{0,3}[T ][0-9:.,]{2,9}Z?")
)
@example("2011-01-01T10-05:30")
def test_no_text_is_read_as_another_time_than_the_standard_library_reads(text: str) -> None:
    try:
        expected = datetime.fromisoformat(text)
        found = read(text)
    except ValueError:
        return  # one of both takes less; what both take means the same
    assert found == of(expected)


def test_a_date_alone_is_a_day_and_with_z_an_instant() -> None:
    midnight = of(datetime(2026, 1, 10))[0]
    assert parse_iso("2026-01-10") == Written(midnight, None, day=True)
    assert parse_iso("2026-01-10Z") == Written(midnight, 0)


@given(st.integers(-86_399, 86_399))
def test_offsets_are_read_to_the_second(seconds: int) -> None:
    moment = datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=seconds)))
    text = moment.isoformat()[19:]
    assert parse_offset(text) == seconds
    assert parse_offset("Z") == 0
    assert moment.astimezone(UTC) is not None


def test_further_digits_are_cut_and_cost_nothing() -> None:
    assert parse_iso("2026-01-10T22:55:31." + "9" * 100_000).wall_ns % NS_PER_S == 999_999_999
