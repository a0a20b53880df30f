"""Times that are counted from the first record of a list, and records that name their field."""

import json
import struct
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.payloads import logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.model.time import MAX_NS, NS_PER_S, format_instant, parse_instant
from tidemill.rules.time import resolve_stamps, resolve_times

BEGIN = "2026-01-01T00:00:00Z"


def feed(time: str, source: str = "", members: str = 'fields.v = { path = "$.v", required = false }') -> Feed:
    return load_feed(f'name = "f"\ninput.on_fault = "reject"\n{source}\ntime = {{ path = "$.t", {time} }}\n{members}')


def times(given: Feed, body: Any, format: str = "json") -> list[str | None]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    batch = Decoder(given).decode_batch([logged(1, sent, "f", format)])
    assert batch.rejections.is_empty(), batch.rejections.rows()
    frame = resolve_times(given, batch.frame).sort("idx")
    return [None if time is None else format_instant(time) for time in frame["time"]]


def faults(given: Feed, body: Any) -> list[tuple[str, str]]:
    return [(fault.path, fault.code) for fault in Decoder(given).check_payload(json.dumps(body).encode(), "json", 0)]


def test_record_n_is_n_steps_later_and_needs_no_time() -> None:
    given = feed('step = "15m"')
    expected = ["2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"]
    assert times(given, [{"t": BEGIN, "v": 1}, {"v": 2}, {"v": None, "t": "x"}]) == expected
    assert times(given, b'{"t": "2026-01-01T00:00:00Z", "v": 1}\n{"v": 2}\n\n{"v": 4}', "ndjson") == expected
    assert times(given, {"t": BEGIN, "v": 1}) == expected[:1]
    columns = feed('step = "15m"', 'input.columns = "$"')
    assert times(columns, {"t": BEGIN, "v": [1, 2, 3]}) == expected


def test_an_item_without_a_value_takes_its_time_all_the_same() -> None:
    given = feed('step = "15m"', 'input.columns = "$"', 'fields.v.path = "$.v"')
    assert times(given, {"t": BEGIN, "v": [None, 1, None, 2]}) == ["2026-01-01T00:15:00Z", "2026-01-01T00:45:00Z"]


@pytest.mark.parametrize(
    ("time", "members"),
    [
        ('step_path = "$.every"', {"every": "250ms"}),
        ('step_path = "$.every", step_unit = "ms"', {"every": 250}),
        ('step_path = "$.every", step_unit = "min"', {"every": 0.0041666666666666666666666666666666666}),
        ('rate_path = "$.every"', {"every": 4}),
    ],
)
@pytest.mark.parametrize("columns", [False, True])
def test_the_step_may_be_sent(time: str, members: dict[str, Any], columns: bool) -> None:
    given = feed(time, 'input.columns = "$"' if columns else "")
    body = {"t": BEGIN, "v": [1, 2, 3], **members} if columns else [{"t": BEGIN, "v": 1, **members}, {"v": 2}, {"v": 3}]
    assert times(given, body) == [BEGIN, "2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.5Z"]


@given(st.integers(1, 10**9), st.integers(0, 5), st.integers(1, 400))
def test_a_rate_adds_up_no_error(digits: int, decimals: int, count: int) -> None:
    rate = Fraction(digits, 10**decimals)
    text = str(digits // 10**decimals) + (f".{digits % 10**decimals:0{decimals}d}" if decimals else "")
    if rate > NS_PER_S or count * NS_PER_S / rate > 10**18:
        return
    body = f'{{"t": "{BEGIN}", "hz": {text}, "v": {[0] * count}}}'.encode()
    given = feed('rate_path = "$.hz"', 'input.columns = "$"')
    frame = Decoder(given).decode_batch([logged(1, body, "f")]).frame
    got = resolve_times(given, frame).sort("idx")["time"].to_list()
    begin = parse_instant(BEGIN)
    assert got == [begin + int(n * NS_PER_S / rate + Fraction(1, 2)) for n in range(count)]


def test_zone_shift_and_ends_of_intervals_apply_to_the_begin() -> None:
    zone = 'offset = "optional", zone = "Europe/Berlin"'
    day = times(feed(f'step = "1h", {zone}'), [{"t": "2026-10-25 00:00:00"}, *[{}] * 25])
    assert (day[0], day[-1], len(set(day))) == ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 26)
    ended = times(feed(f'step = "15m", stamp = "end", interval = "15m", {zone}'), [{"t": "2026-10-25 00:15:00"}, {}])
    assert ended == ["2026-10-24T22:00:00Z", "2026-10-24T22:15:00Z"]
    assert times(feed('step = "15m", shift.by = "-1h"'), [{"t": BEGIN}, {}])[1] == "2025-12-31T23:15:00Z"


