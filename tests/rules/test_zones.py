"""Local times become instants as the time zone database says, gaps and folds by the feed's policy."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import tzfpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import FIX, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.model.time import NS_PER_S, format_instant
from tidemill.model.zones import zone
from tidemill.rules.apply import CheckedBatch, apply_rules
from tidemill.rules.zones import LocalInstants, to_instants

EPOCH = datetime(1970, 1, 1)
ZONES = ["America/New_York", "Europe/Zurich", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Etc/GMT+5"]
ZONES += [
    "Europe/Dublin",
    "Africa/Casablanca",
    "America/Caracas",
    "Asia/Kathmandu",
    "Africa/Monrovia",
    "Europe/Amsterdam",
]


def wall_ns(wall: datetime) -> int:
    since = wall - EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000


def one_by_one(wall: datetime, name: str) -> tuple[int, int, bool, bool]:
    """The same by `zoneinfo`, one time at a time: (earlier, later, gap, fold)."""
    where = zone(name)
    first, second = (wall.replace(tzinfo=where, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    assert second is not None
    instants = [wall_ns(wall - first), wall_ns(wall - second)]
    gap = first < second
    if gap:  # fold=0 keeps the offset from before the gap, which puts the time forward
        return instants[0], instants[0], True, False
    return instants[0], instants[1], False, first != second


def rows_of(found: LocalInstants) -> list[tuple[int, int, bool, bool]]:
    columns = (found.earlier.tolist(), found.later.tolist(), found.gap.tolist(), found.fold.tolist())
    return list(zip(*columns, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(st.datetimes(datetime(1900, 1, 2), datetime(2262, 1, 1)), min_size=1, max_size=20))
def test_columns_convert_as_single_times_do(data: st.DataObject, walls: list[datetime]) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(ZONES) - 1), min_size=len(walls), max_size=len(walls)))
    found = to_instants(np.array([wall_ns(wall) for wall in walls]), np.array(numbers), ZONES)
    assert rows_of(found) == [one_by_one(wall, ZONES[number]) for wall, number in zip(walls, numbers, strict=True)]


@pytest.mark.parametrize("name", ZONES)
def test_every_quarter_hour_around_every_change_converts_right(name: str) -> None:
    where = zone(name)
    days = [
        datetime(year, 1, 1) + timedelta(days=day)
        for year in (1916, 1945, 1987, 2011, 2017, 2150)
        for day in range(366)
    ]
    noon = [day.replace(hour=12, tzinfo=where).utcoffset() for day in days]
    changes = [day for day, a, b in zip(days, noon, noon[1:], strict=False) if a != b]
    walls = [day + timedelta(hours=10, minutes=15 * n) for day in changes for n in range(120)]
    if walls:
        found = to_instants(np.array([wall_ns(wall) for wall in walls]), np.zeros(len(walls), np.int64), [name])
        assert rows_of(found) == [one_by_one(wall, name) for wall in walls]


def apply(timestamp: str, position: tuple[float, float] = (40.701, -73.916), **policy: str) -> CheckedBatch:
    text = RECIPES["location"]
    for key, value in policy.items():
        text = text.replace(f'{key} = "{"reject" if key == "gap" else "earlier"}"', f'{key} = "{value}"')
    feed = load_feed(text)
    body = FIX.replace(b"2017-01-01 13:05:12", timestamp.encode())
    body = body.replace(b"40.701", str(position[0]).encode()).replace(b"-73.916", str(position[1]).encode())
    return apply_rules(feed, Decoder(feed).decode_batch([logged(1, body)]))


def instant(checked: CheckedBatch) -> tuple[str, int]:
    assert checked.rejections.is_empty()
    return format_instant(checked.frame["time"][0]), checked.frame["flags"][0]


def reasons(checked: CheckedBatch) -> list[str]:
    assert checked.frame.is_empty()
    assert checked.rejections["time"].to_list() == [None]
    return list(checked.rejections["reasons"].to_list()[0])


@pytest.mark.parametrize(
    ("timestamp", "position", "expected"),
    [
        ("2017-01-01 13:05:12", (40.701, -73.916), "2017-01-01T18:05:12Z"),
        ("2017-07-01 13:05:12", (40.701, -73.916), "2017-07-01T17:05:12Z"),
        ("2017-07-01 13:05:12.250000001", (47.37, 8.54), "2017-07-01T11:05:12.250000001Z"),
        ("2017-07-01 13:05:12", (27.7, 85.3), "2017-07-01T07:20:12Z"),
        ("2017-07-01 12:00:00", (0.0, -30.0), "2017-07-01T14:00:00Z"),
        ("2017-07-01 12:00:00", (0.0, -75.5), "2017-07-01T17:00:00Z"),
        ("2017-07-01T13:05:12+02:00", (40.701, -73.916), "2017-07-01T11:05:12Z"),
        ("2017-03-12 02:30:00Z", (40.701, -73.916), "2017-03-12T02:30:00Z"),
        ("1905-06-01 12:00:00", (52.37, 4.9), "1905-06-01T11:40:28Z"),
        ("2150-07-01 12:00:00", (40.701, -73.916), "2150-07-01T16:00:00Z"),
    ],
)
def test_the_zone_comes_from_the_position(timestamp: str, position: tuple[float, float], expected: str) -> None:
    if timestamp.startswith(
        "1905"
    ):  # Amsterdam kept its own mean time (+0:19:32) until 1937; the tzdata may say Brussels'
        where = zone(tzfpy.get_tz(position[1], position[0]))
        offset = datetime(1905, 6, 1, 12, tzinfo=where).utcoffset()
        assert offset is not None
        expected = format_instant(wall_ns(datetime(1905, 6, 1, 12) - offset))
    assert instant(apply(timestamp, position)) == (expected, 0)


def test_a_time_in_the_spring_gap_is_rejected_or_put_forward() -> None:
    assert reasons(apply("2017-03-12 02:30:00")) == ["dst_gap"]
    assert instant(apply("2017-03-12 02:30:00", gap="shift_forward")) == ("2017-03-12T07:30:00Z", 4)
    assert instant(apply("2017-03-12 01:59:59.999999999")) == ("2017-03-12T06:59:59.999999999Z", 0)
    assert instant(apply("2017-03-12 03:00:00")) == ("2017-03-12T07:00:00Z", 0)


def test_a_time_that_was_twice_is_taken_by_policy_and_flagged() -> None:
    assert instant(apply("2017-11-05 01:30:00")) == ("2017-11-05T05:30:00Z", 1)
    assert instant(apply("2017-11-05 01:30:00", fold="later")) == ("2017-11-05T06:30:00Z", 2)
    assert reasons(apply("2017-11-05 01:30:00", fold="reject")) == ["dst_fold"]
    assert instant(apply("2017-11-05 02:00:00")) == ("2017-11-05T07:00:00Z", 0)


def test_an_instant_outside_the_range_is_rejected_after_conversion() -> None:
    assert instant(apply("1900-01-01 00:00:00")) == ("1900-01-01T05:00:00Z", 0)
    assert instant(apply("1899-12-31 19:00:00")) == ("1900-01-01T00:00:00Z", 0)
    assert reasons(apply("1899-12-31 18:59:59")) == ["time_out_of_range"]
    assert reasons(apply("1900-01-01 00:00:00", (47.37, 8.54))) == ["time_out_of_range"]


@settings(max_examples=100, deadline=None)
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_every_position_has_a_zone_that_the_data_knows(latitude: float, longitude: float) -> None:
    assert zone(tzfpy.get_tz(longitude, latitude)) is not None


def test_every_zone_of_a_position_is_in_the_pinned_data() -> None:
    assert [name for name in tzfpy.timezonenames() if zone(name) is None] == []


def test_a_zone_may_come_from_the_record_or_the_feed() -> None:
    text = "name = 'p'\n[fields.v]\npath = '$.v'\n[time]\npath = '$.t'\noffset = 'optional'\n"
    by_record = load_feed(text + "zone_path = '$.z'\n")
    bodies = [
        b'{"v":1,"t":"2017-07-01 12:00:00","z":"Europe/Zurich"}',
        b'{"v":1,"t":"2017-07-01 12:00:00","z":"Mars/Base"}',
    ]
    bodies += [b'{"v":1,"t":"2017-07-01 12:00:00"}', b'{"v":1,"t":"2017-07-01 12:00:00Z"}']
    checked = apply_rules(
        by_record, Decoder(by_record).decode_batch([logged(n, body) for n, body in enumerate(bodies)])
    )
    assert [format_instant(ns) for ns in checked.frame.sort("seq")["time"]] == [
        "2017-07-01T10:00:00Z",
        "2017-07-01T12:00:00Z",
    ]
    assert checked.rejections.sort("seq").select("seq", "reasons").rows() == [
        (1, ["zone_unknown"]),
        (2, ["zone_missing"]),
    ]
    by_feed = load_feed(text + "zone = 'Asia/Kolkata'\n")
    checked = apply_rules(by_feed, Decoder(by_feed).decode_batch([logged(1, bodies[0])]))
    assert format_instant(checked.frame["time"][0]) == "2017-07-01T06:30:00Z"


def test_zones_never_come_from_the_machine() -> None:
    assert zone("localtime") is None
    assert zone("../../etc/localtime") is None
    assert zone("zone.tab") is None
    assert zone("Europe/Zurich") is zone("Europe/Zurich")
    assert datetime(2024, 7, 1, tzinfo=UTC).astimezone(zone("Europe/Zurich")).hour == 2
