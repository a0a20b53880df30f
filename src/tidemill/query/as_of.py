"""Answers as they stood at an instant: from what had been received by then. Refused where that cannot be known.

At each instant of a series the value stands that had been received by then; of several the last submitted, where the
last wins. It is known from current points and from replaced values. It is not where points were deleted or a replay
changed them since, and where points expire. A payload that is deleted takes its replaced values with it, and nothing
says of which instants they were: then no answer of its feed from before is known.
"""

from collections.abc import Sequence
from typing import Any

from tidemill.errors import Fault, FeedDefinitionError, InputError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.model.time import format_instant
from tidemill.query.deletions import AppliedDeletion, applied_deletions
from tidemill.query.parameters import TimeRange
from tidemill.query.series_rows import Description
from tidemill.store.client import Store


class PastAnswers:
    """Knows since when answers are what they are."""

    def __init__(self, store: Store, book: FeedBook) -> None:
        self._store, self._book = store, book

    def check(self, tenant: str, series: Sequence[Description], span: TimeRange, as_of_ns: int, now_ns: int) -> None:
        """Raises InputError where it cannot be known how the points of these series in a span stood at `as_of_ns`."""
        if as_of_ns > now_ns:
            raise _refusal("it has not come yet")
        for feed in sorted({item.feed for item in series}):
            if self._may_expire(tenant, feed):
                raise _refusal(f"points of the feed '{feed}' expire, and what did since then is not known")
        for deletion in applied_deletions(self._store, tenant):
            if deletion.applied_ns > as_of_ns and any(_may_touch(deletion, item, span) for item in series):
                what = "a payload of the feed" if deletion.kind == "payload" else "points of the range"
                raise _refusal(f"the deletion {deletion.id} removed {what} since then")
        changes = self._store.rows(
            "as_of_changes",
            tenant=tenant,
            series=[item.series for item in series],
            first=span.first_ns,
            last=span.last_ns,
            as_of=as_of_ns,
        )
        for row in changes:
            what = "were deleted" if row["why"] == "deleted" else "were changed by a replay"
            times = f"between {format_instant(row['first'])} and {format_instant(row['last'])}"
            raise _refusal(f"{row['points']} points of the range, {times}, {what} since then")

    def _may_expire(self, tenant: str, name: str) -> bool:
        """Whether points expire under a version of a feed, or it cannot be read whether they do."""
        try:
            newest = self._book.newest(tenant, name)
            versions = [newest, *(self._book.version(tenant, name, number) for number in range(1, newest.version))]
        except (NotFoundError, FeedDefinitionError):
            return True
        return any(feed.retention.points is not None for feed in versions)


def _refusal(why: str) -> InputError:
    message = f"as_of: how this stood at that time cannot be known: {why}"
    return InputError(message, (Fault("$query.as_of", "not_known", message),))


def _may_touch(deletion: AppliedDeletion, item: Description, span: TimeRange) -> bool:
    """Whether a deletion of a payload, a whole series or a feed may concern a series; others leave change events."""
    chosen: dict[str, Any] = deletion.selector
    if deletion.kind == "payload":
        return bool(chosen.get("feed", item.feed) == item.feed)
    whole = "start" not in chosen and "end" not in chosen
    return whole and deletion.covers(item.feed, item.series, item.tags, span.first_ns)
