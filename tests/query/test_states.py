"""The tag of an answer about a closed range: the same while the answer is, another one whenever it may differ."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.query.conftest import Writer
from tests.query.support import SECOND, START, asked, queries, whole
from tests.query.test_feeds import LOCATION, MINUTE, TELEMETRY
from tests.query.test_many_points import NOW
from tidemill.query.feeds import FeedPointsQuery, RollupsQuery
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.points_query import PointsQuery
from tidemill.store.client import Store

RANGE = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}


def read(store: Store, key: str, known: tuple[str, ...] = (), **given: str) -> dict[str, Any]:
    """The pages of each way to read the points of a series of telemetry in RANGE."""
    asking, windows = queries(store), {"every": "10s", **RANGE, **given}
    return {
        "raw": asking.points.read_points("default", key, asked(PointsQuery, **RANGE, **given), known),
        "windows": asking.points.read_points("default", key, asked(PointsQuery, **windows), known),
        "many": asking.many_points.read_many("default", asked(ManyPointsQuery, series=key, **windows), NOW, known),
        "feed": asking.feeds.points("default", TELEMETRY, asked(FeedPointsQuery, **RANGE, **given), known),
    }


def contents(pages: dict[str, Any]) -> dict[str, bytes]:
    """What pages say, but for how long that took."""
    return {name: re.sub(rb'"took_ms":[0-9.]+', b"", whole(page)) for name, page in pages.items()}


@pytest.fixture
def key(writer: Writer) -> str:
    key = writer.series("telemetry", "value")
    writer.points(key, [START + n * SECOND for n in range(60)], [float(n) for n in range(60)], seq=5)
    return key


def test_an_answer_is_not_sent_again_while_nothing_changes(store: Store, key: str) -> None:
    first = read(store, key)
    tags = tuple(page.etag for page in first.values())
    assert len(set(tags)) == 4, "each question has its own"
    assert all(whole(page) and not page.unchanged for page in first.values())
    again = read(store, key, tags)
    assert all(page.unchanged and whole(page) == b"" for page in again.values())
    assert not any(page.unchanged for page in read(store, key, tags, format="csv").values())


CHANGES: dict[str, Callable[[Writer, str], None]] = {
    "late": lambda writer, key: writer.points(key, [START + SECOND // 2], [3.0], seq=6),
    "replaced": lambda writer, key: writer.points(key, [START + 7 * SECOND], [3.0], seq=6),
    "replaced by the same": lambda writer, key: writer.points(key, [START + 7 * SECOND], [7.0], seq=6),
    "flagged": lambda writer, key: writer.points(key, [START + 7 * SECOND], [7.0], seq=5, marks=["stuck"]),
    "missing": lambda writer, key: writer.points(key, [START + 7 * SECOND], [None], seq=6),
    "deleted": lambda writer, key: _deleted(writer, 5),
    "described": lambda writer, key: _deleted(writer, 0),
}


def _deleted(writer: Writer, seq: int) -> None:
    writer.series("telemetry", "value", deleted_seq=seq, version=2, unit="" if seq else "K")


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_an_answer_changes_its_tag(store: Store, writer: Writer, key: str, change: str) -> None:
    first = read(store, key)
    tags, before = tuple(page.etag for page in first.values()), contents(first)
    CHANGES[change](writer, key)
    changed, after = read(store, key, tags), contents(read(store, key))
    assert all(before[name] == after[name] for name, page in changed.items() if page.unchanged)
    assert not (changed["windows"].unchanged and before["windows"] != after["windows"])
    if change not in ("described", "replaced by the same"):
        assert not changed["raw"].unchanged


def test_an_answer_that_follows_from_more_than_the_range_has_no_tag(store: Store, key: str) -> None:
    asking = queries(store)
    for given in ({"start": RANGE["start"]}, {**RANGE, "agg": "increase", "every": "1m"}):
        assert asking.points.read_points("default", key, asked(PointsQuery, **given)).etag is None
    evidence = asked(ManyPointsQuery, series=key, every="10s", evidence="true", **RANGE)
    assert asking.many_points.read_many("default", evidence, NOW).etag is None


def test_rollups_have_the_tag_of_their_windows(store: Store, writer: Writer) -> None:
    key = writer.series("location", "lat", {"user_id": "a1"})
    writer.rollup(key, START, 5.0, 2)
    asking = queries(store)

    def page(*known: str) -> Any:
        return asking.feeds.rollups("default", LOCATION, asked(RollupsQuery, **RANGE), known)

    tag = page().etag
    assert page(tag).unchanged
    writer.rollup(key, START + MINUTE, 5.0, 2)
    assert page(tag).unchanged, "outside of the range"
    writer.rollup(key, START, 5.0, 3, version=2)
    assert not page(tag).unchanged
