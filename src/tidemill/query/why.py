"""Why: the whole story of one instant of a series, as ordered events and a verdict. For administrators only, since it
shows rejected records."""

from collections.abc import Callable
from typing import Final

import msgspec

from tidemill.feeds.book import FeedBook
from tidemill.log.contract import LogReader
from tidemill.model.offset import Reach
from tidemill.model.time import format_instant
from tidemill.query import readers
from tidemill.query.parameters import FIELD, TAGS, UNIT, Asked, Parameter
from tidemill.query.series import Hidden
from tidemill.query.why_absent import Around, around
from tidemill.query.why_events import Event, events
from tidemill.query.why_evidence import Gatherer
from tidemill.query.why_subject import Subject, Subjects
from tidemill.query.why_verdict import Verdict, verdict
from tidemill.store.client import Store

WHY_PARAMETERS: Final = (
    Parameter("series", "The series, by its id.", readers.series, {"type": "string"}),
    Parameter("feed", "The feed, where the series is named by `field` and tags.", readers.word, {"type": "string"}),
    FIELD,
    TAGS,
    Parameter(
        "time",
        "The instant: RFC 3339, a date (midnight UTC), or a number since the epoch with `unit`.",
        readers.instant,
        {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800"]},
        required=True,
    ),
    UNIT,
)


class Story(msgspec.Struct, frozen=True):
    """What happened to one instant. `series` is null when it never was and the question does not say enough to name it.
    `around` is null while something stands."""

    series: str | None
    feed: str
    field: str | None
    tags: dict[str, str]
    time: str
    events: list[Event]
    verdict: Verdict
    around: Around | None
    links: dict[str, str]


class WhyQueries:
    """Tells stories. `applied` gives the offset in each partition up to which the store has everything of a tenant."""

    def __init__(
        self, store: Store, log: LogReader, book: FeedBook, hidden: Hidden, applied: Callable[[str], Reach]
    ) -> None:
        self._store = store
        self._subjects = Subjects(store, book, hidden)
        self._gatherer = Gatherer(store, log, book)
        self._applied = applied

    def why(self, tenant: str, asked: Asked) -> Story:
        """The story by WHY_PARAMETERS. Raises NotFoundError for an id or a feed that is not this tenant's, InputError
        when it is not said which series, or several fit."""
        at_ns: int = asked["time"]
        subject = self._subjects.find(tenant, asked)
        evidence = self._gatherer.gather(tenant, subject, at_ns, self._applied(tenant))
        absent = None if evidence.points else around(self._store, tenant, subject, evidence.feed, at_ns)
        return Story(
            series=subject.id,
            feed=subject.feed,
            field=subject.field,
            tags=subject.tags,
            time=format_instant(at_ns),
            events=events(evidence),
            verdict=verdict(evidence),
            around=absent,
            links=_links(subject, at_ns, stands=bool(evidence.points)),
        )


def _links(subject: Subject, at_ns: int, *, stands: bool) -> dict[str, str]:
    found = {"feed": f"/v1/feeds/{subject.feed}", "rejections": f"/v1/rejections?feed={subject.feed}"}
    if not subject.known or subject.deleted or subject.deleting:
        return found
    series = f"/v1/series/{subject.id}"
    if stands:
        found["lineage"] = f"{series}/lineage?time={format_instant(at_ns)}"
    return {"series": series, **found, "rejections": f"/v1/rejections?feed={subject.feed}&series={subject.id}"}
