"""The records of a payload, each with its bytes, its verdict and what every rule says of it. For administrators only,
because it shows rejected records.

A payload is decoded again under the feed version that it was applied under. What became of a record is read from the
ledger, the points and the tombstones; rules that look back are answered by that outcome, because what was before the
record then may be deleted or replaced since.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import polars as pl

from tidemill.decode.decoder import DEEPEST, Decoder
from tidemill.decode.locate import ByteSpan
from tidemill.decode.spans import RecordSpans
from tidemill.errors import Fault, FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.log.contract import LogReader
from tidemill.model.ids import format_series
from tidemill.model.payload import format_name
from tidemill.model.time import format_instant
from tidemill.query.answers import AnyJson
from tidemill.query.cursors import encode_cursor
from tidemill.query.parameters import QueryParameters, limit_to, page_cursor
from tidemill.query.payload_entries import PayloadEntries, StoredPayload
from tidemill.query.receipts import Links, receipt_links, receipts_by_seq
from tidemill.query.record_texts import json_or_text
from tidemill.query.rejections import Winner
from tidemill.rules.apply import judge_records
from tidemill.rules.every_value import every_value
from tidemill.rules.fold_known import KnownTimes
from tidemill.rules.record_contents import FieldValue, RecordContents, record_contents
from tidemill.rules.record_marker import AtFault, RecordMarker
from tidemill.rules.verdicts import CONTRACT_BROKEN, FeedRules, RuleVerdict, feed_rules, record_hits
from tidemill.store.client import Store, run_parallel
from tidemill.store.record_times import record_times

State = Literal["waiting", "accepted", "flagged", "rejected", "deleted"]
MAX_POINTS: Final = 100_000  # of the records of a page
_NOT_KEPT: Final = "Not judged again, because what was before the record then is not kept."
_WAITS: Final = "Not judged yet, because the payload waits to be applied."
_UNREADABLE: Final = "The version of the feed that this payload was applied under cannot be read any more."
_NOTHING: Final = RecordContents(None, {}, {})


class PayloadRecordsQuery(QueryParameters, frozen=True):
    """A page of the records of a payload."""

    limit: Annotated[int, limit_to(1000)] = 100
    cursor: Annotated[tuple[int] | None, page_cursor(int)] = None


class RecordPoint(msgspec.Struct, frozen=True):
    """A value of a record as a point of a series. `stands`: it is the current point of its instant; else it never
    became one, was replaced, deleted, or is past retention."""

    series: str
    field: str
    time: str
    value: float | None
    stands: bool


class RecordPart(msgspec.Struct, frozen=True):
    """The bytes [start, end) of one value of a record whose values are in arrays."""

    path: str
    start: int
    end: int


class PayloadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a payload. `bytes`: [start, end) in the payload as it is kept (as received, after content decoding),
    which `/payload` answers; null where it is no one stretch of bytes. `state`: `waiting` (its payload is not applied
    yet), `accepted`, `flagged` (accepted, with `marks`), `rejected`, `deleted`. `tags` and `fields` are empty where the
    record broke the contract. `winner`: of a duplicate, the record that stays. `recovered_by`: the replay that made
    points of a rejected record after all."""

    index: int
    bytes: ByteSpan | None
    state: State
    time: str | None
    tags: dict[str, str]
    fields: dict[str, FieldValue]
    reasons: list[str]
    marks: list[str]
    detail: str
    winner: Winner | None
    recovered_by: str | None
    recovered_at: str | None
    faults: list[Fault]
    at_fault: list[AtFault]
    rules: list[RuleVerdict]


class PayloadRecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the records of a payload, by index. `total`: how many records it has. `no_bytes`: why records have no
    bytes of their own, or null."""

    receipt: str
    feed: str
    rules_version: int
    total: int
    no_bytes: str | None
    items: list[PayloadRecord]
    next: str | None


class PayloadRecordItem(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a payload. `record` is its JSON, or its text (as in the ledger); `record_text` what was sent where
    `record` is JSON that differs from it. `parts`: of a record whose values are in arrays, the bytes of each value.
    `points`: its values as points of series. `no_bytes`: why it has no bytes, or null."""

    receipt: str
    feed: str
    received_at: str
    rules_version: int
    total: int
    no_bytes: str | None
    record: AnyJson
    record_text: str | None
    item: PayloadRecord
    parts: list[RecordPart]
    points: list[RecordPoint]
    links: Links


class _Decoded(msgspec.Struct, frozen=True):
    """A payload decoded again, of which the records `first` to `last` (both included) are shown."""

    stored: StoredPayload
    feed: Feed
    decoder: Decoder
    first: int
    last: int
    total: int
    contents: dict[int, RecordContents]
    hits: dict[int, dict[int, bool | None]]
    points: pl.DataFrame
    spans: RecordSpans
    faults: dict[int, tuple[Fault, ...]]


