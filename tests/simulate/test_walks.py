"""Walks are what phones record: local times in the zone of the position, two users crossing borders."""

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import tzfpy

from tidemill.model.time import parse_instant
from tidemill.simulate.phones import planned_requests
from tidemill.simulate.walks import CROSSING, broken_record, fix_across_border, walk

START = parse_instant("2017-01-01T12:00:00Z")


def test_two_users_cross_a_zone_and_no_text_means_two_instants():
    for user in range(8):
        fixes = list(itertools.islice(walk(1, user, START), 400))
        zones = {tzfpy.get_tz(fix.long, fix.lat) for fix in fixes}
        assert len(zones) == (2 if user < CROSSING else 1), zones
        assert len({fix.timestamp for fix in fixes}) == len(fixes)
        assert all(one.instant_ns < other.instant_ns for one, other in itertools.pairwise(fixes))


def test_texts_come_in_every_form_of_the_contract():
    fixes = [fix for user in range(8) for fix in itertools.islice(walk(1, user, START), 100)]
    texts = [fix.timestamp for fix in fixes]
    assert any("." in text for text in texts) and any("." not in text for text in texts)
    with_offset = [fix for fix in fixes if "T" in fix.timestamp]
    assert with_offset and all(parse_instant(fix.timestamp) == fix.instant_ns for fix in with_offset)


def test_a_time_that_the_clock_shows_twice_carries_its_offset():
    fall_back = parse_instant("2023-10-29T00:30:00Z")  # Zürich: 02:00 to 03:00 comes twice
    fixes = list(itertools.islice(walk(1, 3, fall_back), 600))
    ambiguous = [fix for fix in fixes if " 02:" in fix.timestamp]
    assert ambiguous == []
    assert any("T02:" in fix.timestamp and fix.timestamp.endswith("+01:00") for fix in fixes)


def test_every_kind_of_sending_occurs():
    kinds = [sending.kind for sending in itertools.islice(planned_requests(1, 0, START), 1000)]
    assert set(kinds) == {"fix", "duplicate", "late", "burst", "broken", "across"}
    assert "across" not in {sending.kind for sending in itertools.islice(planned_requests(1, 2, START), 1000)}


def test_a_text_across_a_border_is_another_instant_in_the_zone_of_its_position():
    for user in range(CROSSING):
        for fix in itertools.islice(walk(1, user, START), 100):
            across = fix_across_border(fix)
            if across is None:
                assert "T" in fix.timestamp
                continue
            local = datetime.fromisoformat(across.timestamp).replace(
                tzinfo=ZoneInfo(tzfpy.get_tz(across.long, across.lat))
            )
            assert (across.timestamp, across.instant_ns // 1000) == (
                fix.timestamp,
                round(local.timestamp() * 1_000_000),
            )
            assert abs(across.instant_ns - fix.instant_ns) == 3600 * 10**9


def test_every_break_is_one():
    fix = next(walk(1, 0, START))
    bodies = {broken_record(fix, number)[0] for number in range(17)}
    assert len(bodies) == 17
    assert msgspec.json.encode(fix.record()) not in bodies
