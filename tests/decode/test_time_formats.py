"""A feed's formats of time: columns read as single values do, exactly, and every way to an offset leads to one
instant."""

import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.strict_only import strict_reader
from tests.support.payloads import logged
from tidemill.decode.batch import Batch, assemble_batch
from tidemill.decode.decoder import Decoder
from tidemill.decode.plan import compile_plan
from tidemill.decode.time_formats import TimeFormats
from tidemill.decode.times import DAY, INSTANT, WALL, in_range
from tidemill.errors import FeedDefinitionError
from tidemill.feeds.load import load_feed
from tidemill.model.time import MAX_NS, MIN_NS, format_instant
from tidemill.rules.apply import apply_rules

REST = '\n[fields.v]\npath = "$.v"\nrequired = false\n'


def feed(time: str) -> Any:
    return load_feed(f'name = "f"\n[input]\non_fault = "reject"\n[time]\npath = "$.t"\n{time}{REST}')


def batch(time: str, *records: str) -> Batch:
    return Decoder(feed(time)).decode_batch([logged(1, ("[" + ",".join(records) + "]").encode(), "f")])


def instants(time: str, *records: str) -> list[str]:
    """The instants of records, or the reasons of those that have none."""
    checked = apply_rules(feed(time), batch(time, *records))
    found = {row["idx"]: format_instant(row["time"]) for row in checked.frame.iter_rows(named=True)}
    found |= {row["idx"]: row["reasons"][0] for row in checked.rejections.iter_rows(named=True)}
    return [found[index] for index in range(len(records))]


def of(*texts: str) -> list[str]:
    return [json.dumps({"t": text}) for text in texts]


LISTS = [
    ("iso8601",),
    ("rfc3339",),
    ("unix_s",),
    ("unix_ns",),
    ("iso8601", "%d.%m.%Y %H:%M"),
    ("%d.%m.%Y %H:%M", "%d.%m.%Y", "rfc3339"),
    ("unix_ms", "iso8601"),
    ("iso8601", "unix_s"),
]
spelled = st.builds(
    lambda moment, form, ending: moment.strftime(form) + ending,
    st.datetimes(),
    st.sampled_from(
        ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y%m%dT%H%M%S.%f", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%F", "%G-W%V-%u"]
    ),
    st.sampled_from(["", "Z", "+01", "+0130", "-05:00", ".5", ",25", "\u221201", "x"]),
)
decimals = st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False)
values = spelled | st.integers(-(10**20), 10**20) | decimals | st.text(max_size=6) | decimals.map(str)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(LISTS), st.lists(values, min_size=1, max_size=12))
def test_a_column_reads_as_each_value_does(formats: tuple[str, ...], given: list[Any]) -> None:
    times = TimeFormats(formats)
    fitting = [v for v in given if isinstance(v, str)] if times.kind == "time_text" else given
    if times.kind == "time_number":
        fitting = [Decimal(v) if isinstance(v, str) and _is_number(v) else v for v in given]
        fitting = [v for v in fitting if not isinstance(v, str)]
    walls = times.parse_column(fitting) if fitting else None
    if walls is None:
        return
    good = walls.ok & in_range(walls)
    read = [(int(ns), int(kind)) if ok else None for ns, kind, ok in zip(walls.ns, walls.local, good, strict=True)]
    assert read == [_single(times, value) for value in fitting]


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False


def _single(times: TimeFormats, value: Any) -> tuple[int, int] | None:
    try:
        ns, kind = times.parse_value(value)
    except ValueError:
        return None
    slack = 16 * 3600 * 10**9 if kind else 0
    return (ns, kind) if MIN_NS - slack <= ns <= MAX_NS - slack else None


FEEDS = {
    "texts": 'offset = "optional"\nzone = "Europe/Berlin"\n',
    "numbers": 'format = "unix_s"\n',
    "both": 'format = ["iso8601", "%d.%m.%Y %H:%M", "unix_ms"]\noffset = "optional"\nzone = "Europe/Berlin"\n',
    "offset": 'offset_path = "$.o"\noffset_unit = "min"\n',
    "local": 'format = "unix_s"\nepoch = "local"\nzone = "Europe/Berlin"\noffset_path = "$.o"\n',
}
members = st.fixed_dictionaries(
    {"t": spelled | st.integers(-(10**12), 10**12) | st.floats(-1e12, 1e12) | st.sampled_from(["1700000000.5", "x"])},
    optional={"o": st.sampled_from(["+01:00", "-0930", "Z", "x", 60, -60, 1.5, None, True]), "v": st.just(1)},
)