def test_days_and_months_follow_the_calendar_of_the_zone() -> None:
    zone = 'offset = "optional", zone = "Europe/Berlin"'
    days = times(feed(f'step = "1d", {zone}'), [{"t": "2026-10-24 00:00:00"}, {}, {}])
    assert days == ["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]
    assert times(feed(f'step = "1d", {zone}'), [{"t": "2026-10-23T22:00:00Z"}, {}, {}]) == days
    months = times(feed('step = "1mo"'), [{"t": "2026-01-31T12:00:00Z"}, {}, {}])
    assert months == ["2026-01-31T12:00:00Z", "2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z"]


@pytest.mark.parametrize(
    ("time", "first", "path", "code"),
    [
        ('step = "15m"', {"v": 1}, "$[0].t", "missing"),
        ('step = "15m"', {"t": "soon"}, "$[0].t", "time_invalid"),
        ('step = "15m"', {"t": "2262-04-11T23:47:00Z"}, "$[0].t", "time_out_of_range"),
        ('step_path = "$.every"', {"t": BEGIN}, "$[0].every", "missing"),
        ('step_path = "$.every"', {"t": BEGIN, "every": 7}, "$[0].every", "wrong_type"),
        ('step_path = "$.every"', {"t": BEGIN, "every": "often"}, "$[0].every", "invalid_value"),
        ('step_path = "$.every", step_unit = "s"', {"t": BEGIN, "every": 0}, "$[0].every", "invalid_value"),
        ('step_path = "$.every", step_unit = "s"', {"t": BEGIN, "every": 1e300}, "$[0].every", "invalid_value"),
        ('rate_path = "$.every"', {"t": BEGIN, "every": -1}, "$[0].every", "invalid_value"),
        ('rate_path = "$.every"', {"t": BEGIN, "every": "3"}, "$[0].every", "wrong_type"),
    ],
)
def test_a_list_whose_times_cannot_be_known_is_at_fault_as_a_whole(
    time: str, first: dict[str, Any], path: str, code: str
) -> None:
    given = feed(time)
    body = [first, {"v": 2}, {"v": 3}]
    assert faults(given, body) == [(path, code)]
    batch = Decoder(given).decode_batch([logged(1, json.dumps(body).encode(), "f")])
    assert (batch.frame.height, batch.counts["records"].to_list()) == (0, [1])


def test_immense_exponents_cost_nothing() -> None:
    given = feed('rate_path = "$.every"')
    body = f'[{{"t": "{BEGIN}", "every": 1e-99999999}}, {{}}]'.encode()
    (fault,) = Decoder(given).check_payload(body, "json", 0)
    assert fault.code == "invalid_value"


def test_a_record_at_fault_has_the_time_of_its_step() -> None:
    given = feed('step = "15m"')
    batch = Decoder(given).decode_batch([logged(1, json.dumps([{"t": BEGIN, "v": "x"}, {"v": "y"}, {}]).encode(), "f")])
    stamps = resolve_stamps(given, batch.stamps).sort("idx")
    assert stamps["time"].to_list() == [parse_instant(BEGIN), parse_instant(BEGIN) + 900 * NS_PER_S]
    assert resolve_times(given, batch.frame)["time"].to_list() == [parse_instant(BEGIN) + 1800 * NS_PER_S]


BINARY = """
name = "f"
input = { formats = ["binary"], layout = { header_bytes = 16, record_bytes = 2 } }
time = { in = "header", at = 0, type = "uint32_be", format = "unix_s", TIME }
fields.v = { at = 0, type = "int16_be" }
"""


@pytest.mark.parametrize(
    ("time", "raw"),
    [
        ('step = "250ms"', b""),
        ('step_at = 4, step_type = "uint16_be", step_unit = "ms"', struct.pack(">H", 250)),
        ('rate_at = 4, rate_type = "float32_le"', struct.pack("<f", 4)),
        ('rate_at = 8, rate_type = "float64_be"', struct.pack(">4xd", 4)),
    ],
)
def test_a_binary_header_has_begin_and_step(time: str, raw: bytes) -> None:
    given = load_feed(BINARY.replace("TIME", time))
    body = (struct.pack(">I", parse_instant(BEGIN) // NS_PER_S) + raw).ljust(16, b"\0") + struct.pack(">3h", 1, 2, 3)
    assert times(given, body, "binary") == [BEGIN, "2026-01-01T00:00:00.25Z", "2026-01-01T00:00:00.5Z"]


def test_a_binary_step_at_fault_is_one_of_every_record() -> None:
    given = load_feed(BINARY.replace("TIME", 'rate_at = 4, rate_type = "float32_be"'))
    for rate, code in ((0.0, "out_of_range"), (float("nan"), "not_finite")):
        body = struct.pack(">If8x2h", 0, rate, 1, 2)
        found = Decoder(given).check_payload(body, "binary", 0)
        assert [(fault.path, fault.code) for fault in found] == [("$[0].rate", code), ("$[1].rate", code)]
    slow = struct.pack(">If8x12h", 0, 1e-9, *range(12))
    frame = Decoder(given).decode_batch([logged(1, slow, "f", "binary")]).frame
    resolved = resolve_times(given, frame).sort("idx")
    assert resolved["time_reason"].to_list() == [None] * 10 + ["time_out_of_range"] * 2


def test_a_sum_beyond_the_range_is_no_time() -> None:
    given = feed('step = "15m", shift.by = "3650d"')
    batch = Decoder(given).decode_batch([logged(1, json.dumps([{"t": "2252-04-13T00:00:00Z"}, *[{}] * 200]).encode())])
    reasons = resolve_times(given, batch.frame).sort("idx")
    assert set(reasons["time_reason"]) == {None, "time_out_of_range"}
    assert reasons["time"].drop_nulls().max() <= MAX_NS


LONG = 'registers = { name_path = "$.channel", value_path = "$.value" }'


def test_a_record_names_its_field() -> None:
    given = feed('format = "unix_s"', "", LONG)
    records = [
        {"t": 1, "channel": "pm10", "value": 7},
        {"t": 1, "channel": "pm25"},
        {"t": 2, "channel": "a", "value": None},
    ]
    for body, form in ((json.dumps(records), "json"), ("\n".join(map(json.dumps, records)), "ndjson")):
        batch = Decoder(given).decode_batch([logged(1, body.encode(), "f", form)])
        assert batch.registers is not None
        assert batch.registers.select("idx", "field", "value").rows() == [(0, "pm10", 7)]
        assert (batch.frame.height, batch.rejections.height) == (3, 0)
    columns = feed('format = "unix_s"', 'input.columns = "$"', LONG)
    body = json.dumps({"t": [1, 1], "channel": ["pm10", "pm25"], "value": [7, None]})
    batch = Decoder(columns).decode_batch([logged(1, body.encode(), "f")])
    assert batch.registers is not None
    assert batch.registers.select("idx", "field", "value").rows() == [(0, "pm10", 7)]


@pytest.mark.parametrize(
    ("channel", "code"),
    [(None, "wrong_type"), ("", "empty"), ("x" * 257, "too_long"), (7, "wrong_type"), ("a\n", "control_character")],
)
def test_a_name_that_names_nothing_is_a_fault(channel: Any, code: str) -> None:
    given = feed('format = "unix_s"', "", LONG)
    assert faults(given, [{"t": 1, "channel": channel, "value": 1}]) == [("$[0].channel", code)]
    assert faults(given, [{"t": 1, "value": 1}]) == [("$[0].channel", "missing")]
    assert faults(given, [{"t": 1, "channel": "a", "value": "1"}]) == [("$[0].value", "wrong_type")]


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.none() | st.floats(allow_nan=False, allow_infinity=False))))
def test_long_format_is_wide_format(pairs: list[tuple[str, float | None]]) -> None:
    long = [{"t": n, "channel": name, "value": value} for n, (name, value) in enumerate(pairs)]
    wide = [{"t": n, name: value} for n, (name, value) in enumerate(pairs) if value is not None]
    known = [n for n, (_, value) in enumerate(pairs) if value is not None]
    got = Decoder(feed('format = "unix_s"', "", LONG)).decode_batch([logged(1, json.dumps(long).encode())]).registers
    other = Decoder(feed('format = "unix_s"', "", 'registers.except_keys = ["t"]'))
    expected = other.decode_batch([logged(1, json.dumps(wide).encode())]).registers
    assert got is not None and expected is not None
    items = expected.with_columns(idx=pl.Series([known[n] for n in expected["idx"]], dtype=pl.UInt32))
    assert got.sort("idx").rows() == items.sort("idx").rows()
