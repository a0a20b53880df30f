"""The list of receipts: newest first, by pages that join, from the store and from what waits in the log."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.query.conftest import Writer
from tests.query.support import asked, queries
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.model.ids import new_receipt, receipt_floor
from tidemill.model.payload import EntryKind, Payload
from tidemill.model.time import format_instant, parse_instant
from tidemill.query.receipt_list import ReceiptPage, ReceiptsQuery
from tidemill.store.client import Store

START = parse_instant("2026-02-01T00:00:00Z")
MINUTE = 60 * 10**9


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log", limits=LogLimits(min_free_bytes=0, min_free_ratio=0))
    yield opened
    opened.close()


def listed(store: Store, log: SqliteLog, **given: str) -> ReceiptPage:
    return queries(store, log).receipt_list.list_receipts("default", asked(ReceiptsQuery, **given))


def pages(store: Store, log: SqliteLog, **given: str) -> list[tuple[str, str]]:
    found, cursor = list[tuple[str, str]](), ""
    while True:
        page = listed(store, log, **given, **({"cursor": cursor} if cursor else {}))
        found += [(item.id, item.state) for item in page.items]
        if page.next is None:
            return found
        assert len(page.items) == int(given["limit"])
        cursor = page.next


@pytest.fixture
def many(writer: Writer) -> list[tuple[str, str, str, int]]:
    """Forty payloads a minute apart, each in one to three versions: (id, feed, current state, received) of each."""
    known = []
    for number in range(40):
        received = START + number * MINUTE
        receipt, feed = f"{receipt_floor(received)}-7000", ("dropzone", "meters")[number % 2]
        state = ("applied", "refused", "poison", "deleted")[number // 10]
        facts = {"receipt": receipt, "received_at": pl_time(received)}
        if number % 3 == 0:
            for version in range(1, 1 + number % 2 + 1):
                writer.payload(number + 1, feed, **facts, state="applied", version=version)
        writer.payload(number + 1, feed, **facts, state=state, version=9)
        known.append((receipt, feed, state, received))
    writer.payload(99, "dropzone", receipt=f"{receipt_floor(START)}-7999", format="deletion")
    return known[::-1]


def pl_time(at: int) -> Any:
    return pl.Series([at], dtype=pl.Int64).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_join_to_the_whole_and_filters_choose(
    store: Store, log: SqliteLog, many: list[tuple[str, str, str, int]], limit: int
) -> None:
    text = str(limit)
    assert pages(store, log, limit=text) == [(id_, state) for id_, _, state, _ in many]
    assert pages(store, log, limit=text, state="applied") == [(i, s) for i, _, s, _ in many if s == "applied"]
    assert pages(store, log, limit=text, feed="meters", state="deleted") == [
        (i, s) for i, feed, s, _ in many if s == "deleted" and feed == "meters"
    ]
    start, end = START + 5 * MINUTE, START + 17 * MINUTE
    given = {"start": format_instant(start), "end": format_instant(end)}
    assert pages(store, log, limit=text, **given) == [(i, s) for i, _, s, at in many if start <= at < end]


def test_what_waits_in_the_log_is_listed_until_the_store_has_it(
    store: Store, writer: Writer, log: SqliteLog, many: list[tuple[str, str, str, int]]
) -> None:
    waiting = []
    for number in range(4):
        received = START + (100 + number) * MINUTE
        receipt = new_receipt(received)
        kind = EntryKind.DELETE if number == 2 else EntryKind.DATA
        tenant = "other" if number == 3 else "default"
        digest = sha256(b"{}").digest()
        log.append(Payload(receipt, tenant, "meters", 1, received, "json", b"{}", digest, kind=kind)).result(10)
        waiting.append(receipt)
    first, second = waiting[:2]
    assert pages(store, log, limit="3")[:3] == [(second, "stored"), (first, "stored"), (many[0][0], "deleted")]
    assert pages(store, log, limit="3", state="stored") == [(second, "stored"), (first, "stored")]
    assert pages(store, log, limit="3", feed="dropzone", state="stored") == []
    writer.payload(200, "meters", receipt=second, received_at=pl_time(START + 101 * MINUTE))
    assert pages(store, log, limit="3")[:2] == [(second, "applied"), (first, "stored")]
    assert pages(store, log, limit="3", state="stored") == [(first, "stored")]
    assert not listed(store, log).partial
