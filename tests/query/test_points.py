"""Raw pages of a series and windows over it, against the real engine."""

import io
import json
import typing
from statistics import median, stdev

import polars as pl
import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, document, ns, queries, whole
from tidemill.errors import InputError, LimitError
from tidemill.query.nearest import MAX_WINDOWS
from tidemill.query.points import FLAGS, Point
from tidemill.query.points_query import PointsQuery
from tidemill.rules.time import FOLD_EARLIER, FOLD_LATER, GAP_SHIFTED, SHIFTED
from tidemill.store.client import Store
from tidemill.store.queries import query

HOUR = 3600 * SECOND
# By elapsed time, and one of the days has 23 hours.
ROUGHLY_2, ROUGHLY_3 = (pytest.approx(value, abs=0.02) for value in (2.0, 3.0))


def points(store: Store, series: str, **given: str) -> dict[str, object]:
    found: dict[str, object] = document(
        queries(store).points.read_points("default", series, asked(PointsQuery, **given))
    )
    return found


def items(store: Store, series: str, **given: str) -> list[tuple[object, ...]]:
    found = points(store, series, **given)["items"]
    assert isinstance(found, list)
    return [bare(item) for item in found]


def bare(item: dict[str, object]) -> tuple[object, ...]:
    """The members of an item but its flags and marks."""
    return tuple(value for name, value in item.items() if name not in ("flags", "marks"))


@pytest.fixture
def ten(writer: Writer) -> str:
    """Ten points a second apart, the fifth of them missing, one of them replaced."""
    key = writer.series("signals", "value")
    writer.points(key, [START + n * SECOND for n in range(10)], [None if n == 4 else float(n) for n in range(10)])
    writer.points(key, [START + 2 * SECOND], [20.0], seq=2)
    return key


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 9, 10, 11])
def test_pages_join_to_the_whole(store: Store, ten: str, order: str, limit: int) -> None:
    expected = [(f"2026-01-01T00:00:0{n}Z", None if n == 4 else 20.0 if n == 2 else float(n)) for n in range(10)]
    seen: list[tuple[object, ...]] = []
    cursor: dict[str, str] = {}
    while True:
        page = points(store, ten, order=order, limit=str(limit), **cursor)
        found = [bare(item) for item in page["items"]]  # type: ignore[attr-defined]
        assert 1 <= len(found) <= limit
        seen += found
        if page["next"] is None:
            break
        cursor = {"cursor": str(page["next"])}
    assert seen == (expected if order == "asc" else expected[::-1])


def test_points_that_share_an_instant_are_paged_by_their_order(store: Store, writer: Writer) -> None:
    key = writer.series("telemetry", "value")
    writer.points(key, [START] * 5, [0.0, 1.0, 2.0, 3.0, 4.0], ordinals=[10, 11, 12, 13, 14])
    first = points(store, key, limit="2")
    second = points(store, key, limit="2", cursor=str(first["next"]))
    third = points(store, key, limit="2", cursor=str(second["next"]))
    values = [item["value"] for page in (first, second, third) for item in page["items"]]  # type: ignore[attr-defined]
    assert values == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert third["next"] is None


def test_bounds_are_start_included_end_excluded(store: Store, ten: str) -> None:
    found = items(store, ten, start="2026-01-01T01:00:03+01:00", end="1767225606", unit="s")
    assert [value for _, value in found] == [3.0, None, 5.0]
    assert items(store, ten, start="2026-01-01T00:00:03Z", end="2026-01-01T00:00:03Z") == []