class PayloadRecords:
    """Reads records of payloads."""

    def __init__(self, store: Store, log: LogReader, book: FeedBook) -> None:
        self._store, self._book = store, book
        self._payloads = PayloadEntries(store, log)

    def page(self, tenant: str, receipt: str, query: PayloadRecordsQuery) -> PayloadRecordPage:
        """A page of records. Raises NotFoundError, GoneError, and LimitError for a payload of more than 16 MiB."""
        first = 0 if query.cursor is None else max(0, query.cursor[0])
        decoded = self._decode(tenant, receipt, first, first + query.limit - 1)
        payload = decoded.stored.entry.payload
        following = first + query.limit
        return PayloadRecordPage(
            receipt=payload.receipt,
            feed=payload.feed,
            rules_version=payload.feed_version,
            total=decoded.total,
            no_bytes=decoded.spans.why,
            items=self._records(tenant, decoded)[0],
            next=encode_cursor(following) if following < decoded.total else None,
        )

    def record(self, tenant: str, receipt: str, index: int) -> PayloadRecordItem:
        """One record. Raises as `page`, and NotFoundError where the payload has no record of this index."""
        decoded = self._decode(tenant, receipt, index, index)
        payload = decoded.stored.entry.payload
        items, current = self._records(tenant, decoded)
        if not items:
            message = f"payload '{receipt[:64]}' has no record {index}; it has {decoded.total} records"
            raise NotFoundError(message)
        text = decoded.decoder.record_texts(payload.body, payload.format).text(index)
        record = json_or_text(text)
        return PayloadRecordItem(
            receipt=payload.receipt,
            feed=payload.feed,
            received_at=format_instant(payload.received_ns),
            rules_version=payload.feed_version,
            total=decoded.total,
            no_bytes=decoded.spans.why,
            record=record,
            record_text=None if isinstance(record, str | msgspec.Raw) else text,
            item=items[0],
            parts=[RecordPart(path, span.start, span.end) for path, span in decoded.spans.parts(index)],
            points=[_point(row, current) for row in decoded.points.iter_rows(named=True)],
            links=receipt_links(payload.receipt),
        )

    def _decode(self, tenant: str, receipt: str, first: int, last: int) -> _Decoded:
        stored = self._payloads.read(tenant, receipt)
        payload = stored.entry.payload
        try:
            feed = self._book.version(tenant, payload.feed, payload.feed_version)
        except (NotFoundError, FeedDefinitionError):
            raise NotFoundError(_UNREADABLE) from None
        decoder = Decoder(feed, max_depth=DEEPEST)
        batch = decoder.decode_batch([stored.entry])
        spans = {} if stored.span is None else {stored.entry.seq: stored.span}
        known = KnownTimes(tenant, spans, record_times(self._store, tenant))
        within = pl.col("idx").is_between(first, last)
        judged = judge_records(feed, batch, known=known).judged.filter(within)
        return _Decoded(
            stored=stored,
            feed=feed,
            decoder=decoder,
            first=first,
            last=last,
            total=int(batch.counts["records"].sum()),
            contents=record_contents(judged, batch),
            hits=record_hits(feed, judged),
            points=every_value(feed, batch, known).points.filter(within).sort("idx", "field"),
            spans=decoder.record_spans(payload.body, payload.format),
            faults=decoder.record_faults(payload, range(first, last + 1)),
        )

    def _records(self, tenant: str, decoded: _Decoded) -> tuple[list[PayloadRecord], dict[Any, dict[str, Any]]]:
        """The shown records, and the current points at their instants, by series, time and ordinal."""
        entry, feed = decoded.stored.entry, decoded.feed
        bound = {"tenant": tenant, "feed": feed.name, "seq": entry.seq, "first": decoded.first, "last": decoded.last}
        rejections, tombstones, current = run_parallel(
            lambda: self._store.rows("record_rejections", **bound),
            lambda: self._store.rows("record_tombstones", **bound),
            lambda: self._current(tenant, decoded.points),
        )
        winners = receipts_by_seq(self._store, tenant, (row["winner_seq"] for row in rejections if row["winner_seq"]))
        rejected = {row["idx"]: row for row in rejections}
        form = format_name(entry.payload.format)
        writer = _Writer(
            decoded=decoded,
            rules=feed_rules(feed),
            marker=RecordMarker(feed, entry.payload.body, form, decoded.spans),
            rejected=rejected,
            winners=winners,
            deleted=frozenset(row["idx"] for row in tombstones if row["series"] == 0),
            marks=_marks(decoded, current),
        )
        indexes = sorted(decoded.contents.keys() | decoded.faults.keys() | rejected.keys())
        return [writer.record(index) for index in indexes], current

    def _current(self, tenant: str, points: pl.DataFrame) -> dict[Any, dict[str, Any]]:
        if points.is_empty():
            return {}
        rows = self._store.rows(
            "record_points",
            tenant=tenant,
            series=points["series"].unique().to_list(),
            times=points["time"].unique().to_list(),
            first=points["time"].min(),
            last=points["time"].max(),
            limit=MAX_POINTS,
        )
        return {(row["series"], row["time"], row["ordinal"]): row for row in rows}


