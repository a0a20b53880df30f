"""What intake says at once of a local time is what the mill would decide."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.payloads import FEEDS, FIX, logged
from tidemill.decode.batch import Batch
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.rules.apply import apply_rules
from tidemill.rules.refuse_times import LocalTimeCheck

FEED = FEEDS["location"]
DECODER = Decoder(FEED)
CHECK = LocalTimeCheck(FEED)
PLACES = [(40.701, -73.916), (47.37, 8.54), (-31.55, 159.08), (14.6, -90.5), (0.0, -30.0)]
near = st.sampled_from([datetime(2017, 3, 12, 2, 30), datetime(2017, 3, 26, 2, 30), datetime(2017, 10, 1, 2, 10)])


@settings(max_examples=300, deadline=None)
@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2262, 1, 1)) | near, st.sampled_from(PLACES), st.sampled_from(["", "Z"])
)
@example(datetime(2017, 3, 12, 2, 30), PLACES[0], "")
def test_a_fix_is_refused_exactly_where_the_mill_would_reject_its_time(
    moment: datetime, place: tuple[float, float], offset: str
) -> None:
    fix = {**json.loads(FIX), "timestamp": f"{moment:%Y-%m-%d %H:%M:%S}".zfill(19) + offset}
    body = json.dumps({**fix, "lat": place[0], "long": place[1]}).encode()
    rejected = apply_rules(FEED, DECODER.decode_batch([logged(1, body)])).rejections["reasons"].to_list()
    found = CHECK.faults(body, lambda: DECODER.decode_batch([logged(1, body)]))
    assert [[fault.code] for fault in found] == rejected


def test_a_usual_fix_is_not_decoded_for_it() -> None:
    def never() -> Batch:
        pytest.fail("this is for times near a change of the clock")

    assert CHECK.faults(FIX, never) == ()
    assert CHECK.faults(FIX.replace(b"13:05:12", b"13:05:12Z"), never) == ()


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(['shift = {{ by = "{by}" }}', 'stamp = "end"\ninterval = "1mo"']),
    st.sampled_from(["1d", "-7d", "9d", "-1h"]),
    st.integers(-12, 12),
    st.integers(-60 * 24, 60 * 24),
)
@example('shift = {{ by = "{by}" }}', "-7d", 7, 0)
def test_times_that_the_feed_moves_are_judged_where_they_end(more: str, by: str, days: int, minutes: int) -> None:
    """The gap of New York, 2017-03-12 02:30, seen from days away."""
    text = (
        'name = "f"\n[time]\npath = "$.t"\noffset = "optional"\nzone = "America/New_York"\n'
        + more.format(by=by)
        + '\n[fields.v]\npath = "$.v"\n'
    )
    moved = load_feed(text)
    moment = datetime(2017, 3, 12, 2, 30) + timedelta(days=days, minutes=minutes)
    body = json.dumps({"t": f"{moment:%Y-%m-%d %H:%M:%S}", "v": 1}).encode()
    decoder = Decoder(moved)
    rejected = apply_rules(moved, decoder.decode_batch([logged(1, body, "f")])).rejections["reasons"].to_list()
    found = LocalTimeCheck(moved).faults(body, lambda: decoder.decode_batch([logged(1, body, "f")]))
    assert [[fault.code] for fault in found] == rejected