def test_the_first_and_the_last_instant_of_the_range_can_be_asked_for(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    writer.points(key, [-2_208_988_800 * SECOND, 2**63 - 1], [1.0, 2.0])
    assert items(store, key) == [("1900-01-01T00:00:00Z", 1.0), ("2262-04-11T23:47:16.854775807Z", 2.0)]


def test_times_in_a_zone_carry_its_offset(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    at = ["2026-03-29T00:59:59.5Z", "2026-03-29T01:00:00Z"]
    writer.points(key, [ns(text) for text in at], [1.0, 2.0])
    found = [time for time, _ in items(store, key, tz="Europe/Zurich")]
    assert found == ["2026-03-29T01:59:59.5+01:00", "2026-03-29T03:00:00+02:00"]
    assert [time for time, _ in items(store, key, tz="America/St_Johns")][1] == "2026-03-28T22:30:00-02:30"


@pytest.mark.parametrize("kind", ["ndjson", "csv", "arrow", "parquet"])
def test_formats_of_pages_and_windows(store: Store, ten: str, kind: str) -> None:
    for given in ({"limit": "2"}, {"every": "1s", "limit": "2", "agg": "sum"}):
        page = queries(store).points.read_points("default", ten, asked(PointsQuery, format=kind, **given))
        body, name = whole(page), "sum" if "every" in given else "value"
        assert page.next is not None
        if kind == "ndjson":
            rows = [json.loads(line) for line in body.splitlines()]
        elif kind == "csv":
            rows = pl.read_csv(body).to_dicts()
        else:
            frame = pl.read_ipc_stream(io.BytesIO(body)) if kind == "arrow" else pl.read_parquet(io.BytesIO(body))
            assert frame.schema["time"] == pl.Datetime("ns", "UTC")
            assert frame["time"].dt.epoch("ns").to_list() == [START, START + SECOND]
            rows = frame.to_dicts()
        assert [row[name] for row in rows] == [0.0, 1.0]


def test_csv_is_quoted_in_one_way(store: Store, ten: str) -> None:
    """Texts and names in quotes, numbers without, null empty; whether the store writes it or this process."""
    wanted = {"format": "csv", "limit": "2"}
    raw = whole(queries(store).points.read_points("default", ten, asked(PointsQuery, **wanted)))
    assert raw.splitlines()[0] == b'"time","value","flags","marks"'
    assert raw.splitlines()[1].startswith(b'"2026-') and b',0,""' in raw
    windows = asked(PointsQuery, **wanted, every="1s", agg="mean,count,stddev")
    lines = whole(queries(store).points.read_points("default", ten, windows)).splitlines()
    assert lines[0] == b'"time","mean","count","stddev"'
    assert lines[1] == raw.splitlines()[1].split(b",")[0] + b",0.0,1,"


def test_aggregates_without_windows_are_of_the_whole_range(store: Store, ten: str) -> None:
    whole_range = points(store, ten, agg="max,count,missing,p50")
    assert whole_range["every"] is None
    assert whole_range["items"] == [{"time": "2026-01-01T00:00:00Z", "max": 20.0, "count": 9, "missing": 1, "p50": 6.0}]
    later = {"start": "2026-01-01T00:00:05Z", "end": "2026-01-01T00:00:07Z"}
    assert items(store, ten, agg="mean,count", **later) == [("2026-01-01T00:00:05Z", 5.5, 2)]
    nothing = {"start": "2027-01-01", "end": "2027-01-02"}
    assert items(store, ten, agg="mean,count", **nothing) == [("2027-01-01T00:00:00Z", None, 0)]
    assert items(store, ten, agg="mean,count", fill="value:0", **nothing) == [("2027-01-01T00:00:00Z", 0.0, 0)]
    with pytest.raises(InputError, match="'fill' is about windows") as refused:
        queries(store).points.read_points("default", ten, asked(PointsQuery, fill="null"))
    assert [(fault.path, fault.code) for fault in refused.value.faults] == [("$query.fill", "needs_every")]


def test_flags_are_words_in_the_formats_that_are_read(store: Store, writer: Writer) -> None:
    assert [1 << bit for bit in range(len(FLAGS))] == [FOLD_EARLIER, FOLD_LATER, GAP_SHIFTED, SHIFTED]
    assert typing.get_args(typing.get_args(typing.get_type_hints(Point)["flags"])[0]) == FLAGS
    key = writer.series("signals", "value")
    writer.points(key, [START + n for n in range(5)], [1.0] * 5, flags=[0, FOLD_EARLIER, FOLD_LATER, GAP_SHIFTED, 5])
    expected = [[], ["fold_earlier"], ["fold_later"], ["gap_shifted"], ["fold_earlier", "gap_shifted"]]
    for zone in ("UTC", "Europe/Zurich"):
        found = points(store, key, tz=zone)["items"]
        assert [item["flags"] for item in found] == expected  # type: ignore[attr-defined]
    lines = whole(queries(store).points.read_points("default", key, asked(PointsQuery, format="ndjson"))).splitlines()
    assert [json.loads(line)["flags"] for line in lines] == expected
    table = pl.read_csv(whole(queries(store).points.read_points("default", key, asked(PointsQuery, format="csv"))))
    assert table.columns == ["time", "value", "flags", "marks"]
    assert table["flags"].fill_null("").to_list() == [" ".join(words) for words in expected]
    windows_of_it = points(store, key, every="1s")["items"]
    assert [set(window) for window in windows_of_it] == [{"time", "mean"}]  # type: ignore[attr-defined]


def test_points_are_filtered_by_what_rules_flagged(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    for n, marks in enumerate([[], ["spike"], ["spike", "stuck"], []]):
        writer.points(key, [START + n * SECOND], [float(n)], marks=marks)
    shown = points(store, key)["items"]
    assert [item["marks"] for item in shown] == [[], ["spike"], ["spike", "stuck"], []]  # type: ignore[attr-defined]
    assert [value for _, value in items(store, key, quality="good")] == [0.0, 3.0]
    assert [value for _, value in items(store, key, marked="spike", order="desc")] == [2.0, 1.0]
    assert items(store, key, marked="' OR 1=1") == []
    first = points(store, key, quality="good", limit="1")
    assert [value for _, value in items(store, key, quality="good", cursor=str(first["next"]))] == [3.0]
    for given, mean in (({"quality": "good"}, 1.5), ({"marked": "stuck"}, 2.0), ({}, 1.5)):
        assert [value for _, value in items(store, key, every="1m", **given)] == [mean]
    body = whole(queries(store).points.read_points("default", key, asked(PointsQuery, format="csv", marked="stuck")))
    assert body.splitlines()[1] == b'"2026-01-01T00:00:02Z",2,"","spike stuck"'
    body = whole(queries(store).points.read_points("default", key, asked(PointsQuery, format="arrow", quality="good")))
    assert pl.read_ipc_stream(io.BytesIO(body))["value"].to_list() == [0.0, 3.0]
    with pytest.raises(InputError, match="both good and marked"):
        points(store, key, quality="good", marked="spike")


def test_every_aggregate_of_a_window(store: Store, ten: str) -> None:
    names = "mean,min,max,sum,count,first,last,stddev,median"
    found = points(store, ten, every="5s", agg=names, limit="1")
    values = [0.0, 1.0, 20.0, 3.0]
    assert found["items"] == [
        {
            "time": "2026-01-01T00:00:00Z",
            "mean": 6.0,
            "min": 0.0,
            "max": 20.0,
            "sum": 24.0,
            "count": 4,
            "first": 0.0,
            "last": 3.0,
            "stddev": pytest.approx(stdev(values), rel=1e-12),
            "median": median(values),
        }
    ]
    assert (found["every"], found["tz"]) == ("5s", "UTC")


def test_a_window_with_one_point_has_no_deviation_and_a_sum_too_large_is_null(store: Store, writer: Writer) -> None:
    key = writer.series("signals", "value")
    writer.points(key, [START, START + HOUR, START + HOUR + 1], [1.0, 1.7e308, 1.7e308])
    found = items(store, key, every="1h", agg="stddev,sum,count")
    assert found == [("2026-01-01T00:00:00Z", None, 1.0, 1), ("2026-01-01T01:00:00Z", 0.0, None, 2)]


def test_days_of_a_clock_change_have_23_and_25_hours(store: Store, writer: Writer) -> None:
    key = writer.series("meters", "x")
    for first in ("2026-03-28T23:00:00Z", "2026-10-24T22:00:00Z"):
        writer.points(key, [ns(first) + n * HOUR for n in range(26)], [1.0] * 26)
    found = items(store, key, every="1d", agg="count", tz="Europe/Zurich")
    assert found == [
        ("2026-03-29T00:00:00+01:00", 23),
        ("2026-03-30T00:00:00+02:00", 3),
        ("2026-10-25T00:00:00+02:00", 25),
        ("2026-10-26T00:00:00+01:00", 1),
    ]


@pytest.mark.parametrize(
    ("every", "zone", "expected"),
    [
        ("1w", "Europe/Zurich", "2026-10-19T00:00:00+02:00"),
        ("1mo", "Europe/Zurich", "2026-10-01T00:00:00+02:00"),
        ("3mo", "UTC", "2026-10-01T00:00:00Z"),
        ("1y", "America/New_York", "2026-01-01T00:00:00-05:00"),
        ("6h", "Asia/Kolkata", "2026-10-25T06:00:00+05:30"),
        ("1h", "Asia/Kolkata", "2026-10-25T06:00:00+05:30"),
        ("15m", "UTC", "2026-10-25T01:15:00Z"),
        ("100ms", "UTC", "2026-10-25T01:15:22.1Z"),
        ("7ns", "UTC", "2026-10-25T01:15:22.12345678Z"),
    ],
)
def test_where_windows_start(store: Store, writer: Writer, every: str, zone: str, expected: str) -> None:
    key = writer.series("meters", "x")
    writer.points(key, [ns("2026-10-25T01:15:22.123456785Z")], [1.0])
    start = items(store, key, every=every, tz=zone, agg="count")[0][0]
    if every != "7ns":
        assert start == expected
    else:
        assert ns(str(start)) % 7 == 0


@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich"])
@pytest.mark.parametrize("year", ["1935", "1969", "2106", "2250"])
def test_windows_work_over_the_whole_range_of_time(store: Store, writer: Writer, year: str, zone: str) -> None:
    key = writer.series("meters", "x")
    writer.points(key, [ns(f"{year}-06-15T10:17:00.5Z")], [1.0])
    for every in ("15m", "6h", "1mo"):
        start = ns(str(items(store, key, every=every, tz=zone)[0][0]))
        assert 0 <= ns(f"{year}-06-15T10:17:00.5Z") - start < 31 * 86400 * SECOND
    assert ns(str(items(store, key, every="1s", tz=zone)[0][0])) == ns(f"{year}-06-15T10:17:00Z")


@pytest.fixture
def gappy(writer: Writer) -> str:
    key = writer.series("meters", "x")
    writer.points(key, [ns(f"2026-03-{day}T12:00:00Z") for day in (28, 31)], [1.0, 4.0])
    return key


@pytest.mark.parametrize(
    ("fill", "expected"), [("null", [None, None]), ("previous", [1.0, 1.0]), ("linear", [ROUGHLY_2, ROUGHLY_3])]
)
def test_fill(store: Store, gappy: str, fill: str, expected: list[object]) -> None:
    found = items(store, gappy, every="1d", tz="Europe/Zurich", fill=fill, agg="mean,count")
    assert [time for time, *_ in found] == [
        "2026-03-28T00:00:00+01:00",
        "2026-03-29T00:00:00+01:00",
        "2026-03-30T00:00:00+02:00",
        "2026-03-31T00:00:00+02:00",
    ]
    assert [value for _, value, _ in found] == [1.0, *expected, 4.0]
    assert [count for *_, count in found] == [1, 0, 0, 1]


def test_fill_covers_the_range_and_pages_do_not_change_it(store: Store, gappy: str) -> None:
    given = {"every": "12h", "fill": "previous", "start": "2026-03-27", "end": "2026-04-02"}
    everything = items(store, gappy, **given)
    assert len(everything) == 12
    assert everything[0] == ("2026-03-27T00:00:00Z", None)
    assert everything[-1] == ("2026-04-01T12:00:00Z", 4.0)
    seen, cursor = [], {}
    while True:
        page = points(store, gappy, limit="5", **given, **cursor)
        seen += [tuple(item.values()) for item in page["items"]]  # type: ignore[attr-defined]
        if page["next"] is None:
            break
        cursor = {"cursor": str(page["next"])}
    assert seen == everything


def test_fill_of_nothing(store: Store, gappy: str) -> None:
    span = {"start": "2025-01-01T00:00:00Z", "end": "2025-01-01T03:00:00Z"}
    assert [value for _, value in items(store, gappy, every="1h", fill="null", **span)] == [None] * 3
    assert items(store, gappy, every="1h", fill="null", end="2025-01-01") == []


def test_windows_without_fill_are_paged(store: Store, ten: str) -> None:
    first = points(store, ten, every="2s", agg="count", limit="3")
    rest = points(store, ten, every="2s", agg="count", limit="3", cursor=str(first["next"]))
    counts = [item["count"] for page in (first, rest) for item in page["items"]]  # type: ignore[attr-defined]
    assert counts == [2, 2, 1, 2, 2]
    assert rest["next"] is None


def test_too_many_windows_to_fill(store: Store, ten: str) -> None:
    with pytest.raises(LimitError, match=str(MAX_WINDOWS)):
        items(store, ten, every="1ns", fill="null")


def test_combinations_that_make_no_sense(store: Store, ten: str) -> None:
    with pytest.raises(InputError) as caught:
        points(store, ten, fill="null")
    assert [fault.path for fault in caught.value.faults] == ["$query.fill"]
    with pytest.raises(InputError) as caught:
        points(store, ten, every="1s", order="desc")
    assert [fault.path for fault in caught.value.faults] == ["$query.order"]


def test_final_agrees_with_argmax(store: Store, writer: Writer) -> None:
    """What FINAL leaves is the row with the highest version of each key, gravestones left out."""
    for first_wins, feed in ((False, "last"), (True, "first")):
        key = writer.series(feed, "value")
        for seq in (5, 1, 9, 3, 7):
            at = [START + n * SECOND for n in range(seq, 40, seq)]
            writer.points(key, at, [float(seq)] * len(at), seq=seq, first_wins=first_wins)
        one = {
            "argmax": query(
                "argmax",
                "SELECT toUnixTimestamp64Nano(time) AS ns, argMax(value, version) AS value FROM points "
                "WHERE tenant = 'default' AND series = {series:UInt64} GROUP BY time, ordinal ORDER BY time, ordinal",
            )
        }
        expected = Store(store.address, queries=one).frame("argmax", series=int(key, 16))
        found = store.frame(
            "series_arrays", tenant="default", series=int(key, 16), deleted_seq=0, first=0, last=2**63 - 1, limit=1000
        )
        assert sorted(found.rows()) == expected.rows()
        winners = {START + 35 * SECOND: 1.0 if first_wins else 7.0}
        assert {at: value for at, value in found.rows() if at in winners} == winners
