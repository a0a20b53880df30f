"""Tries a feed over one payload: what intake and the mill would make of it if the feed had nothing yet. Stores nothing.

The verdicts come from the same functions that apply payloads, over an empty state of the store, so that they are what
really happens. Rules that look back see the records of the payload alone.
"""

from typing import Any, Final, Literal

import msgspec
import polars as pl

from tidemill.decode.decoder import MAX_DEPTH, Decoder
from tidemill.decode.locate import ByteSpan
from tidemill.decode.spans import RecordSpans
from tidemill.errors import Fault
from tidemill.feeds.definition import Feed
from tidemill.mill import ledger
from tidemill.mill.batch import FeedBatch, transform_entries
from tidemill.mill.decide import decide_contest
from tidemill.mill.stages import NO_PAST, TransformPipeline
from tidemill.mill.status import MillStatus
from tidemill.mill.store_state import StoreState
from tidemill.model.payload import EntryKind, LogEntry, Payload, format_name
from tidemill.model.time import format_instant
from tidemill.rules.apply import judge_records
from tidemill.rules.history_lookup import HistoryLookup
from tidemill.rules.record_contents import FieldValue, RecordContents, record_contents
from tidemill.rules.record_marker import AtFault, RecordMarker
from tidemill.rules.refuse import refusals
from tidemill.rules.verdicts import FeedRules, RuleVerdict, feed_rules, record_hits

SEQ: Final = 1  # the offset of the payload in a log that has nothing else
_NOTHING: Final = RecordContents(None, {}, {})


class TrialRecord(msgspec.Struct, frozen=True):
    """A record of the sample. `bytes`: where it is in the sample, null where it is no one stretch of bytes (`no_bytes`
    of the trial says why). `tags` and `fields` are empty where the record broke the contract. `marks`: what it is
    flagged for. `winner`: of a duplicate, the index of the record that stays; `replaced_by`: of an accepted record,
    that of a later one at its instant. `faults`: of the contract. `at_fault`: which bytes are."""

    index: int
    bytes: ByteSpan | None
    time: str | None
    tags: dict[str, str]
    fields: dict[str, FieldValue]
    verdict: Literal["accepted", "flagged", "rejected"]
    reasons: list[str]
    marks: list[str]
    detail: str
    winner: int | None
    replaced_by: int | None
    faults: list[Fault]
    at_fault: list[AtFault]
    rules: list[RuleVerdict]


class TriedPayload(msgspec.Struct, frozen=True):
    """What would become of a payload: how many records it has, `by_reason` of those rejected, the faults for which it
    would be `refused` with 400 (() : it is taken), and some of its records, in their order."""

    total: int
    accepted: int
    rejected: int
    flagged: int
    by_reason: dict[str, int]
    refused: tuple[Fault, ...]
    no_bytes: str | None
    records: list[TrialRecord]


def try_payload(feed: Feed, payload: Payload, shown: range, max_depth: int = MAX_DEPTH) -> TriedPayload:
    """What would become of a payload that is sent to a feed without data; `shown` are the indexes of the records to
    answer. `max_depth`: of JSON, as intake has it."""
    faults = _intake_faults(feed, payload, max_depth)
    kind = EntryKind.REFUSED if faults else EntryKind.DATA
    entry = LogEntry(SEQ, msgspec.structs.replace(payload, kind=kind, faults=faults))
    pipeline = TransformPipeline(_OneFeed(feed), MillStatus(), max_depth)
    batch = transform_entries(payload.tenant, feed.name, [entry], pipeline, NO_PAST)
    outcome = _Outcome(batch)
    counted = ledger.payload_outcomes(
        batch.counts if not faults else outcome.rejections.group_by("seq").agg(pl.len().alias("records")),
        outcome.rejections,
        "applied",
    )
    totals: dict[str, Any] = counted.row(0, named=True)
    return TriedPayload(
        total=totals["accepted"] + totals["rejected"],
        accepted=totals["accepted"],
        rejected=totals["rejected"],
        flagged=len(outcome.marks),
        by_reason={pair["key"]: pair["value"] for pair in totals["reasons"] or ()},
        refused=faults,
        **_Shown(feed, entry.payload, outcome, max_depth).answer(shown),
    )