@pytest.mark.parametrize("name", FEEDS)
@settings(max_examples=100, deadline=None)
@given(records=st.lists(members, min_size=1, max_size=20))
def test_the_fast_and_the_strict_reader_agree_on_times(name: str, records: list[Any]) -> None:
    of_feed, body = feed(FEEDS[name]), json.dumps(records).encode()
    payload, plan = logged(1, body, "f"), compile_plan(of_feed)
    fast = Decoder(of_feed).decode_batch([payload])
    strict = assemble_batch(plan, strict_reader(of_feed).read_payloads([(body, "json")]), [payload])
    shown = ["idx", "wall_ns", "local"]
    assert fast.frame.sort("idx").select(shown).rows() == strict.frame.sort("idx").select(shown).rows()
    assert fast.rejections.sort("idx").rows() == strict.rejections.sort("idx").rows()


def test_spellings_of_devices_are_read() -> None:
    time = 'offset = "optional"\nzone = "Europe/Berlin"\n'
    texts = of(
        "2026-01-10T22:55", "2026-01-10T22:56:31+0100", "20260110T225731,5+01", "2026-W02-6 22:58", "2026-010T21Z"
    )
    assert instants(time, *texts) == [
        *("2026-01-10T21:55:00Z", "2026-01-10T21:56:31Z", "2026-01-10T21:57:31.5Z", "2026-01-10T21:58:00Z"),
        "2026-01-10T21:00:00Z",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "begin"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"),  # that day began at 01:00
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00Z"),  # its midnight was twice
        ("Pacific/Apia", "2011-12-30", "dst_gap"),  # a day that never was
        ("Africa/Cairo", "2014-05-16", "2014-05-15T22:00:00Z"),
    ],
)
def test_a_date_alone_is_the_begin_of_its_day_in_the_zone(zone: str, day: str, begin: str) -> None:
    assert instants(f'offset = "optional"\nfold = "reject"\nzone = "{zone}"\n', *of(day)) == [begin]


def test_every_digit_of_an_epoch_counts() -> None:
    numbers = ['{"t": 1700000000.123456789}', '{"t": "1679912468340000789e-9"}', '{"t": 1.7000000000000000001e9}']
    assert instants('format = "unix_s"\n', *numbers) == [
        *("2023-11-14T22:13:20.123456789Z", "2023-03-27T10:21:08.340000789Z", "2023-11-14T22:13:20Z")
    ]
    assert instants('format = "unix_ns"\n', '{"t": "1679912468340000789"}') == ["2023-03-27T10:21:08.340000789Z"]
    faulty = '{"t": 1700000000.123456789, "t": 1}', '{"t": 1700000000.123456789, "v": "x"}', numbers[0]
    assert instants('format = "unix_s"\n', *faulty)[2] == "2023-11-14T22:13:20.123456789Z"  # read beside faulty records


def test_samples_keep_every_digit_of_their_times() -> None:
    samples = load_feed('name = "s"\n[input]\nformats = ["json"]\n[shape]\nkind = "samples"\n')
    body = b'{"values": [1, 2], "times": [1700000000.123456789, 1700000001.123456788], "time_unit": "s"%b}'
    for more in (b"", b', "\\u0078": 1'):
        frame = Decoder(samples).decode_batch([logged(1, body % more, "s")]).frame
        assert frame["wall_ns"].to_list() == [1_700_000_000_123_456_789, 1_700_000_001_123_456_788]


def test_formats_are_tried_in_their_order() -> None:
    time = 'format = ["iso8601", "%d.%m.%Y %H:%M", "unix_s"]\noffset = "optional"\nzone = "Europe/Vienna"\n'
    records = [*of("24.12.2026 18:00", "2026-12-24", "1700000000", "24/12/2026"), '{"t": 1700000000}', '{"t": true}']
    assert instants(time, *records) == [
        *("2026-12-24T17:00:00Z", "2026-12-23T23:00:00Z", "2023-11-14T22:13:20Z", "time_invalid"),
        *("2023-11-14T22:13:20Z", "wrong_type"),
    ]


