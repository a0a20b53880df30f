"""What happened between two places of the log, for streams: payloads that were applied, and values that changed.

A few are given one by one, many as sums: nothing is left out without its number. A stream has reached a key of the
changes in each partition (`ChangeKeys`), whose `seq` is also the offset up to which receipts were streamed.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from tidemill.model.time import format_instant
from tidemill.query import readers
from tidemill.query.changes import ChangeEvent, ChangeKey, ChangeKeys, Changes
from tidemill.query.cursors import Seals, merge_partitions
from tidemill.query.parameters import FeedName, Parameter, QueryParameters
from tidemill.query.series import Hidden
from tidemill.store.client import Store

Topic = Literal["receipts", "changes", "polls", "health"]
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)
ROUTE: Final = "stream"
SINGLE: Final = 5  # payloads at once that are streamed one by one
FEEDS: Final = 6  # of more payloads: the feeds with the most of them have an event each, the others one together
_KEPT: Final = 32
NEWEST: Final = 3  # changes at once that are streamed whole
_KEY_PARTS: Final = 5
_COUNTS: Final = ("payloads", "bytes", "accepted", "rejected", "late", "flagged")


class StreamQuery(QueryParameters, frozen=True):
    """What is streamed."""

    topics: Annotated[
        tuple[Topic, ...],
        Parameter(
            f"What is streamed, separated by commas: {', '.join(TOPICS)}; all unless given.",
            readers.choices(*TOPICS),
            {"type": "string", "examples": ["receipts,changes"]},
        ),
    ] = TOPICS
    feed: FeedName = None


class ReceiptEvent(msgspec.Struct, frozen=True):
    """`payloads` of a feed were applied: one, or, when many come, all since the last event. `feed` null: of several
    feeds (`feeds`: how many), because there are too many for an event each. `receipt` and `received_at` are of the
    newest. Counts are of records; `reasons` counts the rejected ones by reason, `states` the payloads by state."""

    feed: str | None
    feeds: int
    payloads: int
    receipt: str
    received_at: str
    bytes: int
    accepted: int
    rejected: int
    late: int
    flagged: int
    reasons: dict[str, int]
    states: dict[str, int]


class ChangesEvent(msgspec.Struct, frozen=True):
    """`count` published values changed since the last event: the newest are `items`, oldest first, and `left_out` are
    not in this event. `GET /v1/changes` lists all."""

    count: int
    left_out: int
    items: list[ChangeEvent]


class StreamReach(msgspec.Struct, frozen=True):
    """Up to where a stream was sent: a key of changes in each partition, and the time (ns) up to which polls were."""

    keys: ChangeKeys
    polled_ns: int


class StreamQueries:
    """Reads what is streamed."""

    def __init__(self, store: Store, changes: Changes, hidden: Hidden, seals: Seals) -> None:
        self._store, self._changes, self._hidden, self._seals = store, changes, hidden, seals
        self._kept: dict[tuple[Any, ...], list[ReceiptEvent]] = {}  # the newest answers, for streams in step

    def seal_reach(self, tenant: str, reached: StreamReach) -> str:
        """What a stream has reached, as the id of an event."""
        return self._seals.seal(ROUTE, tenant, *chain(*reached.keys), reached.polled_ns, fresh=True)

    def open_reach(self, tenant: str, text: str, partitions: int) -> StreamReach:
        """What the id of an event says was reached. Raises ValueError for a text that the tenant was never given."""
        *parts, polled_ns = self._seals.open(ROUTE, tenant, text, _KEY_PARTS * partitions + 1)
        keys = [_key(parts[at : at + _KEY_PARTS]) for at in range(0, len(parts), _KEY_PARTS)]
        return StreamReach(tuple(keys), polled_ns)

    def receipts(self, tenant: str, feed: str | None, after: ChangeKeys, until: ChangeKeys) -> list[ReceiptEvent]:
        """What was applied between two places, at most SINGLE or FEEDS + 1 events."""
        bound: dict[str, Any] = {
            "tenant": tenant,
            "feed": feed or "",
            "after": [key[0] for key in after],
            "until": [key[0] for key in until],
        }
        if bound["after"] == bound["until"]:
            return []
        key = (tenant, feed, after, until)
        events = self._kept.get(key)
        if events is None:
            events = self._read_receipts(bound)
            self._kept = {**dict(list(self._kept.items())[1 - _KEPT :]), key: events}
        return events

    def _read_receipts(self, bound: dict[str, Any]) -> list[ReceiptEvent]:
        single = self._store.rows("stream_receipts", **bound, limit=SINGLE + 1)
        rows = single if len(single) <= SINGLE else self._store.rows("stream_receipts_by_feed", **bound)
        events = [_receipt_event(row, row["feed"], 1) for row in rows]
        return events if len(events) <= FEEDS + 1 or rows is single else [*events[:FEEDS], _merged(events[FEEDS:])]

    def changes(self, tenant: str, feed: str | None, after: ChangeKeys, until: ChangeKeys) -> ChangesEvent | None:
        """What changed between two places; null: nothing did."""
        rows, count = [], 0
        for first, last in zip(after, until, strict=True):
            found = self._store.rows(
                "changes_between",
                tenant=tenant,
                feed=feed or "",
                after_seq=first[0],
                after_idx=first[1],
                after_series=first[2],
                after_every_s=first[3],
                after_ns=first[4],
                until_seq=last[0],
                until_idx=last[1],
                hidden=sorted(self._hidden(tenant)),
                limit=NEWEST,
            )
            count += found[0]["n"] if found else 0
            rows.append(found[::-1])
        if not count:
            return None
        page = merge_partitions(rows, NEWEST * len(rows), lambda row: row["changed_ns"])[-NEWEST:]
        items = self._changes.events(tenant, page, until)
        return ChangesEvent(count, count - len(items), items)


def _receipt_event(row: dict[str, Any], feed: str | None, feeds: int) -> ReceiptEvent:
    return ReceiptEvent(
        feed=feed,
        feeds=feeds,
        receipt=row["receipt"],
        received_at=format_instant(row["received_ns"]),
        reasons=row["reasons"],
        states=row["states"],
        **{name: row[name] for name in _COUNTS},
    )


def _merged(events: Sequence[ReceiptEvent]) -> ReceiptEvent:
    """The events of several feeds as one."""
    newest = max(events, key=lambda event: event.received_at)
    return ReceiptEvent(
        feed=None,
        feeds=len(events),
        receipt=newest.receipt,
        received_at=newest.received_at,
        reasons=_summed(event.reasons for event in events),
        states=_summed(event.states for event in events),
        **{name: sum(getattr(event, name) for event in events) for name in _COUNTS},
    )


def _summed(counts: Any) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            sums[name] = sums.get(name, 0) + count
    return sums


def _key(parts: Sequence[int]) -> ChangeKey:
    seq, idx, series, every_s, ns = parts
    return seq, idx, series, every_s, ns
