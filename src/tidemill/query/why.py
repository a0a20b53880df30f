"""The story of one instant of a series: all events in order of time, and a verdict. For administrators only, because it
shows rejected records."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from tidemill.feeds.book import FeedBook
from tidemill.log.contract import LogReader
from tidemill.model.offset import Reach
from tidemill.model.time import format_instant, parse_instant
from tidemill.query import readers
from tidemill.query.parameters import TEXT, FieldName, Parameter, QueryParameters, Tags, Unit
from tidemill.query.series import Hidden
from tidemill.query.why_absent import Around, read_surroundings
from tidemill.query.why_events import Event, instant_events
from tidemill.query.why_evidence import Gatherer, InstantEvidence, Subject, Subjects
from tidemill.query.why_neighbours import InstantPoll, NextStep
from tidemill.query.why_times import is_computed
from tidemill.query.why_words import capitalize, null_text, record_text, value_text
from tidemill.store.client import Store

STATES: Final = {
    "stands": "A point stands.",
    "received_null": "A record of it came and was accepted, and its value was null or absent.",
    "rejected": "A record of it came and was rejected.",
    "deleted": "It was deleted on request.",
    "expired": "Points of that time are past retention, or may be.",
    "possibly_rejected": "Nothing of it was taken; a rejected record of that time may have been it.",
    "waiting": "Nothing of it was applied yet, and payloads of its feed wait.",
    "unsearched": "Payloads that may hold a record of it are too many or too large to be searched.",
    "never_received": "No record of it came; the sentence names what is not known.",
}


class InstantVerdict(msgspec.Struct, frozen=True):
    """`state` is one of STATES; `value` is that of the current point (null: no point, or a missing sample)."""

    state: str
    value: float | None
    sentence: str


def instant_verdict(evidence: InstantEvidence) -> InstantVerdict:
    """The verdict of the first state that applies: a point is current, was deleted, was rejected, is past retention,
    was null, may have been rejected, may wait in the log, may be in a payload that was not searched, or was never
    received."""
    if any(row["value"] is not None for row in evidence.points) or (evidence.points and is_computed(evidence.feed)):
        return _stands(evidence)
    time = format_instant(evidence.at_ns)
    if evidence.points:
        return _received_null(evidence, evidence.points, time)
    certain = [row for row in evidence.rejections if row["certain"] and not row["recovered_by"]]
    if evidence.subject.deleting or _deleted_last(evidence, certain) or _deleted_with_payload(evidence, certain):
        return InstantVerdict(
            "deleted", None, f"Nothing stands at {time}: what did, if anything, was deleted on request."
        )
    if certain:
        also = "; a record without a value came as well" if evidence.nulls else ""
        return InstantVerdict("rejected", None, f"Nothing stands at {time}: {_refusals(certain)}{also}.")
    if evidence.expired:
        return _expired(evidence, time)
    if evidence.replaced:
        return InstantVerdict("expired", None, f"Nothing stands at {time} any more: what did is past retention.")
    if evidence.nulls:
        return _received_null(evidence, evidence.nulls, time)
    if any(row["certain"] for row in evidence.rejections):  # a replay made a point of it
        return InstantVerdict("expired", None, f"Nothing stands at {time} any more: what did is past retention.")
    if any(window.sealed for window in evidence.windows):
        return InstantVerdict(
            "expired", None, f"The points around {time} are past retention; only aggregates of that time are kept."
        )
    return _not_applied(evidence, time)


def _received_null(evidence: InstantEvidence, rows: list[dict[str, Any]], time: str) -> InstantVerdict:
    last = rows[-1]
    record = record_text(evidence.facts.get(last["seq"]), last["idx"])
    more = f" {len(rows) - 1} more came likewise." if len(rows) > 1 else ""
    sentence = f"A record of {time} came as {record}; {null_text(last, evidence.subject.field)}.{more}"
    return InstantVerdict("received_null", None, sentence)


def _expired(evidence: InstantEvidence, time: str) -> InstantVerdict:
    last = evidence.expired[-1]
    record = record_text(evidence.facts.get(last["seq"]), last["idx"])
    came = f"{value_text(last['value'])} came with {record}, and is past retention"
    return InstantVerdict("expired", None, f"Nothing stands at {time} any more: {came}.")


def _not_applied(evidence: InstantEvidence, time: str) -> InstantVerdict:
    possible = [row for row in evidence.rejections if not row["recovered_by"]]
    if possible:
        sentence = f"Nothing stands at {time}; {_refusals(possible)}, and it may have been meant for this series."
        return InstantVerdict("possibly_rejected", None, sentence)
    if evidence.waiting:
        wait = "a payload waits" if evidence.waiting.count == 1 else f"{evidence.waiting.count} payloads wait"
        sentence = f"Nothing stands at {time} yet; {wait} to be applied to feed '{evidence.subject.feed}'."
        return InstantVerdict("waiting", None, sentence)
    if evidence.doubts.unsearched:
        count = evidence.doubts.unsearched
        those = (
            "a payload that may hold a record of it was" if count == 1 else f"{count} payloads that may hold one were"
        )
        sentence = f"Nothing stands at {time}; {those} not searched: that would take too long, or they cannot be read."
        return InstantVerdict("unsearched", None, sentence)
    return InstantVerdict("never_received", None, _never(evidence, time))


def _never(evidence: InstantEvidence, time: str) -> str:
    """The sentence of an instant of which nothing is known, with what else is not known."""
    doubts, unknown = evidence.doubts, []
    if doubts.untimed:
        records = "record has" if doubts.untimed == 1 else "records have"
        unknown.append(f"{doubts.untimed} rejected {records} no time that could be read")
    if doubts.deleted_payloads:
        payloads = "payload was" if doubts.deleted_payloads == 1 else "payloads were"
        unknown.append(f"{doubts.deleted_payloads} {payloads} deleted with all that they held")
    if doubts.unnoted:
        unknown.append("null values of payloads that an earlier version of Tidemill applied are not known")
    if doubts.omits_items:
        unknown.append("items of its arrays whose values are all null are no records, and are not noted")
    none = "is known to have come" if unknown else "was ever received"
    sentence = f"No record of {time} {none} for this series."
    if not evidence.subject.known:
        sentence = f"{_no_such_series(evidence.subject)}, and no record of {time} {none} for one."
    return f"{sentence} Of this feed, {'; '.join(unknown)}." if unknown else sentence


def _no_such_series(subject: Subject) -> str:
    named = {**({"field": subject.field} if subject.field else {}), **subject.tags}
    which = ", ".join(f"{name} '{value}'" for name, value in named.items())
    return f"Feed '{subject.feed}' has no series{' of ' + which if which else ''} yet"


def _stands(evidence: InstantEvidence) -> InstantVerdict:
    last: dict[str, Any] = [row for row in evidence.points if row["value"] is not None or is_computed(evidence.feed)][
        -1
    ]
    facts = evidence.facts.get(last["seq"])
    more = len(evidence.points) - 1
    time, record = format_instant(evidence.at_ns), record_text(facts, last["idx"])
    parts = [f"{value_text(last['value'])} stands at {time}, from {record}"]
    parts += [f"{more} more of the same instant stand beside it"] if more else []
    parts += [f"it replaced {len(evidence.replaced)} earlier"] if evidence.replaced else []
    parts += [f"{len(evidence.nulls)} more came without a value"] if evidence.nulls else []
    parts += [f"it is flagged {', '.join(last['marks'])}"] if last["marks"] else []
    return InstantVerdict("stands", last["value"], capitalize("; ".join(parts)) + ".")


def _deleted_last(evidence: InstantEvidence, certain: list[dict[str, Any]]) -> bool:
    """Whether a deletion is the last event of the instant: no record was rejected after it."""
    newest = max([evidence.subject.deleted_seq, *(deletion.seq for deletion in evidence.deletions)])
    later = [*certain, *evidence.nulls, *evidence.expired]
    return newest > 0 and all(row["seq"] <= newest for row in later)


def _deleted_with_payload(evidence: InstantEvidence, certain: list[dict[str, Any]]) -> bool:
    """Whether the point was deleted with its payload, and that is the last event of the instant."""
    of_point = [change for change in evidence.changes if change.every_s is None]
    if not of_point or of_point[-1].why != "deleted":
        return False
    deleted_ns = parse_instant(of_point[-1].changed_at)
    return all(row["received_at"] <= deleted_ns for row in [*certain, *evidence.nulls, *evidence.expired])


def _refusals(rows: list[dict[str, Any]]) -> str:
    """A clause about rejected records and their reasons."""
    reasons = ", ".join(sorted({reason for row in rows for reason in row["reasons"]}))
    if len(rows) == 1:
        return f"record {rows[0]['idx']} of payload {rows[0]['receipt']} was rejected ({reasons})"
    return f"{len(rows)} records were rejected ({reasons})"


class WhyQuery(QueryParameters, frozen=True, kw_only=True):
    """An instant of a series, selected by its id, or by feed, field and tags."""

    series: Annotated[int | None, Parameter("The series, by its id.", readers.series, TEXT)] = None
    feed: Annotated[
        str | None, Parameter("The feed, where the series is named by `field` and tags.", readers.word, TEXT)
    ] = None
    field: FieldName = None
    tags: Tags = {}
    time: Annotated[
        int,
        Parameter(
            "The instant: RFC 3339, a date (midnight UTC), or a number since the epoch with `unit`.",
            readers.instant,
            {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800"]},
        ),
    ]
    unit: Unit = None


class Story(msgspec.Struct, frozen=True):
    """What happened to one instant. `series` is null for a series that never existed, where the request does not have
    all parts of its id. `previous` and `next`: the next point or rejected record on either side. `polls`: those of the
    feed's source around the instant, at most 20 on either side."""

    series: str | None
    feed: str
    field: str | None
    tags: dict[str, str]
    time: str
    events: list[Event]
    verdict: InstantVerdict
    around: Around
    previous: NextStep | None
    next: NextStep | None
    polls: list[InstantPoll]
    links: dict[str, str]


