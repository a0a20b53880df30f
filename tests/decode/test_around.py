"""What is around an object of arrays, and around lists whose times are counted from their begin."""

import json
from typing import Any

import pytest

from tests.support.payloads import logged
from tidemill.decode.decoder import Decoder
from tidemill.errors import InputError
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.model.time import format_instant
from tidemill.rules.time import resolve_times

HOURLY = """
name = "f"
input = { columns = "$.now.hourly", on_fault = "reject" }
time = { path = "$.time", offset = "optional", zone_path = "$^^.zone" }
tags.site = { path = "$^.site" }
tags.place = { path = "$^^.place.name", required = false }
fields.v.path = "$.v"
"""
CURVES = """
name = "f"
input = { records = "$[*].values", on_fault = "reject" }
time = { path = "$^.begin", step_path = "$^.minutes", step_unit = "min" }
tags.meter.path = "$^.meter"
fields.kwh.path = "$"
"""


def rows(feed: Feed, document: Any, *members: str) -> list[tuple[Any, ...]]:
    batch = Decoder(feed).decode_batch([logged(1, json.dumps(document).encode(), "f", "json")])
    assert batch.rejections.is_empty(), batch.rejections.rows()
    frame = resolve_times(feed, batch.frame).join(batch.identities, on="identity").sort("idx")
    tags = [" ".join(f"{tag['key']}={tag['value']}" for tag in row) for row in frame["tags"].to_list()]
    times = [format_instant(time) for time in frame["time"]]
    return list(zip(times, tags, *(frame[name].to_list() for name in members), strict=True))


def faults(feed: Feed, document: Any) -> list[tuple[str, str]]:
    body = json.dumps(document).encode()
    return [(fault.path, fault.code) for fault in Decoder(feed).check_payload(body, "json", 0)]


def hourly(**changes: Any) -> dict[str, Any]:
    arrays = {"time": ["2026-01-01T00:00", "2026-01-01T01:00"], "v": [1, 2]} | changes.pop("arrays", {})
    inner = {"site": "s", "hourly": arrays} | changes.pop("inner", {})
    return {"zone": "Europe/Zurich", "place": {"name": "p"}, "now": inner} | changes


def test_what_is_around_columns_holds_for_each_record() -> None:
    feed = load_feed(HOURLY)
    expected = [("2025-12-31T23:00:00Z", "place=p site=s", 1.0), ("2026-01-01T00:00:00Z", "place=p site=s", 2.0)]
    assert rows(feed, hourly(), "f.v") == expected
    record_by_record = hourly(arrays={"time": ["2026-01-01 00:00", "2026-01-01T01:00"]})
    assert [row[2] for row in rows(feed, record_by_record, "f.v")] == [1.0, 2.0]
    assert rows(feed, hourly(place=None), "f.v")[0][1] == "site=s"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (hourly(inner={"site": 5}), [("$.now.site", "wrong_type")]),
        (hourly(inner={"site": ""}), [("$.now.site", "empty")]),
        (hourly(place={"name": 7}), [("$.place.name", "wrong_type")]),
        (hourly(inner={"hourly": []}), [("$.now.hourly", "wrong_type")]),
        (hourly(arrays={"v": [1]}), [("$.now.hourly.v", "unequal_length")]),
        (hourly(arrays={"v": [1, "x"]}), [("$.now.hourly.v[1]", "wrong_type")]),
    ],
)
def test_faults_around_columns_name_their_place(document: Any, expected: list[tuple[str, str]]) -> None:
    assert faults(load_feed(HOURLY), document) == expected


def test_each_group_has_a_begin_and_a_step_of_its_own() -> None:
    feed = load_feed(CURVES)
    sent = [
        {"meter": "a", "begin": "2026-01-01T00:00:00Z", "minutes": 15, "values": [1, 2, 3]},
        {"meter": "b", "begin": "2026-02-01T00:00:00Z", "minutes": 60, "values": [4, 5]},
        {"meter": "c", "values": []},
        {"meter": "d", "begin": "2026-03-01T00:00:00Z", "minutes": 1, "values": [6]},
    ]
    assert rows(feed, sent, "f.kwh") == [
        ("2026-01-01T00:00:00Z", "meter=a", 1.0),
        ("2026-01-01T00:15:00Z", "meter=a", 2.0),
        ("2026-01-01T00:30:00Z", "meter=a", 3.0),
        ("2026-02-01T00:00:00Z", "meter=b", 4.0),
        ("2026-02-01T01:00:00Z", "meter=b", 5.0),
        ("2026-03-01T00:00:00Z", "meter=d", 6.0),
    ]


