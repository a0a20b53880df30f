"""The stages alone: what intake took is never refused again, whatever the settings are by now."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from tests.support.payloads import FIX, logged
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.decode.decoder import DEEPEST, Decoder
from tidemill.errors import StartupError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.recipes import RECIPES
from tidemill.mill.stages import TransformedBatch, TransformPipeline
from tidemill.mill.status import MillStatus
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.model.time import parse_instant
from tidemill.settings import Settings, load_settings

DROPZONE = {"time_stamp": "2019-05-01T06:00:00-04:00", "data": [1]}
POINT = {"time": 1_700_000_000, "value": [0, 0, 128, 63], "tags": []}


@pytest.fixture
def book(tmp_path: Path) -> FeedBook:
    texts = CatalogFeeds(SqliteCatalog(tmp_path / "catalog.sqlite"))
    texts.install("default", RECIPES)
    return FeedBook(texts, {})


def nested(record: Mapping[str, object], depth: int) -> bytes:
    """A record that is so deep, itself counted."""
    return json.dumps(record).encode()[:-1] + b', "more": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def mill(book: FeedBook, feed: str, body: bytes, max_depth: int) -> TransformedBatch:
    return TransformPipeline(book, MillStatus(), max_depth).transform("default", feed, 1, [logged(1, body, feed)])


def test_what_intake_judged_is_not_judged_again(book: FeedBook) -> None:
    body = nested(DROPZONE, DEEPEST)
    assert Decoder(book.current("default", "dropzone"), max_depth=DEEPEST).check_payload(body, "json", 0) == ()
    assert mill(book, "dropzone", body, max_depth=2).rejections.is_empty()


def test_the_limit_holds_where_the_mill_judges(book: FeedBook) -> None:
    assert mill(book, "telemetry", nested(POINT, 20), max_depth=20).rejections.is_empty()
    found = mill(book, "telemetry", nested(POINT, 21), max_depth=20).rejections
    assert found["reasons"].to_list() == [["too_deep"]]


def test_no_setting_is_deeper_than_the_readers_can_go(book: FeedBook) -> None:
    assert load_settings({"max_depth": DEEPEST}, {}).max_depth == DEEPEST
    with pytest.raises(StartupError, match="max_depth"):
        load_settings({"max_depth": DEEPEST + 1}, {})
    assert Settings().max_depth <= DEEPEST
    body = nested(DROPZONE, DEEPEST).replace(b"[]", b"[NaN]")
    faults = Decoder(book.current("default", "dropzone"), max_depth=DEEPEST).check_payload(body, "json", 0)
    assert [fault.code for fault in faults] == ["not_finite"]


def refused(book: FeedBook, feed: str, body: bytes) -> list[tuple[int, int | None]]:
    """Index and time of the ledger rows of a payload that intake refused."""
    entry = logged(1, body, feed)
    faults = Decoder(book.current("default", feed)).check_payload(body, "json", entry.payload.received_ns)
    assert faults
    payload = msgspec.structs.replace(entry.payload, kind=EntryKind.REFUSED, faults=faults)
    return TransformPipeline(book, MillStatus()).refused(LogEntry(1, payload)).select("idx", "time").rows()


def test_refused_records_keep_the_time_that_they_tell(book: FeedBook) -> None:
    ten = parse_instant("2019-05-01T10:00:00Z")
    empty = {**DROPZONE, "data": []}
    assert refused(book, "dropzone", json.dumps(empty).encode()) == [(0, ten)]
    body = json.dumps([{"data": []}, empty, DROPZONE]).encode()
    assert refused(book, "dropzone", body) == [(0, None), (1, ten), (2, ten)]
    evening = parse_instant("2017-01-01T18:05:12Z")
    assert refused(book, "location", FIX.replace(b"1.4", b"null")) == [(0, evening)]
    assert refused(book, "location", FIX + b"x") == [(0, None)]
    assert refused(book, "signals", b'{"values": ["x"], "start": "2017-01-01T00:00:00Z"}') == [(0, None)]
