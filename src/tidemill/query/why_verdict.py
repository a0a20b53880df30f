"""How the story of an instant ends: what stands there, or why nothing does. Pure: evidence in, one sentence out."""

from typing import Any, Final

import msgspec

from tidemill.model.time import format_instant
from tidemill.query.why_evidence import Evidence
from tidemill.query.why_subject import Subject
from tidemill.query.words import capital, number, place_of

STATES: Final = {
    "stands": "A point stands.",
    "rejected": "A record of it came and was rejected.",
    "deleted": "It was deleted on request.",
    "expired": "Points of that time are past retention: what stood there cannot be told any more.",
    "possibly_rejected": "Nothing of it was taken; a rejected record of that time may have been it.",
    "waiting": "Nothing of it was applied yet, and payloads of its feed wait.",
    "never_received": "No record of it ever came.",
}


class Verdict(msgspec.Struct, frozen=True):
    """`state` is one of STATES; `value` is that of the point that stands (null: none does, or a missing sample)."""

    state: str
    value: float | None
    sentence: str


def verdict(evidence: Evidence) -> Verdict:
    """The first of these that is true: something stands, it was deleted, rejected, is past retention, may have been
    rejected, may still wait, or never came."""
    if evidence.points:
        return _stands(evidence)
    time = format_instant(evidence.at_ns)
    certain = [row for row in evidence.rejections if row["certain"] and not row["recovered_by"]]
    if evidence.subject.deleting or _deleted_last(evidence, certain):
        return Verdict("deleted", None, f"Nothing stands at {time}: what did, if anything, was deleted on request.")
    if certain:
        return Verdict("rejected", None, f"Nothing stands at {time}: {_refusals(certain)}.")
    if evidence.replaced or any(row["certain"] for row in evidence.rejections):
        return Verdict("expired", None, f"Nothing stands at {time} any more: what did is past retention.")
    if any(window.sealed for window in evidence.windows):
        return Verdict("expired", None, f"Points at {time} are past retention; only aggregates of that time are kept.")
    return _nothing_came(evidence, time)


def _nothing_came(evidence: Evidence, time: str) -> Verdict:
    possible = [row for row in evidence.rejections if not row["recovered_by"]]
    if possible:
        sentence = f"Nothing stands at {time}; {_refusals(possible)}, and it may have been meant for this series."
        return Verdict("possibly_rejected", None, sentence)
    if evidence.waiting:
        wait = "a payload waits" if evidence.waiting.count == 1 else f"{evidence.waiting.count} payloads wait"
        sentence = f"Nothing stands at {time} yet; {wait} to be applied to feed '{evidence.subject.feed}'."
        return Verdict("waiting", None, sentence)
    sentence = f"No record of {time} was ever received for this series."
    if not evidence.subject.known:
        sentence = f"{_no_such_series(evidence.subject)}, and no record of {time} was ever received for one."
    kept = evidence.feed.retention.points if evidence.feed else None
    if kept:
        sentence += f" Points of this feed are kept for {kept} after receipt: one that came before that would be gone."
    return Verdict("never_received", None, sentence)


def _no_such_series(subject: Subject) -> str:
    named = {**({"field": subject.field} if subject.field else {}), **subject.tags}
    which = ", ".join(f"{name} '{value}'" for name, value in named.items())
    return f"Feed '{subject.feed}' has no series{' of ' + which if which else ''} yet"


def _stands(evidence: Evidence) -> Verdict:
    last: dict[str, Any] = evidence.points[-1]
    facts = evidence.facts.get(last["seq"])
    more = len(evidence.points) - 1
    parts = [f"{number(last['value'])} stands at {format_instant(evidence.at_ns)}, from {place_of(facts, last['idx'])}"]
    parts += [f"{more} more of the same instant stand beside it"] if more else []
    parts += [f"it replaced {len(evidence.replaced)} earlier"] if evidence.replaced else []
    parts += [f"it is flagged {', '.join(last['marks'])}"] if last["marks"] else []
    return Verdict("stands", last["value"], capital("; ".join(parts)) + ".")


def _deleted_last(evidence: Evidence, certain: list[dict[str, Any]]) -> bool:
    """Whether a deletion is the last that happened here: no record was rejected after it."""
    newest = max([evidence.subject.deleted_seq, *(one.seq for one in evidence.deletions)])
    return newest > 0 and all(row["seq"] <= newest for row in certain)


def _refusals(rows: list[dict[str, Any]]) -> str:
    """What was rejected and why, of one record or several."""
    reasons = ", ".join(sorted({reason for row in rows for reason in row["reasons"]}))
    if len(rows) == 1:
        return f"record {rows[0]['idx']} of payload {rows[0]['receipt']} was rejected ({reasons})"
    return f"{len(rows)} records were rejected ({reasons})"