class _OneFeed:
    """A book with one version of one feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def version(self, tenant: str, name: str, version: int) -> Feed:
        """The feed."""
        return self._feed


def _intake_faults(feed: Feed, payload: Payload, max_depth: int) -> tuple[Fault, ...]:
    """The faults for which intake refuses a payload, as `api.intake` finds them."""
    decoder = Decoder(feed, max_depth=max_depth)
    faults: tuple[Fault, ...] = ()
    if feed.input.on_fault == "refuse":
        faults = decoder.check_payload(payload.body, payload.format, payload.received_ns)
    if not faults and any(rule.action == "refuse" for rule in feed.rules):
        faults = refusals(feed, payload, decoder.decode_batch([LogEntry(0, payload)]))
    return faults


class _Outcome:
    """The rejections of a payload and the marks of its points, after duplicates were decided in an empty store."""

    def __init__(self, batch: FeedBatch) -> None:
        parts, marks, replaced = [batch.refused, batch.rejected], dict[int, list[str]](), dict[int, int]()
        for contest in batch.contests:
            decision = decide_contest(contest, StoreState(), batch.seqs)
            parts.append(decision.rejections)
            marked = contest.points.filter(pl.col("marks").is_not_null()).select("idx", "marks")
            marks |= {index: codes for index, codes in marked.iter_rows() if codes}
            replaced |= dict(decision.replaced.select("idx", "by_idx").iter_rows())
        self.rejections = ledger.concat_rejections(parts)
        rejected = set(self.rejections["idx"].to_list())
        self.marks = {index: codes for index, codes in marks.items() if index not in rejected}
        self.replaced_by = replaced


class _Shown:
    """The records of a payload that are shown, with what every rule says of them."""

    def __init__(self, feed: Feed, payload: Payload, outcome: _Outcome, max_depth: int) -> None:
        self._feed, self._payload, self._outcome = feed, payload, outcome
        self._decoder = Decoder(feed, max_depth=max_depth)

    def answer(self, shown: range) -> dict[str, Any]:
        """`records` and `no_bytes` of a TriedPayload."""
        feed, payload = self._feed, self._payload
        form = format_name(payload.format)
        batch = self._decoder.decode_batch([LogEntry(SEQ, payload)])
        judged = judge_records(feed, batch, HistoryLookup(payload.tenant, SEQ, NO_PAST)).judged
        within = pl.col("idx").is_between(shown.start, shown.stop - 1)
        judged = judged.filter(within)
        rejected = {row["idx"]: row for row in self._outcome.rejections.filter(within).iter_rows(named=True)}
        contents = record_contents(judged, batch)
        faults = self._decoder.record_faults(payload, shown) if rejected else {}
        spans = self._decoder.record_spans(payload.body, payload.format)
        marker = RecordMarker(feed, payload.body, form, spans)
        view = _View(feed_rules(feed), marker, spans, record_hits(feed, judged))
        records = [
            self._record(view, index, contents.get(index), rejected.get(index), faults.get(index, ()))
            for index in sorted(contents.keys() | rejected.keys())
        ]
        return {"records": records, "no_bytes": spans.why}

    def _record(
        self,
        view: "_View",
        index: int,
        contents: RecordContents | None,
        rejected: dict[str, Any] | None,
        faults: tuple[Fault, ...],
    ) -> TrialRecord:
        hits = view.hits.get(index, {})
        read, marks = contents or _NOTHING, self._outcome.marks.get(index, [])
        time_ns = read.time_ns if rejected is None or rejected["time"] is None else rejected["time"]
        verdict: Literal["accepted", "flagged", "rejected"] = "flagged" if marks else "accepted"
        columns = view.rules.broken_members(hits)
        if contents is not None and read.time_ns is None and rejected is not None:
            columns.append(("time", rejected["reasons"][0]))
        return TrialRecord(
            index=index,
            bytes=view.spans.span(index),
            time=None if time_ns is None else format_instant(time_ns),
            tags=read.tags,
            fields=read.fields,
            verdict=verdict if rejected is None else "rejected",
            reasons=[] if rejected is None else rejected["reasons"],
            marks=marks,
            detail="" if rejected is None else rejected["detail"] or "",
            winner=None if rejected is None or not rejected["winner_seq"] else rejected["winner_idx"],
            replaced_by=None if rejected is not None else self._outcome.replaced_by.get(index),
            faults=list(faults),
            at_fault=view.marker.at_fault(index, faults, columns),
            rules=view.rules.verdicts(hits),
        )


class _View(msgspec.Struct, frozen=True):
    """What all shown records share."""

    rules: FeedRules
    marker: RecordMarker
    spans: RecordSpans
    hits: dict[int, dict[int, bool | None]]
