"""When things happened to an instant, from its evidence: a record was accepted or judged, a replay applied it again."""

from collections.abc import Mapping
from typing import Any

from tidemill.feeds.definition import Feed
from tidemill.model.time import parse_instant
from tidemill.query.why_evidence import InstantEvidence


def is_computed(feed: Feed | None) -> bool:
    """Whether the values of a feed's points are computed, so that one that is missing did not come as null."""
    return feed is not None and feed.shape.kind == "summary"


def replay_times(evidence: InstantEvidence) -> dict[str, int]:
    """The replays that changed or recovered something at the instant, by id, each with its earliest time (ns)."""
    times: dict[str, int] = {}
    traces = [(change.replay, parse_instant(change.changed_at)) for change in evidence.changes if change.replay]
    traces += [(row["recovered_by"], row["recovered_at"]) for row in evidence.rejections if row["recovered_by"]]
    for replay, at in traces:
        times[replay] = min(at, times.get(replay, at))
    return times


def taken_at(evidence: InstantEvidence, row: Mapping[str, Any]) -> int:
    """When the record of a value was accepted (ns): when it was received, or when a replay recovered it."""
    key = (row["seq"], row["idx"])
    recovered = [r["recovered_at"] for r in evidence.rejections if r["recovered_by"] and (r["seq"], r["idx"]) == key]
    return int(max([row["received_at"], *recovered]))


def judged_at(evidence: InstantEvidence, row: Mapping[str, Any]) -> int:
    """When the record of a point was judged last (ns), as far as known."""
    facts = evidence.facts.get(row["seq"])
    last = replay_times(evidence).get(facts["replay"]) if facts and facts["replay"] else None
    taken = taken_at(evidence, row)
    return taken if last is None else max(taken, last)


def rules_of(evidence: InstantEvidence, facts: Mapping[str, Any] | None) -> Feed | None:
    """The feed version that judged the records of a payload at `judged_at`. None: not known, because a replay of
    unknown time judged them later, and the payload names the version of that replay."""
    if facts is None or (facts["replay"] and facts["replay"] not in replay_times(evidence)):
        return None
    return evidence.versions.get(facts["feed_version"])


def rejected_at(evidence: InstantEvidence, row: Mapping[str, Any]) -> int:
    """When a record was rejected (ns): when it was received, or when a replay removed the published value."""
    facts, received = evidence.facts.get(row["seq"]), int(row["received_at"])
    if row["recovered_by"] or facts is None or not facts["replay"]:
        return received
    taken = [c for c in evidence.changes if c.every_s is None and c.replay == facts["replay"] and c.new is None]
    return max([received, *(parse_instant(change.changed_at) for change in taken)])
