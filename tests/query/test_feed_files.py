"""Files of feeds say what their JSON answers say, in every format."""

import io
from typing import Any

import msgspec
import polars as pl
import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, document, queries, whole
from tests.query.test_feeds import DROPZONE, LOCATION, MINUTE, TELEMETRY, points, rollups, rows, summary
from tidemill.errors import InputError
from tidemill.feeds.definition import Rollup, Tag
from tidemill.query.feeds import FeedPointsQuery, RollupsQuery
from tidemill.query.rows import RowsQuery
from tidemill.store.client import Store

KINDS = ["ndjson", "csv", "arrow", "parquet"]
READERS = {"ndjson": pl.read_ndjson, "csv": pl.read_csv, "arrow": pl.read_ipc_stream, "parquet": pl.read_parquet}


def records(body: bytes, kind: str, time: str = "time") -> list[dict[str, Any]]:
    """The rows of a file, with times as texts and empty texts as null."""
    table = READERS[kind](io.BytesIO(body))
    if kind in ("arrow", "parquet"):
        assert table.schema[time] == pl.Datetime("ns", "UTC")
        digits = pl.col(time).dt.to_string("%Y-%m-%dT%H:%M:%S%.9f").str.strip_chars_end("0").str.strip_chars_end(".")
        table = table.with_columns(digits + "Z")
    return table.to_dicts()


def by_value(point: dict[str, Any]) -> Any:
    return point["time"], point["value"]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_same_in_every_format(store: Store, writer: Writer, kind: str) -> None:
    tagged = msgspec.structs.replace(DROPZONE, tags={"site": Tag(path="$.site"), "line": Tag(path="$.line")})
    for n in range(7):
        writer.payload(n + 1, "dropzone")
        tags = {"site": f'the "{n % 2}", first'} | ({"line": "a"} if n % 3 else {})
        summary(writer, START + n * SECOND // 2, (n / 3, None if n == 2 else 0.5, 0.25, float(n)), seq=n + 1, tags=tags)
    for given in ({}, {"order": "desc"}, {"end": "2026-01-01T00:00:02Z"}):
        query = asked(RowsQuery, tagged, format=kind, **given)
        page = queries(store).rows.read_rows("default", tagged, query)
        assert page.next is None
        assert records(whole(page), kind) == rows(store, tagged, **given)
    nothing = queries(store).rows.read_rows("default", tagged, asked(RowsQuery, format=kind, end="2020-01-01"))
    assert b"stddev_pop" in whole(nothing) or kind == "ndjson"


@pytest.mark.parametrize("kind", KINDS)
def test_rollups_are_the_same_in_every_format(store: Store, writer: Writer, kind: str) -> None:
    aggregates = ("mean", "min", "max", "sum", "count")
    feed = msgspec.structs.replace(LOCATION, rollups=Rollup(every="1m", aggregates=aggregates))
    for user in ("a1", "b2"):
        for place, field in enumerate(("lat", "long", "accuracy", "speed")):
            key = writer.series("location", field, {"user_id": user})
            for n in range(place, 4):
                writer.rollup(key, START + n * MINUTE, n + place / 8, n + 1)
    for given in ({}, {"order": "desc"}, {"user_id": "b2"}):
        query = asked(RollupsQuery, feed, format=kind, **given)
        found = records(whole(queries(store).feeds.rollups("default", feed, query)), kind, "minute")
        assert found == rollups(store, feed, **given)
        assert list(found[0]) == list(rollups(store, feed, **given)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_points_of_a_feed_are_the_same_in_every_format(store: Store, writer: Writer, kind: str) -> None:
    first, second = writer.series("telemetry", "value"), writer.series("telemetry", "value", {"name": "b"})
    for number, key in enumerate((first, second)):
        at = [START + n * SECOND for n in range(5)]
        values = [None if n == 3 else n + number / 2 for n in range(5)]
        writer.points(key, at, values, ordinals=[n + 1 for n in range(5)], marks=["stuck"] if number else [])
    page = queries(store).feeds.points("default", TELEMETRY, asked(FeedPointsQuery, format=kind))
    found = records(whole(page), kind)
    assert [row["series"] for row in found] == sorted([first, second] * 4)
    plain = [{name: row[name] for name in ("time", "value")} for row in found]
    assert sorted(plain, key=by_value) == sorted(points(store, TELEMETRY), key=by_value)
    good = queries(store).feeds.points("default", TELEMETRY, asked(FeedPointsQuery, format=kind, quality="good"))
    assert {row["series"] for row in records(whole(good), kind)} == {first}


def test_what_is_about_pages_is_refused_for_a_file(store: Store, writer: Writer) -> None:
    asking = queries(store)
    for call in (
        lambda: asking.feeds.points("default", TELEMETRY, asked(FeedPointsQuery, format="csv", limit="5")),
        lambda: asking.rows.read_rows("default", DROPZONE, asked(RowsQuery, format="parquet", limit="5")),
        lambda: asking.feeds.rollups("default", LOCATION, asked(RollupsQuery, format="arrow", evidence="true")),
    ):
        with pytest.raises(InputError, match="this file is whole"):
            call()
    assert document(asking.feeds.points("default", TELEMETRY, asked(FeedPointsQuery, limit="5"))) == []
