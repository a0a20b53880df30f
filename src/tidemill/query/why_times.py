"""When what is told of an instant happened, as far as that is kept. A payload names the last replay that applied it;
that replay has a time only if it changed something here. Pure: evidence in, ns out."""

from collections.abc import Mapping
from typing import Any

from tidemill.feeds.definition import Feed
from tidemill.model.time import parse_instant
from tidemill.query.why_evidence import Evidence


def replay_times(evidence: Evidence) -> dict[str, int]:
    """Every replay that left a trace here, by id, with the time of its first."""
    found: dict[str, int] = {}
    traces = [(change.replay, parse_instant(change.changed_at)) for change in evidence.changes if change.replay]
    traces += [(row["recovered_by"], row["recovered_at"]) for row in evidence.rejections if row["recovered_by"]]
    for replay, at in traces:
        found[replay] = min(at, found.get(replay, at))
    return found


def taken_at(evidence: Evidence, row: Mapping[str, Any]) -> int:
    """Since when the record of a value counts: when it was received, or when a replay recovered it."""
    mine = (row["seq"], row["idx"])
    recovered = [r["recovered_at"] for r in evidence.rejections if r["recovered_by"] and (r["seq"], r["idx"]) == mine]
    return int(max([row["received_at"], *recovered]))


def judged_at(evidence: Evidence, row: Mapping[str, Any]) -> int:
    """When the record of a point was judged last, as far as is known."""
    facts = evidence.facts.get(row["seq"])
    last = replay_times(evidence).get(facts["replay"]) if facts and facts["replay"] else None
    taken = taken_at(evidence, row)
    return taken if last is None else max(taken, last)


def rules_of(evidence: Evidence, facts: Mapping[str, Any] | None) -> Feed | None:
    """The definition by which the records of a payload were judged at `judged_at`. None: not known, as a replay of
    unknown time judged them since, and the payload names the version of that."""
    if facts is None or (facts["replay"] and facts["replay"] not in replay_times(evidence)):
        return None
    return evidence.versions.get(facts["feed_version"])


def rejected_at(evidence: Evidence, row: Mapping[str, Any]) -> int:
    """When a record was rejected: when it was received, or by the replay that took the published value away."""
    facts, received = evidence.facts.get(row["seq"]), int(row["received_at"])
    if row["recovered_by"] or facts is None or not facts["replay"]:
        return received
    taken = [c for c in evidence.changes if c.every_s is None and c.replay == facts["replay"] and c.new is None]
    return max([received, *(parse_instant(change.changed_at) for change in taken)])
