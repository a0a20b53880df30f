"""Points and series of records that passed."""

import json

import polars as pl

from tests.support.payloads import FEEDS, FIX, RECEIVED_NS, logged
from tidemill.decode.decoder import Decoder
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.model.ids import series_id
from tidemill.model.payload import LogEntry, point_version
from tidemill.rules.apply import apply_rules
from tidemill.rules.shape import POINTS, SERIES, Shaped, shape_points


def shaped(feed: Feed, *payloads: LogEntry) -> Shaped:
    batch = Decoder(feed).decode_batch(payloads)
    return shape_points(feed, "default", apply_rules(feed, batch), batch)


def test_a_fix_becomes_a_point_for_each_field() -> None:
    found = shaped(FEEDS["location"], logged(7, FIX))
    rows = {row["field"]: row for row in found.points.rows(named=True)}
    assert {field: row["value"] for field, row in rows.items()} == {
        "lat": 40.701, "long": -73.916, "accuracy": 11.3, "speed": 1.4
    }  # fmt: skip
    lat = rows["lat"]
    assert lat["series"] == series_id("default", "location", {"user_id": "a1"}, "lat")
    assert (lat["version"], lat["ordinal"], lat["seq"], lat["idx"]) == (point_version(7, 0, first_wins=True), 0, 7, 0)
    assert (lat["anchor"], lat["flags"], lat["received_ns"]) == (True, 0, RECEIVED_NS)
    assert [row["anchor"] for row in rows.values()].count(True) == 1
    assert found.points.schema == pl.Schema(POINTS)


def test_series_are_named_once_with_unit_and_tags() -> None:
    found = shaped(FEEDS["location"], logged(1, FIX), logged(2, FIX), logged(3, FIX.replace(b"a1", b"b2")))
    assert found.series.height == found.series["series"].n_unique() == 8
    speed = found.series.filter(field="speed").sort("name").rows(named=True)[0]
    assert (speed["name"], speed["unit"], speed["feed"]) == ("a1/speed", "m/s", "location")
    assert speed["tags"] == [{"key": "user_id", "value": "a1"}]
    assert found.series.schema == pl.Schema(SERIES)


def test_registers_become_fields_of_their_own_series() -> None:
    base = {"measurement": "energy", "timestamp": "2023-02-01T00:00:00Z", "tags": {"muid": "m1"}}
    body = json.dumps({"data": [{**base, "r1": 1.5, "r2": 2}, {**base, "timestamp": "2023-02-01T00:15:00Z", "r2": 3}]})
    found = shaped(FEEDS["meters"], logged(1, body.encode(), "meters"))
    points = found.points.select("idx", "field", "value", "anchor").sort("idx", "field").rows()
    assert points == [(0, "r1", 1.5, True), (0, "r2", 2.0, False), (1, "r2", 3.0, True)]
    assert found.series.select("field", "unit").sort("field").rows() == [("r1", "kWh"), ("r2", "kWh")]


def test_points_carry_the_attributes_of_their_record() -> None:
    base = {"measurement": "energy", "timestamp": "2023-02-01T00:00:00Z", "r1": 1, "r2": 2}
    tags = [{"muid": "m1", "quality": "estimated"}, {"muid": "m1", "quality": "measured"}, {"muid": "m1"}]
    body = json.dumps({"data": [{**base, "tags": one} for one in tags]})
    found = shaped(FEEDS["meters"], logged(1, body.encode(), "meters"))
    assert found.series.height == 2, "quality is no part of the identity"
    of = {(idx, field): pairs for idx, field, pairs in found.points.select("idx", "field", "attributes").rows()}
    for field in ("r1", "r2"):
        assert of[0, field] == [{"key": "quality", "value": "estimated"}]
        assert of[1, field] == [{"key": "quality", "value": "measured"}]
        assert of[2, field] == []


def test_attributes_of_plain_fields_are_sorted_and_shared() -> None:
    feed = load_feed(
        """
name = "plant"
time.path = "$.at"
tags.site.path = "$.site"
attributes.quality.path = "$.quality"
attributes.method = { path = "$.how.method", required = true }
fields.power.path = "$.power"
fields.heat = { path = "$.heat", required = false }
"""
    )
    body = b'{"at": "2026-01-01T00:00:00Z", "site": "a", "quality": "q", "how": {"method": "x"}, "power": 1, "heat": 2}'
    points = shaped(feed, logged(1, body, "plant")).points
    pairs = [{"key": "method", "value": "x"}, {"key": "quality", "value": "q"}]
    assert points.select("field", "attributes").rows() == [("power", pairs), ("heat", pairs)]


def test_samples_become_points_of_one_series() -> None:
    body = json.dumps(
        {"name": "pump", "unit": "g", "start": "2026-01-01T00:00:00Z", "interval": "1ms", "values": [1, None]}
    )
    payload = logged(5, body.encode(), "signals")
    found = shaped(FEEDS["signals"], payload)
    assert found.points["value"].to_list() == [1.0, None]
    assert found.points["version"].to_list() == [
        point_version(5, 0, first_wins=False),
        point_version(5, 1, first_wins=False),
    ]
    row = found.series.row(0, named=True)
    assert (found.series.height, row["name"], row["unit"], row["field"]) == (1, "pump", "g", "value")
    assert row["series"] == Decoder(FEEDS["signals"]).samples_head(payload.payload).series


def test_a_batch_without_records_has_every_column() -> None:
    for name, feed in FEEDS.items():
        found = shaped(feed, logged(1, b"!", name))
        assert (found.points.height, found.series.height) == (0, 0)
        assert found.points.schema == pl.Schema(POINTS)
        assert found.series.schema == pl.Schema(SERIES)