def test_an_offset_may_stand_in_a_member_of_its_own() -> None:
    records = [
        '{"t": "2026-01-10T12:00:00", "o": 60}',
        '{"t": "2026-01-10T12:00:00", "o": "-0500"}',
        '{"t": "2026-01-10T12:00:00Z", "o": 60}',
        '{"t": "2026-01-10T12:00:00"}',
        '{"t": "2026-01-10T12:00:00", "o": 1440}',
    ]
    assert instants('offset_path = "$.o"\noffset_unit = "min"\n', *records) == [
        *("2026-01-10T11:00:00Z", "2026-01-10T17:00:00Z", "2026-01-10T12:00:00Z", "time_no_offset", "time_invalid")
    ]


def test_an_epoch_may_count_local_time() -> None:
    time = 'format = "unix_s"\nepoch = "local"\nzone = "Europe/Berlin"\n'
    assert instants(time, '{"t": 1675442871}', '{"t": 1774749600}') == ["2023-02-03T15:47:51Z", "dst_gap"]
    beside = 'format = "unix_s"\nepoch = "local"\noffset_path = "$.o"\n'
    assert instants(beside, '{"t": 1675442871, "o": 3600}', '{"t": 1675442871}') == [
        *("2023-02-03T15:47:51Z", "time_no_offset")
    ]


def test_kinds_of_times_are_told_apart() -> None:
    frame = batch('offset = "optional"\nzone = "UTC"\n', *of("2026-01-01", "2026-01-01T00", "2026-01-01T00Z")).frame
    assert frame.sort("idx")["local"].to_list() == [DAY, WALL, INSTANT]
    assert frame["local"].dtype == pl.UInt8


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ('format = "iso8061"\n', "did you mean 'iso8601'"),
        ('format = "%d.%m %H:%M"\n', "no year"),
        ('format = ["%d.%m.%Y", "%m.%d.%Y"]\n', "is another time by %d.%m.%Y than by %m.%d.%Y"),
        ('format = ["iso8601", "%Y-%d-%m"]\n', "is another time by %Y-%d-%m than by iso8601"),
        ('format = ["unix_s", "unix_ms"]\n', "cannot be told to be unix_s or unix_ms"),
        ('format = ["iso8601", "received"]\n', "stands alone"),
        ("format = []\n", "name 1 to 20 formats"),
        ('format = ["unix_s", "unix_s"]\n', "the same format is there twice"),
        ('epoch = "local"\n', "texts count nothing"),
        ('format = "unix_s"\nepoch = "local"\n', "need a zone, zone_path, zone_position or offset_path"),
        ('format = "unix_s"\nzone = "Europe/Berlin"\n', "unless epoch = 'local'"),
        ('format = "unix_s"\noffset_path = "$.o"\n', "an offset is of no use"),
        ('offset_unit = "h"\n', "name that, too"),
        ('offset_path = "$.t"\n', "overlaps time.path"),
    ],
)
def test_feed_check_says_what_does_not_fit(time: str, why: str) -> None:
    with pytest.raises(FeedDefinitionError) as raised:
        feed(time)
    assert why in str(raised.value)


@pytest.mark.parametrize("formats", [("unix_s", "iso8601"), ("iso8601", "unix_s"), ("iso8601", "unix_ms")])
@pytest.mark.parametrize("text", ["20260131", "2026031"])
def test_digits_that_are_a_date_and_a_number_are_refused(formats: tuple[str, str], text: str) -> None:
    """In a column of such texts, too; a number without quotes has one reading."""
    times = TimeFormats(formats)
    with pytest.raises(ValueError, match="keep one of both formats"):
        times.parse_value(text)
    column = times.parse_column([text, "1769817600", "202601310"])
    assert column is not None
    assert column.ok.tolist() == [False, True, True]
    assert times.parse_value(int(text))[1] == INSTANT
    assert TimeFormats(["iso8601"]).parse_value(text)[1] == DAY
    assert (
        TimeFormats([formats[0], "rfc3339"] if formats[0] != "iso8601" else ["unix_s"]).parse_value(text)[1] == INSTANT
    )


def test_a_pattern_of_digits_beside_a_number_is_refused_when_the_feed_is_checked() -> None:
    with pytest.raises(FeedDefinitionError, match="keep one of them"):
        feed('format = ["%Y%m%d", "unix_s"]\noffset = "optional"\nzone = "Europe/Vienna"\n')
    assert feed('format = ["%d.%m.%Y", "unix_s"]\noffset = "optional"\nzone = "Europe/Vienna"\n')