def test_a_list_whose_begin_cannot_be_read_costs_no_other_list() -> None:
    feed = load_feed(CURVES)
    good = {"meter": "a", "begin": "2026-01-01T00:00:00Z", "minutes": 15, "values": [1, 2]}
    sent = [good, good | {"meter": "b", "begin": "soon"}, good | {"meter": "c", "minutes": 0}, good | {"meter": "d"}]
    batch = Decoder(feed).decode_batch([logged(1, json.dumps(sent).encode(), "f", "json")])
    assert batch.frame.sort("idx")["idx"].to_list() == [0, 1, 6, 7]
    assert batch.rejections.sort("idx").select("idx", "reasons").rows() == [
        (2, ["time_invalid"]),
        (3, ["time_invalid"]),
        (4, ["invalid_value"]),
        (5, ["invalid_value"]),
    ]
    assert "$[1].begin" in batch.rejections.filter(idx=3)["detail"][0]
    assert batch.counts["records"].to_list() == [8]
    assert batch.stamps is None or batch.stamps.is_empty()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"begin": "soon"}, ("$[1].begin", "time_invalid")),
        ({"begin": None}, ("$[1].begin", "wrong_type")),
        ({"minutes": 0}, ("$[1].minutes", "invalid_value")),
    ],
)
def test_a_begin_that_cannot_be_read_is_named(change: dict[str, Any], expected: tuple[str, str]) -> None:
    good = {"meter": "a", "begin": "2026-01-01T00:00:00Z", "minutes": 15, "values": [1, 2]}
    assert faults(load_feed(CURVES), [good, good | change]) == [expected]


def test_the_begin_of_columns_can_be_around_them() -> None:
    feed = load_feed("""
        name = "f"
        input = { columns = "$.data", on_fault = "reject" }
        time = { path = "$^.start", format = "unix_s", rate_path = "$^.hz" }
        fields.v.path = "$.v"
    """)
    sent = {"start": 1767225600, "hz": 4, "data": {"v": [1, 2, 3]}}
    assert [row[0] for row in rows(feed, sent)] == [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.25Z",
        "2026-01-01T00:00:00.5Z",
    ]
    assert faults(feed, {"start": 1767225600, "data": {"v": [1]}}) == [("$.hz", "missing")]


UNITS = """
name = "f"
input = { columns = "$.h", on_fault = "reject", not_exact = "flag" }
time = { path = "$.t", format = "unix_s" }
fields.v = { path = "$.v", unit = "kWh", unit_path = "$^.u.v", exponent_path = "$.power", required = true }
labels.path = "$^.labels"
"""


def units(**changes: Any) -> dict[str, Any]:
    arrays = {"t": [1, 2, 3], "v": [1, None, 3], "power": 3} | changes.pop("arrays", {})
    return {"u": {"v": "Wh"}, "labels": ["a"], "h": arrays} | changes


def test_factors_say_how_values_are_read_and_are_no_values_themselves() -> None:
    feed = load_feed(UNITS)
    assert [row[1:] for row in rows(feed, units(), "f.v", "idx")] == [("", 1.0, 0), ("", 3.0, 2)]
    each = rows(feed, units(arrays={"power": [3, 0, 4]}), "f.v", "idx")
    assert [row[1:] for row in each] == [("", 1.0, 0), ("", 30.0, 2)]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (units(u={"v": "gal"}), ("$.u.v", "unknown_unit")),
        (units(u={}), ("$.u.v", "missing")),
        (units(u={"v": 5}), ("$.u.v", "wrong_type")),
        (units(labels=["a" * 1000] * 1000, arrays={"t": [1] * 70, "v": [1] * 70}), ("$", "too_many_records")),
        (units(labels=["a" * 1000] * 1000, arrays={"t": [1] * 70, "v": [True] * 70}), ("$", "too_many_records")),
    ],
)
def test_the_faults_of_units_around_columns(document: Any, expected: tuple[str, str]) -> None:
    assert set(faults(load_feed(UNITS), document)) == {expected}


@pytest.mark.parametrize(
    ("definition", "body", "place"),
    [
        (HOURLY, b'{"zone": "UTC", "now": {"site": "a", "site": "b", "hourly": {"time": [], "v": []}}}', "$.now.site"),
        (CURVES, b'[{"meter": "a", "begin": "2026-01-01", "begin": 7, "minutes": 1, "values": [1]}]', "$[0].begin"),
        (
            CURVES.replace("$[*].values", "$.values").replace("$^.meter", "$.m").replace('path = "$"', 'path = "$.v"'),
            b'{"begin": "2026-01-01", "begin": 7, "minutes": 1, "values": [{"m": "a", "v": 1}]}',
            "$.begin",
        ),
    ],
)
def test_a_member_that_is_there_twice_is_read_by_nobody(definition: str, body: bytes, place: str) -> None:
    decoder = Decoder(load_feed(definition))
    assert [(fault.path, fault.code) for fault in decoder.check_payload(body, "json", 0)] == [(place, "duplicate_key")]
    assert decoder.decode_batch([logged(1, body, "f", "json")]).rejections["reasons"].to_list() == [["duplicate_key"]]


@pytest.mark.parametrize(
    ("definition", "key"),
    [
        (HOURLY.replace("$.now.hourly", "$.days[*]"), "input.columns"),
        (HOURLY.replace('v.path = "$.v"', 'v.path = "$[1]"'), "fields.v.path"),
        (HOURLY.replace("$^^.zone", "$^^^.zone"), "time.zone_path"),
    ],
)
def test_paths_that_can_never_match_are_refused(definition: str, key: str) -> None:
    with pytest.raises(InputError) as refused:
        load_feed(definition)
    assert [(fault.path.rpartition(": ")[2], fault.code) for fault in refused.value.faults] == [(key, "bad_path")]
