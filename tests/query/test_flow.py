"""Flow is counted against one offset of store and log, so that it adds up at every moment of an application."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.query.conftest import Writer
from tests.query.support import asked, ns, queries
from tidemill.errors import InputError, LimitError
from tidemill.log.limits import LogLimits
from tidemill.log.sqlite import SqliteLog
from tidemill.model.ids import new_receipt
from tidemill.model.payload import EntryKind, Payload
from tidemill.query.flow import Flow, FlowQuery
from tidemill.query.waiting import WaitingPayloads
from tidemill.store.client import Store

BEGIN = ns("2026-03-01T10:00:00Z")
SECOND, MINUTE = 10**9, 60 * 10**9
NOW = BEGIN + 60 * MINUTE
HOUR = {"start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log", limits=LogLimits(min_free_bytes=0, min_free_ratio=0))
    yield opened
    opened.close()


class Sent:
    """Payloads in a log, some of which are applied in a store."""

    def __init__(self, log: SqliteLog, writer: Writer) -> None:
        self.log, self.writer = log, writer
        self.payloads: dict[int, Payload] = {}

    def send(self, feed: str, received_ns: int, *, tenant: str = "default", kind: EntryKind = EntryKind.DATA) -> int:
        receipt = new_receipt(received_ns)
        payload = Payload(receipt, tenant, feed, 1, received_ns, "json", b"x" * 7, b"\0" * 32, kind)
        seq = self.log.append(payload).result(10).seq
        self.payloads[seq] = payload
        return seq

    def apply(self, seq: int, accepted: int, rejected: int, version: int = 1, **facts: Any) -> None:
        payload = self.payloads[seq]
        Writer(self.writer.store, payload.tenant).payload(
            seq,
            payload.feed,
            **{
                "receipt": payload.receipt,
                "received_at": payload.received_ns,
                "bytes": 7,
                "accepted": accepted,
                "rejected": rejected,
                "version": version,
                **facts,
            },
        )


def flow(store: Store, log: SqliteLog, applied: Callable[[str], tuple[int, ...]], **given: str) -> Flow:
    query = asked(FlowQuery, **{**HOUR, **given})
    answer = queries(store, log, applied=applied).flow.flow("default", query, NOW)
    for part in (answer, *answer.feeds):
        columns, totals = part.columns, part.totals
        for name in totals.__struct_fields__:
            assert len(getattr(columns, name)) == len(answer.time)
            assert sum(getattr(columns, name)) == getattr(totals, name)
        assert totals.received == totals.accepted + totals.rejected + totals.waiting
        waiting = zip(columns.received, columns.accepted, columns.rejected, columns.waiting, strict=True)
        assert all(received == a + r + w for received, a, r, w in waiting)
    for name in answer.totals.__struct_fields__:
        assert getattr(answer.totals, name) == sum(getattr(feed.totals, name) for feed in answer.feeds)
    return answer


@pytest.mark.parametrize("seed", range(6))
def test_every_payload_counts_once_whatever_is_applied(seed: int, store: Store, writer: Writer, log: SqliteLog) -> None:
    chance, sent = random.Random(seed), Sent(log, writer)
    outcomes: dict[int, tuple[int, int]] = {}
    for _ in range(40):
        feed = chance.choice(["pumps", "meters", "other"])
        seq = sent.send(feed, BEGIN + chance.randrange(60 * MINUTE), tenant=chance.choice(["default", "default", "b"]))
        outcomes[seq] = chance.randrange(5), chance.randrange(3)
    last = max(outcomes)
    for seq in sorted(outcomes)[: chance.randrange(41)]:  # the mill is ahead of its checkpoint
        sent.apply(seq, *outcomes[seq])
        if chance.random() < 0.3:  # a replay, or a duplicate that came later
            outcomes[seq] = outcomes[seq][1], outcomes[seq][0]
            sent.apply(seq, *outcomes[seq], version=2)
    in_store = max((seq for seq in outcomes if _stored(store, seq)), default=0)
    for checkpoint in (in_store, chance.randint(0, in_store), 0, in_store):  # it also goes back
        answer = flow(store, log, lambda _, reach=checkpoint: (reach,), every="5m")
        mine = {seq: outcomes[seq] for seq, payload in sent.payloads.items() if payload.tenant == "default"}
        applied = [outcome for seq, outcome in mine.items() if seq <= checkpoint]
        assert answer.totals.payloads == len(mine)
        assert answer.totals.bytes == 7 * len(mine)
        assert answer.totals.accepted == sum(accepted for accepted, _ in applied)
        assert answer.totals.rejected == sum(rejected for _, rejected in applied)
        assert answer.totals.waiting == sum(seq > checkpoint for seq in mine)
        assert len(answer.time) == 12
    assert last == log.last_seq()


def _stored(store: Store, seq: int) -> bool:
    return any(store.rows("receipts_by_seq", tenant=tenant, seqs=[seq]) for tenant in ("default", "b"))


def test_what_waits_is_followed_as_the_mill_goes_on_and_back(writer: Writer, log: SqliteLog) -> None:
    sent, reach = Sent(log, writer), {"": 0, "a": 0, "b": 0}
    waiting = WaitingPayloads(log, lambda tenant: (max(reach[""], reach[tenant]),))

    def count(tenant: str) -> int:
        return sum(len(item.bytes) for item in waiting.read(tenant)[1].values())

    for number in range(30):
        sent.send(f"f{number % 3}", BEGIN + number, tenant="ab"[number % 2])
    assert (count("a"), count("b")) == (15, 15)
    reach["a"] = 20  # a tenant ahead of the checkpoint
    assert (count("a"), count("b")) == (5, 15)
    reach[""] = 10
    sent.send("f0", BEGIN, tenant="a", kind=EntryKind.DELETE)  # no payload
    sent.send("f0", BEGIN, tenant="a", kind=EntryKind.REFUSED)
    assert (count("a"), count("b")) == (6, 10)
    reach[""] = reach["a"] = 32
    assert (count("a"), count("b")) == (0, 0)
    reach |= {"": 10, "a": 12}  # the store lacked what it had answered for
    assert (count("a"), count("b")) == (10, 10)
    reach |= {"": 10, "a": 10}
    assert (count("a"), count("b")) == (11, 10)


def test_counts_stand_in_the_window_of_receipt(store: Store, writer: Writer, log: SqliteLog) -> None:
    sent = Sent(log, writer)
    first = sent.send("pumps", BEGIN)
    late = {"late": 2, "flagged": 1, "reasons": [{"key": "duplicate", "value": 3}, {"key": "too_old", "value": 1}]}
    sent.apply(first, 5, 4, **late)
    sent.send("pumps", BEGIN + 59 * MINUTE)
    sent.send("pumps", BEGIN - 1)  # before the range
    sent.send("pumps", BEGIN + 60 * MINUTE)  # after it
    sent.send("meters", BEGIN + 30 * MINUTE)
    answer = flow(store, log, lambda _: (first,), every="30m")
    assert answer.time == ["2026-03-01T10:00:00Z", "2026-03-01T10:30:00Z"]
    assert (answer.columns.received, answer.columns.waiting) == ([9, 2], [0, 2])
    assert answer.columns.accepted == [5, 0]
    totals = answer.totals
    assert (totals.late, totals.duplicate, totals.flagged, totals.payloads) == (2, 3, 1, 3)
    assert [feed.feed for feed in answer.feeds] == ["meters", "pumps"]
    assert [feed.lag_s for feed in answer.feeds] == [30 * 60, 3600]  # since the oldest that waits, whenever it came
    assert answer.lag_s == 3600
    only = flow(store, log, lambda _: (first,), every="1h", feed="meters")
    assert (only.totals.received, len(only.feeds)) == (1, 1)


def test_days_follow_the_calendar_of_a_zone(store: Store, writer: Writer, log: SqliteLog) -> None:
    sent = Sent(log, writer)
    for text in ("2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"):
        sent.apply(sent.send("pumps", ns(text)), 1, 0)
    days = {"start": "2026-03-28", "end": "2026-03-31", "tz": "Europe/Zurich", "every": "1d"}
    answer = flow(store, log, lambda _: (9,), **days)
    assert answer.time == ["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"]
    assert answer.columns.received == [1, 2, 1]


def test_without_a_length_there_are_at_most_240_windows(store: Store, log: SqliteLog) -> None:
    for start, every in (("2026-03-01T10:59:00Z", "1s"), ("2026-02-28T11:00:00Z", "10m"), ("2016-01-01", "1mo")):
        answer = flow(store, log, lambda _: (0,), start=start)
        assert answer.every == every
        assert len(answer.time) <= 241
    with pytest.raises(LimitError):
        flow(store, log, lambda _: (0,), start="2020-01-01", every="1s")
    with pytest.raises(InputError):
        flow(store, log, lambda _: (0,), start="2026-03-01T11:00:00Z")


def test_the_last_hour_of_each_feed_by_minute(store: Store, writer: Writer, log: SqliteLog) -> None:
    sent = Sent(log, writer)
    first = sent.send("pumps", NOW - 30 * MINUTE - SECOND)
    sent.apply(first, 3, 1)
    sent.send("pumps", NOW - SECOND)
    sent.send("meters", NOW - 90 * MINUTE)
    flows = queries(store, log, applied=lambda _: (first,)).flow.now("default", NOW)
    pumps = flows["pumps"]
    assert (pumps.per_minute, sum(pumps.minutes), pumps.minutes[29], len(pumps.minutes)) == (1, 5, 4, 60)
    assert (pumps.last_hour.received, pumps.lag_s) == (5, 1.0)
    assert (flows["meters"].last_hour.received, flows["meters"].lag_s) == (0, 90 * 60)