class WhyQueries:
    """Reads stories of instants. `applied` gives a tenant's applied offset in each partition."""

    def __init__(
        self, store: Store, log: LogReader, book: FeedBook, hidden: Hidden, applied: Callable[[str], Reach]
    ) -> None:
        self._store = store
        self._subjects = Subjects(store, book, hidden)
        self._gatherer = Gatherer(store, log, book)
        self._applied = applied

    def why(self, tenant: str, query: WhyQuery) -> Story:
        """The story. Raises NotFoundError for an id or a feed that is not this tenant's, InputError where the query
        selects no series or several."""
        at_ns = query.time
        subject = self._subjects.find_subject(tenant, query.series, query.feed, query.field, query.tags)
        evidence = self._gatherer.gather(tenant, subject, at_ns, self._applied(tenant))
        surroundings = read_surroundings(self._store, tenant, subject, evidence.feed, at_ns)
        return Story(
            series=subject.id,
            feed=subject.feed,
            field=subject.field,
            tags=subject.tags,
            time=format_instant(at_ns),
            events=instant_events(evidence),
            verdict=instant_verdict(evidence),
            around=surroundings.around,
            previous=surroundings.neighbours.previous,
            next=surroundings.neighbours.next,
            polls=surroundings.polls,
            links=_links(subject, at_ns, stands=bool(evidence.points)),
        )


def _links(subject: Subject, at_ns: int, *, stands: bool) -> dict[str, str]:
    links = {"feed": f"/v1/feeds/{subject.feed}", "rejections": f"/v1/rejections?feed={subject.feed}"}
    if not subject.known or subject.deleted or subject.deleting:
        return links
    series = f"/v1/series/{subject.id}"
    if stands:
        links["lineage"] = f"{series}/lineage?time={format_instant(at_ns)}"
    return {"series": series, **links, "rejections": f"/v1/rejections?feed={subject.feed}&series={subject.id}"}
