"""Rules reject with every reason, in the feed's order, the same at any time."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.payloads import FEEDS, FIX, RECEIVED_NS, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.load import load_feed
from tidemill.model.time import NS_PER_S, parse_instant
from tidemill.rules.apply import CheckedBatch, apply_rules
from tidemill.rules.summary import summarise

TELEMETRY = Decoder(FEEDS["telemetry"])
DROPZONE = Decoder(FEEDS["dropzone"])
HOUR = 3600


def point(age_s: float, *tags: str) -> bytes:
    octets = list(struct.pack("<f", 1.5))
    return json.dumps({"time": RECEIVED_NS / NS_PER_S - age_s, "value": octets, "tags": tags}).encode()


def telemetry(*bodies: bytes) -> CheckedBatch:
    payloads = [logged(seq, body, "telemetry") for seq, body in enumerate(bodies)]
    return apply_rules(FEEDS["telemetry"], TELEMETRY.decode_batch(payloads))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (point(0), None),
        (point(HOUR), None),
        (point(HOUR + 1), ["too_old"]),
        (point(0, "system"), ["internal"]),
        (point(0, "x", "suspect"), ["suspect"]),
        (point(0, "suspect", "system"), ["internal", "suspect"]),
        (point(2 * HOUR, "suspect", "system"), ["too_old", "internal", "suspect"]),
        (point(-10 * HOUR, "System", "suspects"), None),
    ],
)
def test_telemetry_rejects_what_is_not_to_be_trusted(body: bytes, expected: list[str] | None) -> None:
    checked = telemetry(body)
    assert checked.rejections["reasons"].to_list() == ([] if expected is None else [expected])
    assert checked.frame.height == (expected is None)


def test_faults_of_decoding_and_of_rules_are_in_one_ledger() -> None:
    checked = telemetry(point(0), b"{}", point(2 * HOUR), b"nonsense")
    found = checked.rejections.sort("seq").select("seq", "time", "reasons").rows()
    assert found == [
        (1, None, ["missing"]),
        (2, RECEIVED_NS - 2 * HOUR * NS_PER_S, ["too_old"]),
        (3, None, ["invalid_json"]),
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "2017-01-01T18:05:12Z"),
        ({"timestamp": "2017-01-01T13:05:12+01:00", "lat": "x"}, "2017-01-01T12:05:12Z"),
        ({"lat": None}, None),
        ({"lat": 91}, None),
        ({"timestamp": "2017-03-12 02:30:00"}, None),
        ({"timestamp": "soon"}, None),
    ],
)
def test_a_record_that_broke_the_contract_has_the_time_that_it_tells(
    changes: dict[str, object], expected: str | None
) -> None:
    body = json.dumps({**json.loads(FIX), "speed": "fast", **changes}).encode()
    batch = Decoder(FEEDS["location"]).decode_batch([logged(1, FIX), logged(2, body), logged(3, b"{")])
    found = apply_rules(FEEDS["location"], batch).rejections.select("seq", "idx", "time").rows()
    assert found == [(2, 0, parse_instant(expected) if expected else None), (3, 0, None)]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(-7200, 7200), st.lists(st.sampled_from(["system", "suspect", "x"]))), max_size=12)
)
def test_a_record_is_judged_alone(records: list[tuple[int, list[str]]]) -> None:
    bodies = [point(age, *tags) for age, tags in records]
    together = telemetry(*bodies).rejections.sort("seq").select("seq", "reasons").rows()
    alone = [(seq, row) for seq, body in enumerate(bodies) for row in telemetry(body).rejections["reasons"].to_list()]
    assert together == alone


def test_the_other_checks() -> None:
    feed = load_feed(
        """name = "p"