class _Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Writes the records of a payload. `marks`: the marks of the records of which a point stands, by index."""

    decoded: _Decoded
    rules: FeedRules
    marker: RecordMarker
    rejected: Mapping[int, dict[str, Any]]
    winners: Mapping[int, str]
    deleted: frozenset[int]
    marks: Mapping[int, list[str]]

    def record(self, index: int) -> PayloadRecord:
        """The record of an index."""
        decoded, row = self.decoded, self.rejected.get(index)
        contents = decoded.contents.get(index)
        read = contents or _NOTHING
        counts = row is not None and not row["recovered_by"]
        faults = list(decoded.faults.get(index, ()))
        hits = self._hits(index, row if counts else None)
        why_not = CONTRACT_BROKEN if contents is None else _WAITS if decoded.stored.waits else _NOT_KEPT
        time_ns = row["time"] if row is not None and row["time"] is not None else read.time_ns
        reasons = row["reasons"] if row is not None and counts else []
        columns = self.rules.broken_members(hits)
        if contents is not None and read.time_ns is None and reasons:
            columns.append(("time", reasons[0]))
        return PayloadRecord(
            index=index,
            bytes=decoded.spans.span(index),
            state=self._state(index, rejected=counts),
            time=None if time_ns is None else format_instant(time_ns),
            tags=read.tags,
            fields=read.fields,
            reasons=reasons,
            marks=self.marks.get(index, []),
            detail=row["detail"] if row is not None and counts else "",
            winner=self._winner(row) if counts else None,
            recovered_by=None if row is None else row["recovered_by"] or None,
            recovered_at=None if row is None or not row["recovered_at"] else format_instant(row["recovered_at"]),
            faults=faults,
            at_fault=self.marker.at_fault(index, faults, columns),
            rules=self.rules.verdicts(hits, why_not),
        )

    def _state(self, index: int, *, rejected: bool) -> State:
        if index in self.deleted:
            return "deleted"
        if rejected:
            return "rejected"
        if self.decoded.stored.waits:
            return "waiting"
        return "flagged" if self.marks.get(index) else "accepted"

    def _winner(self, row: Mapping[str, Any] | None) -> Winner | None:
        if row is None or not row["winner_seq"]:
            return None
        return Winner(self.winners.get(row["winner_seq"]), row["winner_idx"])

    def _hits(self, index: int, row: Mapping[str, Any] | None) -> dict[int, bool | None]:
        """Which rules the record breaks: those that look back by its outcome, None where that does not say."""
        hits = dict(self.decoded.hits.get(index, {}))
        for number in self.rules.past & hits.keys():
            hits[number] = self._looked_back(number, index, row)
        return hits

    def _looked_back(self, number: int, index: int, row: Mapping[str, Any] | None) -> bool | None:
        rule, explanation = self.rules.rules[number], self.rules.explanations[number]
        if self.decoded.stored.waits or index in self.deleted:
            return None
        if rule.action == "flag":
            return rule.code in self.marks[index] if index in self.marks else None
        if row is None:
            return False
        judged = "payload_refused" not in row["reasons"] and self.decoded.stored.state == "applied"
        return f"{rule.code}: {explanation}" in row["detail"] if judged else None


def _point(row: Mapping[str, Any], current: Mapping[Any, Mapping[str, Any]]) -> RecordPoint:
    return RecordPoint(
        series=format_series(row["series"]),
        field=row["field"],
        time=format_instant(row["time"]),
        value=row["value"],
        stands=_stands(row, current),
    )


def _stands(row: Mapping[str, Any], current: Mapping[Any, Mapping[str, Any]]) -> bool:
    point = current.get((row["series"], row["time"], row["ordinal"]))
    return point is not None and (point["seq"], point["idx"]) == (row["seq"], row["idx"])


def _marks(decoded: _Decoded, current: Mapping[Any, Mapping[str, Any]]) -> dict[int, list[str]]:
    """The marks of the records of which a point stands, by index."""
    marks: dict[int, list[str]] = {}
    for row in decoded.points.iter_rows(named=True):
        if _stands(row, current):
            marks[row["idx"]] = current[row["series"], row["time"], row["ordinal"]]["marks"]
    return marks
