"""The story of an instant as ordered events, each with a stable code and a sentence. Pure: evidence in, events out."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tidemill.model.time import format_instant, parse_instant
from tidemill.query.flags import flag_words
from tidemill.query.point_changes import Change
from tidemill.query.receipts import links
from tidemill.query.rejections import json_or_text
from tidemill.query.why_evidence import Evidence
from tidemill.query.words import capital, number, place_of, sentences
from tidemill.rules.reasons import REASONS

EVENTS: Final = {
    "received": "A payload was stored durably.",
    "replayed": "A replay applied the payload again.",
    "recovered": "A replay made points of a rejected record after all.",
    "accepted": "One of its records passed every rule and gave a value.",
    "flagged": "A rule flagged the record: its value is kept and said to be doubtful.",
    "local_time": "A clock change made the local time twice or none: what was decided.",
    "rejected": "A record of this series and instant was rejected.",
    "possibly_rejected": "A record of this instant was rejected of which nobody can tell the series.",
    "duplicate_lost": "The record lost against one that was submitted first.",
    "duplicate_won": "The record that stands won against a later one.",
    "replaced": "A later submission replaced the value.",
    "window_touched": "The value counts in a rollup window.",
    "window_restated": "A published aggregate of a window changed.",
    "window_sealed": "The points of the window are past retention; its aggregates stay for good.",
    "changed": "The published value changed.",
    "bytes_deleted": "The bytes of a payload were deleted on request.",
    "deleted": "What stood here was deleted on request.",
    "deleting": "A deletion is acknowledged and not applied yet.",
    "waiting": "Payloads of the feed are stored and not applied yet.",
}
_ORDER: Final = {code: place for place, code in enumerate(EVENTS)}
_FLAGS: Final = {
    "fold_earlier": "Its local time was twice; it is taken as the earlier one.",
    "fold_later": "Its local time was twice; it is taken as the later one.",
    "gap_shifted": "Its local time never was; it is put forward by the length of the gap.",
}


class Event(msgspec.Struct, frozen=True):
    """Something that happened to an instant. `at` is null where the time of it is not kept. `facts` are what the
    sentence is made from: receipt, index, value, reasons, record, old and new, as far as they apply."""

    at: str | None
    event: str
    text: str
    links: dict[str, str]
    facts: dict[str, Any]


def events(evidence: Evidence) -> list[Event]:
    """Every event in order of time; those without one come last."""
    told = [*_payloads(evidence), *_points(evidence), *_replaced(evidence), *_rejected(evidence)]
    told += [*_windows(evidence), *_changes(evidence), *_gone(evidence)]
    return sorted(told, key=lambda one: (one.at is None, parse_instant(one.at) if one.at else 0, _ORDER[one.event]))


def _event(at: int | str | None, event: str, text: str, links: Mapping[str, str], **facts: Any) -> Event:
    when = format_instant(at) if isinstance(at, int) else at
    return Event(when, event, text, dict(links), {name: fact for name, fact in facts.items() if fact is not None})


def _payloads(evidence: Evidence) -> Iterator[Event]:
    for row in evidence.facts.values():
        receipt, at, of = row["receipt"], row["received_at"], _links(row)
        size = f"{row['bytes']} byte{'' if row['bytes'] == 1 else 's'}"
        text = f"Payload {receipt} ({size}) was received for feed '{evidence.subject.feed}' and stored."
        yield _event(at, "received", text, of, receipt=receipt, sha256=row["sha256"])
        if row["replay"]:
            text = f"Replay {row['replay']} applied payload {receipt} again, under version {row['feed_version']}."
            yield _event(_replay_time(evidence, row["replay"]), "replayed", text, of, replay=row["replay"])
        if row["state"] == "deleted":
            text = f"The bytes of payload {receipt} were deleted on request."
            yield _event(row["gone_ns"], "bytes_deleted", text, of, receipt=receipt)


def _points(evidence: Evidence) -> Iterator[Event]:
    for row in evidence.points:
        yield _accepted(evidence, row)
        facts = evidence.facts.get(row["seq"])
        feed = evidence.versions.get(facts["feed_version"]) if facts else None
        broken = {r.code: r.compiled().explain() for r in (feed.rules if feed else ()) if r.action == "flag"}
        at = _judged_at(evidence, row)
        for mark in row["marks"]:
            why = f": {broken[mark]}" if mark in broken else ""
            yield _event(at, "flagged", f"It was flagged '{mark}'{why}.", _links(facts), mark=mark)
        for flag in flag_words(row["flags"]):
            yield _event(at, "local_time", _FLAGS[flag], _links(facts), flag=flag)


def _accepted(evidence: Evidence, row: Mapping[str, Any]) -> Event:
    facts = evidence.facts.get(row["seq"])
    feed = evidence.versions.get(facts["feed_version"]) if facts else None
    judged = f" under version {facts['feed_version']}" if facts else ""
    rules = f"passed the {len(feed.rules)} rules of feed '{feed.name}'" if feed and feed.rules else "was accepted"
    text = f"{capital(place_of(facts, row['idx']))} {rules}{judged} and gave {number(row['value'])}."
    found = {"receipt": facts["receipt"] if facts else None, "index": row["idx"], "value": row["value"]}
    return _event(_judged_at(evidence, row), "accepted", text, _links(facts), **found)


def _judged_at(evidence: Evidence, row: Mapping[str, Any]) -> int | str:
    """When the record of a point was judged last: when it was received, or by a replay."""
    facts = evidence.facts.get(row["seq"])
    replayed = _replay_time(evidence, facts["replay"]) if facts and facts["replay"] else None
    received: int | str = row["received_at"]
    return replayed or received


def _replaced(evidence: Evidence) -> Iterator[Event]:
    values = {(row["seq"], row["idx"]): row["value"] for row in [*evidence.replaced, *evidence.points]}
    for row in evidence.replaced:
        yield _accepted(evidence, row)
        successor = evidence.facts.get(row["by_seq"])
        at = max(row["received_at"], successor["received_at"]) if successor else None
        known = (row["by_seq"], row["by_idx"]) in values
        new = values.get((row["by_seq"], row["by_idx"]))
        by = f"{number(new)} of " if known else ""
        text = f"{capital(number(row['value']))} was replaced by {by}{place_of(successor, row['by_idx'])}."
        yield _event(at, "replaced", text, _links(successor), old=row["value"], new=new, index=row["by_idx"])


def _rejected(evidence: Evidence) -> Iterator[Event]:
    stands = {(row["seq"], row["idx"]) for row in evidence.points}
    for row in evidence.rejections:
        of = payload_links(row["receipt"])
        where = f"Record {row['idx']} of payload {row['receipt']}"
        meanings = " ".join(f"{code}: {REASONS.get(code, 'a reason that the feed names.')}" for code in row["reasons"])
        said = f" {sentences(row['detail'])}" if row["detail"] else ""
        facts = {"receipt": row["receipt"], "index": row["idx"], "reasons": row["reasons"]}
        text = f"{where} was rejected.{said} ({meanings})"
        if not row["certain"]:
            text += " Of which series it would have been, it does not say."
        code = "rejected" if row["certain"] else "possibly_rejected"
        yield _event(row["received_at"], code, text, of, **facts, record=json_or_text(row["record"]))
        if row["winner_seq"]:
            yield from _contest(evidence, row, where, (row["winner_seq"], row["winner_idx"]) in stands)
        if row["recovered_by"]:
            text = f"Replay {row['recovered_by']} made points of {where[0].lower()}{where[1:]} after all."
            yield _event(row["recovered_at"], "recovered", text, of, **facts, replay=row["recovered_by"])


def _contest(evidence: Evidence, row: Mapping[str, Any], loser: str, stands: bool) -> Iterator[Event]:
    winner = evidence.facts.get(row["winner_seq"])
    of = {"loser": links(row["receipt"]).self, **_links(winner)}
    at = max(row["received_at"], winner["received_at"]) if winner else row["received_at"]
    text = f"{loser} lost as a duplicate against {place_of(winner, row['winner_idx'])}, which was submitted first."
    yield _event(at, "duplicate_lost", text, of, index=row["idx"], receipt=row["receipt"])
    if stands:
        who = capital(place_of(winner, row["winner_idx"]))
        text = f"{who} stands, and won against {loser[0].lower()}{loser[1:]}."
        yield _event(at, "duplicate_won", text, of, index=row["winner_idx"])


def _windows(evidence: Evidence) -> Iterator[Event]:
    newest = max((row["received_at"] for row in evidence.points), default=None)
    for window in evidence.windows:
        which = f"The window of {window.every_s} s from {window.window}"
        facts = {"window": window.window, "every_s": window.every_s, "count": window.count, "mean": window.mean}
        if evidence.points:
            text = f"{which} counts it: {window.count} points, mean {number(window.mean)}."
            yield _event(newest, "window_touched", text, window.links, **facts)
        if window.sealed:
            text = f"{which} is sealed: its points are past retention, its aggregates of {window.count} points stay."
            yield _event(None, "window_sealed", text, window.links, **facts)


def _changes(evidence: Evidence) -> Iterator[Event]:
    series = evidence.subject.id
    for change in evidence.changes:
        replay = f" by replay {change.replay}" if change.replay else ""
        what = f"from {number(change.old)} to {number(change.new)} ({change.why}){replay}"
        if change.every_s is None:
            yield _event(change.changed_at, "changed", f"The published value changed {what}.", {}, **_values(change))
        else:
            where = {"lineage": f"/v1/series/{series}/lineage?window={change.time}"}
            text = f"The mean of the window of {change.every_s} s from {change.time} changed {what}."
            yield _event(change.changed_at, "window_restated", text, where, **_values(change))


def _values(change: Change) -> dict[str, Any]:
    return {"old": change.old, "new": change.new, "why": change.why, "replay": change.replay}


def _gone(evidence: Evidence) -> Iterator[Event]:
    subject = evidence.subject
    for one in evidence.deletions:
        text = f"Deletion {one.id} ({one.kind}) took away what stood here and was submitted before it."
        yield _event(one.applied_ns, "deleted", text, {}, deletion=one.id, kind=one.kind)
    if subject.deleted_seq and not any(one.seq == subject.deleted_seq for one in evidence.deletions):
        text = "The series was deleted on request; what was submitted before that is gone."
        yield _event(None, "deleted", text, {}, kind="series")
    if subject.deleting:
        yield _event(None, "deleting", "The deletion of the series is acknowledged and is being applied.", {})
    if evidence.waiting:
        count = evidence.waiting.count
        wait = "payload waits" if count == 1 else "payloads wait"
        text = f"{count} {wait} to be applied to feed '{subject.feed}', since this time."
        yield _event(evidence.waiting.since_ns, "waiting", text, {}, count=count)


def _replay_time(evidence: Evidence, replay: str) -> int | str | None:
    """When a replay was applied here, as far as it left a trace."""
    times = [change.changed_at for change in evidence.changes if change.replay == replay]
    recovered = [row["recovered_at"] for row in evidence.rejections if row["recovered_by"] == replay]
    return times[0] if times else recovered[0] if recovered else None


def _links(facts: Mapping[str, Any] | None) -> dict[str, str]:
    return payload_links(facts["receipt"]) if facts else {}


def payload_links(receipt: str) -> dict[str, str]:
    """The links of a payload as members of an event."""
    of = links(receipt)
    return {"receipt": of.self, "payload": of.payload}