[time]
path = "$.t"
format = "unix_s"
[tags.site]
path = "$.site"
required = false
[fields.v]
path = "$.v"
required = false
[labels]
path = "$.labels"
[[rules]]
check = "max_future"
options = { max_future = "1m" }
[[rules]]
check = "range"
options = { field = "v", min = -1, max = 1 }
[[rules]]
check = "range"
reason = "negative"
options = { field = "v", min = 0 }
[[rules]]
check = "one_of"
options = { tag = "site", values = ["a", "b"] }
[[rules]]
check = "label_present"
options = { label = "ok" }
"""
    )
    now = RECEIVED_NS // NS_PER_S
    bodies = [
        {"t": now + 60, "v": 1, "site": "a", "labels": ["ok"]},
        {"t": now + 61, "v": -2, "site": "c", "labels": []},
        {"t": now, "labels": ["ok"]},
        {"t": now, "v": -0.5, "labels": ["ok"]},
        {"t": now, "v": 0},
    ]
    payloads = [logged(seq, json.dumps(body).encode(), "p") for seq, body in enumerate(bodies)]
    checked = apply_rules(feed, Decoder(feed).decode_batch(payloads))
    assert checked.rejections.sort("seq").select("seq", "reasons").rows() == [
        (1, ["in_future", "outside_range", "negative", "not_allowed", "label_absent"]),
        (3, ["negative"]),
        (4, ["label_absent"]),
    ]


def summary(numbers: list[float]) -> CheckedBatch:
    body = json.dumps({"time_stamp": "2019-05-01T06:00:00-04:00", "data": numbers}).encode()
    return apply_rules(FEEDS["dropzone"], DROPZONE.decode_batch([logged(1, body, "dropzone")]))


def figures(numbers: list[float]) -> tuple[float, float | None, float, float]:
    return summary(numbers).frame.select("f.mean", "f.stddev", "f.stddev_pop", "f.count").row(0)


def test_summary_of_a_textbook_sample() -> None:
    mean, stddev, stddev_pop, count = figures([2, 4, 4, 4, 5, 5, 7, 9])
    assert (mean, stddev_pop, count) == (5, 2, 8)
    assert stddev == pytest.approx(math.sqrt(32 / 7), rel=1e-15)


def test_one_number_has_no_sample_deviation() -> None:
    assert figures([0.25]) == (0.25, None, 0.0, 1.0)


def test_a_large_mean_costs_no_digits() -> None:
    # NIST StRD univariate, NumAcc4: 10000000.2, then alternating .1 and .3; mean 10000000.2, deviation 0.1 exactly.
    numbers = [10_000_000.2, *[10_000_000.1, 10_000_000.3] * 500]
    mean, stddev, _, count = figures(numbers)
    assert mean == 10_000_000.2
    assert stddev == pytest.approx(0.1, rel=1e-8)
    assert count == 1001


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1e308, 1e308], (1e308, 0.0, 0.0, 2.0)),
        ([1e200, 3e200], (2e200, math.sqrt(2) * 1e200, 1e200, 2.0)),
        ([-1e308, 1e308], (0.0, math.sqrt(2) * 1e308, 1e308, 2.0)),
    ],
)
def test_figures_that_a_double_can_hold_are_given(numbers: list[float], expected: tuple[float, ...]) -> None:
    assert figures(numbers) == pytest.approx(expected, rel=1e-14)


def test_figures_that_no_double_can_hold_are_rejected() -> None:
    checked = summary([-1.7e308, 1.7e308])
    assert checked.frame.is_empty()
    assert checked.rejections["reasons"].to_list() == [["not_finite"]]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_summary_agrees_with_numpy(numbers: list[float]) -> None:
    values = np.array(numbers)
    mean, stddev, stddev_pop, count = figures(numbers)
    assert count == len(numbers)
    assert mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-9)
    assert stddev_pop == pytest.approx(values.std(), rel=1e-9, abs=1e-6)
    assert (stddev is None) == (len(numbers) == 1)
    assert summarise(numbers)[0] == pytest.approx(mean, rel=1e-12, abs=1e-9)
