"""Feeds in their own shapes: points, summary rows with lineage, rollups, meter data; against the real engine."""

import msgspec
import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, document, ns, queries
from tidemill.errors import InputError, NotFoundError
from tidemill.feeds.definition import Feed, Rollup, Tag
from tidemill.feeds.load import load_feed
from tidemill.feeds.recipes import RECIPES
from tidemill.model.ids import parse_series
from tidemill.query import meterdata
from tidemill.query.feeds import FeedPointsQuery, RollupsQuery
from tidemill.query.rows import RowLineageQuery, RowsQuery
from tidemill.store.client import Store

FEEDS = {name: load_feed(text, source=name, environment={}) for name, text in RECIPES.items()}
DROPZONE, LOCATION, TELEMETRY = FEEDS["dropzone"], FEEDS["location"], FEEDS["telemetry"]
MINUTE = 60 * SECOND


def summary(writer: Writer, at: int, values: tuple[float | None, ...], *, seq: int, tags: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    for field, value in zip(("mean", "stddev", "stddev_pop", "count"), values, strict=True):
        key = writer.series("dropzone", field, tags)
        writer.points(key, [at], [value], seq=seq)


def rows(store: Store, feed: Feed = DROPZONE, **given: str):  # type: ignore[no-untyped-def]
    return document(queries(store).rows.read_rows("default", feed, asked(RowsQuery, feed, **given)))


def test_rows_have_exactly_the_contracts_members(store: Store, writer: Writer) -> None:
    writer.payload(1, "dropzone")
    writer.payload(2, "dropzone")
    summary(writer, ns("2019-05-01T10:00:00Z"), (1.5, 0.5, 0.25, 2.0), seq=1)
    summary(writer, ns("2019-05-01T10:00:00.25Z"), (3.0, None, 0.0, 1.0), seq=2)
    assert rows(store) == [
        {"time": "2019-05-01T10:00:00Z", "mean": 1.5, "stddev": 0.5, "stddev_pop": 0.25, "count": 2, "receipt": "r1"},
        {
            "time": "2019-05-01T10:00:00.25Z",
            "mean": 3.0,
            "stddev": None,
            "stddev_pop": 0.0,
            "count": 1,
            "receipt": "r2",
        },
    ]
    assert [row["count"] for row in rows(store, order="desc")] == [1, 2]
    assert [row["count"] for row in rows(store, end="2019-05-01T10:00:00.25Z")] == [2]
    assert rows(store, start="2020-01-01") == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_rows_are_paged(store: Store, writer: Writer, order: str) -> None:
    for n in range(5):
        summary(writer, START + n, (float(n), None, 0.0, 1.0), seq=n + 1)
    seen, cursor = [], {}
    while True:
        given = asked(RowsQuery, limit="2", order=order, **cursor)
        page = queries(store).rows.read_rows("default", DROPZONE, given)
        seen += [row["mean"] for row in document(page)]
        if page.next is None:
            break
        cursor = {"cursor": page.next}
    assert seen == sorted(map(float, range(5)), reverse=order == "desc")


def test_rows_of_a_feed_with_tags_carry_and_filter_them(store: Store, writer: Writer) -> None:
    tagged = msgspec.structs.replace(DROPZONE, tags={"machine": Tag(path="$.machine")})
    for seq, machine in ((1, "a"), (2, "b")):
        summary(writer, START, (float(seq), None, 0.0, 1.0), seq=seq, tags={"machine": machine})
    assert [(row["machine"], row["mean"]) for row in rows(store, tagged)] == [("a", 1.0), ("b", 2.0)]
    assert [row["mean"] for row in rows(store, tagged, machine="b")] == [2.0]
    first = queries(store).rows.read_rows("default", tagged, asked(RowsQuery, limit="1"))
    second = queries(store).rows.read_rows("default", tagged, asked(RowsQuery, limit="1", cursor=first.next or ""))
    assert [document(page)[0]["mean"] for page in (first, second)] == [1.0, 2.0]
    with pytest.raises(InputError, match="several rows"):
        queries(store).rows.lineage("default", tagged, "2026-01-01T00:00:00Z", asked(RowLineageQuery))
    one = asked(RowLineageQuery, tag__machine="b")
    assert queries(store).rows.lineage("default", tagged, "2026-01-01T00:00:00Z", one).row["mean"] == 2.0


def test_lineage_leads_to_the_bytes_the_rules_and_every_replaced_row(store: Store, writer: Writer) -> None:
    for seq, body in ((1, b"one"), (2, b"two"), (3, b"three")):
        writer.payload(seq, "dropzone", body)
    summary(writer, START, (30.0, 1.0, 0.5, 3.0), seq=3)
    for seq, by_seq in ((1, 2), (2, 3)):
        for field, value in zip(("mean", "stddev", "stddev_pop", "count"), (10.0 * seq, None, 0.0, 1.0), strict=True):
            writer.replaced(writer.series("dropzone", field), START, value, seq=seq, by_seq=by_seq)
    writer.change(writer.series("dropzone", "mean"), START, 20.0, 30.0, "replaced")
    writer.change(writer.series("location", "lat"), START, 1.0, 2.0, "replaced")
    found = queries(store).rows.lineage("default", DROPZONE, "2026-01-01T02:00:00+02:00", asked(RowLineageQuery))
    assert (found.row["mean"], found.receipt, found.index, found.rules.version) == (30.0, "r3", 0, 3)
    assert found.sha256 == "8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f"
    assert found.links is not None and found.links.payload == "/v1/receipts/r3/payload"
    assert [(old.mean, old.stddev, old.count, old.receipt, old.replaced_by) for old in found.replaced] == [
        (20.0, None, 1, "r2", "r3"),
        (10.0, None, 1, "r1", "r2"),
    ]
    assert [(change.old, change.new) for change in found.changes] == [(20.0, 30.0)]
    assert [(change.field, change.series) for change in found.changes] == [("mean", writer.series("dropzone", "mean"))]
    assert found.rules.passed == []
    for time in ("2026-01-01T00:00:01Z", "yesterday", "2026-01-01T00:00:00"):
        with pytest.raises(NotFoundError):
            queries(store).rows.lineage("default", DROPZONE, time, asked(RowLineageQuery))


def points(store: Store, feed: Feed, **given: str):  # type: ignore[no-untyped-def]
    return document(queries(store).feeds.points("default", feed, asked(FeedPointsQuery, feed, **given)))


def test_points_of_a_feed_are_exactly_time_and_value(store: Store, writer: Writer) -> None:
    key = writer.series("telemetry", "value")
    assert points(store, TELEMETRY) == []
    writer.points(key, [START, START, START + SECOND], [1.5, 2.5, None], ordinals=[1, 2, 3])
    writer.points(key, [START + 2 * SECOND], [3.5], ordinals=[4])
    expected = [
        {"time": "2026-01-01T00:00:00Z", "value": 1.5},
        {"time": "2026-01-01T00:00:00Z", "value": 2.5},
        {"time": "2026-01-01T00:00:02Z", "value": 3.5},
    ]
    assert points(store, TELEMETRY) == expected
    assert points(store, TELEMETRY, start="1767225602", unit="s") == expected[2:]
    assert points(store, TELEMETRY, end="2026-01-01T00:00:02Z") == expected[:2]


def test_points_of_a_feed_by_what_rules_flagged(store: Store, writer: Writer) -> None:
    key = writer.series("telemetry", "value")
    writer.points(key, [START], [1.5], ordinals=[1])
    for second, mark in ((1, "spike"), (2, "stuck")):
        writer.points(key, [START + second * SECOND], [float(second)], ordinals=[1 + second], marks=[mark])
    assert [point["value"] for point in points(store, TELEMETRY, quality="good")] == [1.5]
    assert [point["value"] for point in points(store, TELEMETRY, marked="stuck")] == [2.0]
    page = queries(store).feeds.points("default", TELEMETRY, asked(FeedPointsQuery, marked="spike", limit="1"))
    assert page.next is None  # points that are left out take no place on a page
    with pytest.raises(InputError, match="both good and marked"):
        points(store, TELEMETRY, quality="good", marked="spike")


def test_points_of_a_feed_with_tags_and_fields(store: Store, writer: Writer) -> None:
    for n, user in enumerate("ab"):
        writer.points(writer.series("location", "lat", {"user_id": user}), [START + n], [float(n)])
        writer.points(writer.series("location", "long", {"user_id": user}), [START + n], [9.0])
    with pytest.raises(InputError, match="field="):
        points(store, LOCATION)
    with pytest.raises(InputError, match="no field"):
        points(store, LOCATION, field="nope")
    assert [point["value"] for point in points(store, LOCATION, field="lat")] == [0.0, 1.0]
    assert [point["value"] for point in points(store, LOCATION, field="lat", user_id="b")] == [1.0]
    given = {"field": "lat", "limit": "1"}
    first = queries(store).feeds.points("default", LOCATION, asked(FeedPointsQuery, **given))
    second = queries(store).feeds.points("default", LOCATION, asked(FeedPointsQuery, **given, cursor=first.next or ""))
    assert [document(page)[0]["value"] for page in (first, second)] == [0.0, 1.0]
    assert second.next is None


def test_hidden_series_are_in_no_feed_answer(store: Store, writer: Writer) -> None:
    key = writer.series("telemetry", "value")
    writer.points(key, [START], [1.0])
    hiding = queries(store, hidden=lambda tenant: [parse_series(key)])
    assert document(hiding.feeds.points("default", TELEMETRY, asked(FeedPointsQuery))) == []


def test_a_feed_of_another_shape_says_where_its_data_is(store: Store) -> None:
    for call, where in (
        (lambda: rows(store, TELEMETRY), "/v1/feeds/telemetry/points"),
        (lambda: points(store, DROPZONE), "/v1/feeds/dropzone/rows"),
        (lambda: points(store, FEEDS["signals"]), "/v1/series\\?feed=signals"),
        (
            lambda: queries(store).feeds.rollups("default", DROPZONE, asked(RollupsQuery)),
            "/v1/feeds/dropzone/rows",
        ),
    ):
        with pytest.raises(InputError, match=where):
            call()


def rollups(store: Store, feed: Feed = LOCATION, **given: str):  # type: ignore[no-untyped-def]
    return document(queries(store).feeds.rollups("default", feed, asked(RollupsQuery, feed, **given)))


def test_rollups_have_one_row_a_minute_and_user(store: Store, writer: Writer) -> None:
    for user, offset in (("a1", 0), ("b2", 100)):
        for place, field in enumerate(("lat", "long", "accuracy", "speed")):
            key = writer.series("location", field, {"user_id": user})
            writer.rollup(key, START, offset + place, 3)
            writer.rollup(key, START, offset + place + 10.0, 4, version=2)
            writer.rollup(key, START + MINUTE, 7.0, 0)
            if (user, field) == ("a1", "lat"):
                writer.rollup(key, START + 2 * MINUTE, 5.0, 1)
    time = "2026-01-01T00:00:00Z"
    a1 = {"minute": time, "user_id": "a1", "lat": 10.0, "long": 11.0, "accuracy": 12.0, "speed": 13.0, "count": 4}
    b2 = {"minute": time, "user_id": "b2", "lat": 110.0, "long": 111.0, "accuracy": 112.0, "speed": 113.0, "count": 4}
    late = {
        "minute": "2026-01-01T00:02:00Z",
        "user_id": "a1",
        "lat": 5.0,
        "long": None,
        "accuracy": None,
        "speed": None,
    }
    assert rollups(store) == [a1, b2, {**late, "count": 1}]
    assert list(rollups(store)[0]) == list(a1)
    assert rollups(store, user_id="b2") == [b2]
    assert rollups(store, tag__user_id="b2") == [b2]
    assert rollups(store, start="2026-01-01T00:01:00Z") == [{**late, "count": 1}]
    assert rollups(store, order="desc")[0]["count"] == 1
    with pytest.raises(InputError, match="contradict"):
        rollups(store, user_id="b2", tag__user_id="a1")
    first = queries(store).feeds.rollups("default", LOCATION, asked(RollupsQuery, limit="1"))
    second = queries(store).feeds.rollups("default", LOCATION, asked(RollupsQuery, limit="1", cursor=first.next or ""))
    assert document(first) + document(second) == [a1, b2]


def test_other_aggregates_are_named_after_field_and_aggregate(store: Store, writer: Writer) -> None:
    feed = msgspec.structs.replace(
        LOCATION, rollups=Rollup(every="1m", aggregates=("mean", "min", "max", "sum", "count"))
    )
    writer.rollup(writer.series("location", "lat", {"user_id": "a1"}), START, 5.0, 2)
    row = rollups(store, feed)[0]
    assert {name: row[name] for name in ("lat", "lat_min", "lat_max", "lat_sum", "lat_count", "count")} == {
        "lat": 5.0, "lat_min": 4.0, "lat_max": 6.0, "lat_sum": 10.0, "lat_count": 2, "count": 2
    }  # fmt: skip


MUID = "0c5d4ad6-6cbf-4a52-9a43-6f0d6b1a9d11"


def measurements(store: Store, tenant: str = "default", **given: str):  # type: ignore[no-untyped-def]
    return queries(store).meterdata.measurements(tenant, asked(meterdata.MeasurementsQuery, **given)).data


def test_meter_data_has_the_shape_of_its_source(store: Store, writer: Writer) -> None:
    tags = {"measurement": "energy", "muid": MUID}
    measured = {"quality": "measured"}
    for field, value in (("0100011D00FF", 0.0123), ("0100021D00FF", 0.0)):
        series = writer.series("meters", field, tags)
        writer.points(series, [ns("2023-02-01T00:00:00Z")], [value], attributes=measured)
    writer.points(writer.series("meters", "0100011D00FF", tags), [ns("2023-02-01T00:15:00.5Z")], [1.0])
    other = {**tags, "muid": "other"}
    writer.points(writer.series("meters", "0100011D00FF", other), [ns("2023-02-01T00:00:00Z")], [2.0])
    record = {
        "measurement": "energy",
        "timestamp": "2023-02-01T00:00:00.000Z",
        "tags": {"muid": MUID, "quality": "measured"},
        "0100011D00FF": 0.0123,
        "0100021D00FF": 0.0,
    }
    asked_for = {"muid": MUID, "measurement": "energy", "start": "2023-02-01", "stop": "2023-03-01"}
    found = measurements(store, **asked_for, limit="5000", order="asc")
    assert found[::-1] == measurements(store, **asked_for), "newest first unless the request says otherwise"
    assert found[0] == record
    assert list(found[0]) == list(record)
    assert found[1]["timestamp"] == "2023-02-01T00:15:00.500Z"
    assert found[1]["tags"] == {"muid": MUID}, "a reading without quality has none"
    for change, count in (
        ({"limit": "1"}, 1),
        ({"stop": "2023-02-01T00:15:00Z"}, 1),
        ({"start": "2023-02-01T00:00:00.001Z"}, 1),
        ({"measurement": "power"}, 0),
        ({"muid": "nobody"}, 0),
        ({"stop": "2023-02-01"}, 0),
    ):
        assert len(measurements(store, **{**asked_for, **change})) == count
    assert len(measurements(store)) == 3
    assert measurements(store, "elsewhere", **asked_for) == []


def test_of_an_instant_the_newest_reading_tells_the_quality(store: Store, writer: Writer) -> None:
    tags, at = {"measurement": "energy", "muid": MUID}, [ns("2023-02-01T00:00:00Z")]
    first, second = (writer.series("meters", field, tags) for field in ("0100011D00FF", "0100021D00FF"))
    writer.points(first, at, [1.0], seq=1, attributes={"quality": "estimated"})
    writer.points(second, at, [2.0], seq=1, attributes={"quality": "estimated"})
    writer.points(second, at, [2.5], seq=3, attributes={"quality": "measured"})
    writer.points(second, at, [2.0], seq=2, attributes={"quality": "guessed"})
    assert measurements(store) == [
        {
            "measurement": "energy",
            "timestamp": "2023-02-01T00:00:00.000Z",
            "tags": {"muid": MUID, "quality": "measured"},
            "0100011D00FF": 1.0,
            "0100021D00FF": 2.5,
        }
    ]
