"""The story of an instant as ordered events, each with a stable code and a sentence. Pure: evidence in, events out."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypedDict, cast

import msgspec

from tidemill.decode.codes import FAULT_CODES, MARK_CODES
from tidemill.feeds.definition import Feed
from tidemill.model.time import format_instant, parse_instant
from tidemill.query.answers import AnyJson
from tidemill.query.point_changes import PublishedChange
from tidemill.query.points import flag_words
from tidemill.query.receipts import receipt_links
from tidemill.query.record_texts import json_or_text
from tidemill.query.why_evidence import InstantEvidence
from tidemill.query.why_times import is_computed, judged_at, rejected_at, replay_times, rules_of, taken_at
from tidemill.query.why_words import (
    capitalize,
    change_text,
    null_text,
    reasons_text,
    record_text,
    rules_text,
    value_text,
)

EVENTS: Final = {
    "received": "A payload was stored durably.",
    "replayed": "A replay applied the payload again.",
    "recovered": "A replay made points of a rejected record after all.",
    "accepted": "One of its records passed every rule and gave a value.",
    "null_value": "One of its records was accepted, and its value was null or absent.",
    "expired": "A value that came is past retention: its point is no longer kept.",
    "flagged": "A rule flagged the record: its value is kept and said to be doubtful.",
    "local_time": "A clock change made the local time twice or none: what was decided.",
    "rejected": "A record of this series and instant was rejected.",
    "possibly_rejected": "A record of this instant was rejected of which nobody can tell the series.",
    "duplicate_lost": "The record lost against one that was submitted first.",
    "duplicate_won": "The record that stands won against a later one.",
    "replaced": "A later submission replaced the value.",
    "changed": "The published value changed.",
    "window_restated": "A published aggregate of a window changed.",
    "window_touched": "The value counts in a rollup window, as it is now.",
    "window_sealed": "The points of the window are past retention; its aggregates stay for good.",
    "bytes_deleted": "The bytes of a payload were deleted on request.",
    "deleted": "What stood here was deleted on request.",
    "deleting": "A deletion is acknowledged and not applied yet.",
    "waiting": "Payloads of the feed are stored and not applied yet.",
}
_ORDER: Final = {code: number for number, code in enumerate(EVENTS)}
_FLAGS: Final = {
    "fold_earlier": "Its local time was twice; it is taken as the earlier one.",
    "fold_later": "Its local time was twice; it is taken as the later one.",
    "gap_shifted": "Its local time never was; it is put forward by the length of the gap.",
    "shifted": "Its time is known to be wrong by a fixed length, which the feed added.",
}


class Facts(TypedDict, total=False):
    """The facts in the sentence of an event, as far as they apply."""

    receipt: str
    sha256: str
    index: int
    value: float
    reasons: list[str]
    record: AnyJson
    mark: str
    flag: str
    old: float
    new: float
    why: str
    window: str
    every_s: int
    count: int
    mean: float
    deletion: str
    kind: str
    replay: str


class Event(msgspec.Struct, frozen=True):
    """Something that happened to an instant. `at` is null where its time is not kept. `facts` are those in `text`."""

    at: str | None
    event: str
    text: str
    links: dict[str, str]
    facts: Facts


# What the marks of decoding say, as the end of a sentence.
_DECODED: Final = {
    code: f"{text[:1].lower()}{text[1:].rstrip('.')}"
    for code, text in {**MARK_CODES, "not_exact": FAULT_CODES["not_exact"]}.items()
}


def instant_events(evidence: InstantEvidence) -> list[Event]:
    """Every event in order of time, those without a time last."""
    events = [*_payloads(evidence), *_replays(evidence), *_points(evidence), *_replaced(evidence), *_rejected(evidence)]
    events += _without_points(evidence)
    events += [*_windows(evidence), *_changes(evidence), *_deletions(evidence)]
    return sorted(events, key=_order)


def _order(event: Event) -> tuple[bool, int, int]:
    return event.at is None, parse_instant(event.at) if event.at else 0, _ORDER[event.event]


def _event(at: int | str | None, event: str, text: str, links: Mapping[str, str], **facts: Any) -> Event:
    when = format_instant(at) if isinstance(at, int) else at
    known = {name: fact for name, fact in facts.items() if fact is not None}
    return Event(when, event, text, dict(links), cast("Facts", known))


def _payloads(evidence: InstantEvidence) -> Iterator[Event]:
    for row in evidence.facts.values():
        receipt, at, of = row["receipt"], row["received_at"], _links(row)
        size = f"{row['bytes']} byte{'' if row['bytes'] == 1 else 's'}"
        text = f"Payload {receipt} ({size}) was received for feed '{evidence.subject.feed}' and stored."
        yield _event(at, "received", text, of, receipt=receipt, sha256=row["sha256"])
        if row["state"] == "deleted":
            text = f"The bytes of payload {receipt} were deleted on request."
            yield _event(row["bytes_deleted_ns"], "bytes_deleted", text, of, receipt=receipt)


def _replays(evidence: InstantEvidence) -> Iterator[Event]:
    """The events of each replay: one for each payload that it applied last, else one if other evidence names it."""
    times = replay_times(evidence)
    for row in evidence.facts.values():
        if replay := row["replay"]:
            version, at = row["feed_version"], times.get(replay)
            judged = f", under version {version}" if at else f"; it is under version {version} now"
            text = f"Replay {replay} applied payload {row['receipt']} again{judged}."
            yield _event(at, "replayed", text, _links(row), replay=replay, receipt=row["receipt"])
    last = {row["replay"] for row in evidence.facts.values()}
    for replay, at in times.items():
        if replay not in last:
            text = f"Replay {replay} applied payloads of feed '{evidence.subject.feed}' again."
            yield _event(at, "replayed", text, {}, replay=replay)


def _points(evidence: InstantEvidence) -> Iterator[Event]:
    for row in evidence.points:
        at = judged_at(evidence, row)
        facts = evidence.facts.get(row["seq"])
        feed = rules_of(evidence, facts)
        yield _accepted(evidence, at, row, feed)
        broken = _DECODED | {r.code: r.compiled().explain() for r in (feed.rules if feed else ()) if r.action == "flag"}
        for mark in row["marks"]:
            why = f": {broken[mark]}" if mark in broken else ""
            yield _event(at, "flagged", f"It was flagged '{mark}'{why}.", _links(facts), mark=mark)
        for flag in flag_words(row["flags"]):
            yield _event(at, "local_time", _FLAGS[flag], _links(facts), flag=flag)


def _without_points(evidence: InstantEvidence) -> Iterator[Event]:
    """The events of accepted values that left no point: they are null, or past retention."""
    for row in [*evidence.nulls, *evidence.expired]:
        facts = evidence.facts.get(row["seq"])
        yield _accepted(evidence, taken_at(evidence, row), row, rules_of(evidence, facts))
        if row["value"] is not None:
            text = f"{capitalize(value_text(row['value']))} of {record_text(facts, row['idx'])} is past retention."
            yield _event(None, "expired", text, _links(facts), index=row["idx"], receipt=row["receipt"])


def _accepted(evidence: InstantEvidence, at: int, row: Mapping[str, Any], feed: Feed | None) -> Event:
    """The event of an accepted record. `feed`: the definition that judged the record; None: not known."""
    facts = evidence.facts.get(row["seq"])
    rules = f"passed {rules_text(len(feed.rules))} of feed '{feed.name}'" if feed and feed.rules else "was accepted"
    judged = f" under version {facts['feed_version']}" if facts and feed else ""
    record = f"{capitalize(record_text(facts, row['idx']))} {rules}{judged}"
    event, text = "accepted", f"{record} and gave {value_text(row['value'])}."
    if row["value"] is None and not is_computed(evidence.feed):
        event, text = "null_value", f"{record}; {null_text(row, evidence.subject.field)}."
    receipt = facts["receipt"] if facts else None
    return _event(at, event, text, _links(facts), receipt=receipt, index=row["idx"], value=row["value"])


def _replaced(evidence: InstantEvidence) -> Iterator[Event]:
    values = {(row["seq"], row["idx"]): row for row in [*evidence.replaced, *evidence.points]}
    for row in evidence.replaced:
        facts, successor = evidence.facts.get(row["seq"]), evidence.facts.get(row["by_seq"])
        by = values.get((row["by_seq"], row["by_idx"]))
        feed = None if facts and facts["replay"] else rules_of(evidence, facts)
        yield _accepted(evidence, taken_at(evidence, row), row, feed)
        came = taken_at(evidence, by) if by else successor["received_at"] if successor else None
        at = max(taken_at(evidence, row), came) if came else None
        value = f"{value_text(by['value'])} of " if by else ""
        text = f"{capitalize(value_text(row['value']))} was replaced by {value}{record_text(successor, row['by_idx'])}."
        new = by["value"] if by else None
        yield _event(at, "replaced", text, _links(successor), old=row["value"], new=new, index=row["by_idx"])


def _rejected(evidence: InstantEvidence) -> Iterator[Event]:
    current = {(row["seq"], row["idx"]) for row in evidence.points}
    for row in evidence.rejections:
        of = payload_links(row["receipt"])
        where = f"Record {row['idx']} of payload {row['receipt']}"
        facts = {"receipt": row["receipt"], "index": row["idx"], "reasons": row["reasons"]}
        text = f"{where} was rejected as {reasons_text(row['reasons'], row['detail'])}"
        if not row["certain"]:
            text += " Of which series it would have been, it does not say."
        code = "rejected" if row["certain"] else "possibly_rejected"
        yield _event(rejected_at(evidence, row), code, text, of, **facts, record=json_or_text(row["record"]))
        if row["winner_seq"]:
            yield from _duplicate(evidence, row, where, (row["winner_seq"], row["winner_idx"]) in current)
        if row["recovered_by"]:
            text = f"Replay {row['recovered_by']} made points of {where[0].lower()}{where[1:]} after all."
            yield _event(row["recovered_at"], "recovered", text, of, **facts, replay=row["recovered_by"])


def _duplicate(evidence: InstantEvidence, row: Mapping[str, Any], record: str, is_current: bool) -> Iterator[Event]:
    winner = evidence.facts.get(row["winner_seq"])
    of = {"loser": receipt_links(row["receipt"]).self, **_links(winner)}
    at = max(row["received_at"], winner["received_at"]) if winner else row["received_at"]
    text = f"{record} lost as a duplicate against {record_text(winner, row['winner_idx'])}, which was submitted first."
    yield _event(at, "duplicate_lost", text, of, index=row["idx"], receipt=row["receipt"])
    if is_current:
        who = capitalize(record_text(winner, row["winner_idx"]))
        text = f"{who} stands, and won against {record[0].lower()}{record[1:]}."
        yield _event(at, "duplicate_won", text, of, index=row["winner_idx"])


def _windows(evidence: InstantEvidence) -> Iterator[Event]:
    judged = [judged_at(evidence, row) for row in evidence.points]
    for window in evidence.windows:
        which = f"The window of {window.every_s} s from {window.window}"
        facts = {"window": window.window, "every_s": window.every_s, "count": window.count, "mean": window.mean}
        points = f"{window.count} point{'' if window.count == 1 else 's'}"
        if judged:
            restated = [parse_instant(window.restated_at)] if window.restated_at else []
            text = f"{which} counts it; it now has {points}, mean {value_text(window.mean)}."
            yield _event(max(judged + restated), "window_touched", text, window.links, **facts)
        if window.sealed:
            text = f"{which} is sealed: its points are past retention, its aggregates of {points} stay."
            yield _event(None, "window_sealed", text, window.links, **facts)


def _changes(evidence: InstantEvidence) -> Iterator[Event]:
    series = evidence.subject.id
    for change in evidence.changes:
        if change.every_s is None:
            text = change_text("The published value", change)
            yield _event(change.changed_at, "changed", text, {}, **_values(change))
        else:
            where = {"lineage": f"/v1/series/{series}/lineage?window={change.time}"}
            text = change_text(f"The mean of the window of {change.every_s} s from {change.time}", change)
            yield _event(change.changed_at, "window_restated", text, where, **_values(change))


def _values(change: PublishedChange) -> dict[str, Any]:
    return {"old": change.old, "new": change.new, "why": change.why, "replay": change.replay}


def _deletions(evidence: InstantEvidence) -> Iterator[Event]:
    subject = evidence.subject
    for deletion in evidence.deletions:
        text = f"Deletion {deletion.id} ({deletion.kind}) took away what stood here and was submitted before it."
        yield _event(deletion.applied_ns, "deleted", text, {}, deletion=deletion.id, kind=deletion.kind)
    if subject.deleted_seq and not any(deletion.seq == subject.deleted_seq for deletion in evidence.deletions):
        text = "The series was deleted on request; what was submitted before that is gone."
        yield _event(None, "deleted", text, {}, kind="series")
    if subject.deleting:
        yield _event(None, "deleting", "The deletion of the series is acknowledged and is being applied.", {})
    if evidence.waiting:
        count = evidence.waiting.count
        wait = "payload waits" if count == 1 else "payloads wait"
        text = f"{count} {wait} to be applied to feed '{subject.feed}', since this time."
        yield _event(evidence.waiting.since_ns, "waiting", text, {}, count=count)


def _links(facts: Mapping[str, Any] | None) -> dict[str, str]:
    return payload_links(facts["receipt"]) if facts else {}


def payload_links(receipt: str) -> dict[str, str]:
    """The links of an event to a payload and its receipt."""
    of = receipt_links(receipt)
    return {"receipt": of.self, "payload": of.payload}
