"""Receipts and payload bytes: from the store once applied, from the log before, and to nobody else."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from tests.query.conftest import Writer
from tests.query.support import queries
from tidemill.errors import NotFoundError, StoreUnavailableError
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.model.payload import Payload
from tidemill.store.client import Store, StoreAddress

HOSTILE = b"<script>\x00\xff\xfe alert(1)\r\n</script>'; DROP TABLE points"
NOWHERE = StoreAddress("127.0.0.1", 9, password="x")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log", limits=LogLimits(min_free_bytes=0, min_free_ratio=0))
    opened.append(
        Payload("r-log", "default", "dropzone", 2, 1_767_225_600_000_000_001, "json", HOSTILE, sha256(HOSTILE).digest())
    ).result(10)
    yield opened
    opened.close()


def test_an_applied_receipt_adds_up(store: Store, writer: Writer) -> None:
    reasons = [[{"key": "too_old", "value": 2}]]
    kind = pl.List(pl.Struct({"key": pl.String, "value": pl.UInt32}))
    receipt = writer.payload(7, "telemetry", b"[]", accepted=3, rejected=2, reasons=pl.Series(reasons, dtype=kind))
    found = queries(store).receipts.receipt("default", receipt)
    assert (found.id, found.feed, found.state, found.bytes, found.rules_version) == ("r7", "telemetry", "applied", 2, 3)
    assert (found.accepted, found.rejected, found.reasons) == (3, 2, {"too_old": 2})
    assert found.sha256 == sha256(b"[]").hexdigest()
    assert found.received_at == "2026-01-02T03:04:05.000000007Z"
    assert found.links.payload == "/v1/receipts/r7/payload"


def test_the_newest_outcome_counts(store: Store, writer: Writer) -> None:
    writer.payload(7, "location", accepted=1, rejected=0, version=1)
    writer.payload(7, "location", accepted=0, rejected=1, version=9)
    found = queries(store).receipts.receipt("default", "r7")
    assert (found.accepted, found.rejected) == (0, 1)


def test_before_it_is_applied_the_log_answers(store: Store, log: SqliteLog) -> None:
    found = queries(store, log).receipts.receipt("default", "r-log")
    assert (found.state, found.accepted, found.rejected, found.reasons) == ("stored", None, None, {})
    assert found.received_at == "2026-01-01T00:00:00.000000001Z"
    assert found.bytes == len(HOSTILE)


def test_bytes_come_back_as_they_came(store: Store, writer: Writer, log: SqliteLog) -> None:
    writer.payload(8, "dropzone", HOSTILE)
    for receipt in ("r8", "r-log"):
        found = queries(store, log).receipts.payload("default", receipt)
        assert (found.body, found.sha256, found.media_type) == (
            HOSTILE,
            sha256(HOSTILE).hexdigest(),
            "application/json",
        )


def test_while_the_store_is_down_the_log_still_answers(log: SqliteLog) -> None:
    found = queries(Store(NOWHERE), log)
    assert found.receipts.receipt("default", "r-log").state == "stored"
    assert found.receipts.payload("default", "r-log").body == HOSTILE
    with pytest.raises(StoreUnavailableError):
        found.receipts.receipt("default", "r-other")


def test_unknown_and_anothers_receipts_look_alike(store: Store, writer: Writer, log: SqliteLog) -> None:
    writer.payload(7, "dropzone")
    messages = set()
    for tenant, receipt in (("elsewhere", "r7"), ("elsewhere", "r-log"), ("default", "r-none"), ("default", "'")):
        for call in (queries(store, log).receipts.receipt, queries(store, log).receipts.payload):
            with pytest.raises(NotFoundError) as caught:
                call(tenant, receipt)
            messages.add(str(caught.value).replace(f"'{receipt}'", ""))
    assert len(messages) == 1
