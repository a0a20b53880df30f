"""Decides whether windows are answered from the rollups that the mill keeps, or from points. Both give the same answer.

Rollups answer windows in UTC of exactly the length that every version of the feed keeps, whole (the range begins and
ends between windows), of points that never expire and that no filter leaves out.
"""

from collections.abc import Sequence
from typing import Final

from tidemill.errors import FeedDefinitionError, NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.model.time import NS_PER_S, duration_ns
from tidemill.query.readers import WindowLength
from tidemill.query.series_rows import Description
from tidemill.query.window_frames import WindowQuery

KEPT: Final = frozenset({"mean", "min", "max", "sum", "count"})  # aggregates of a rollup window
_UNITS: Final = ("ns", "us", "ms", "s", "m", "h", "d")  # of windows that begin at multiples since the epoch, in UTC


class WindowPlanner:
    """Knows the rollups of the feeds in a book."""

    def __init__(self, book: FeedBook) -> None:
        self._book = book

    def rollup_seconds(
        self, tenant: str, series: Sequence[Description], query: WindowQuery, every: WindowLength | None
    ) -> int:
        """The length (s) of the rollup windows that answer a question about windows of `every`; 0: points do."""
        if every is None or every.unit not in _UNITS or not KEPT.issuperset(query.aggregates):
            return 0
        length = every.nominal_ns
        whole = all(bound is None or bound % length == 0 for bound in (query.start, query.end))
        plain = query.closed == "left" and query.quality is None and query.marked is None
        if not (whole and plain and (query.tz == "UTC" or every.of_epoch)) or length % NS_PER_S:
            return 0
        kept = all(self._keeps(tenant, feed, length) for feed in {item.feed for item in series})
        return length // NS_PER_S if kept else 0

    def _keeps(self, tenant: str, name: str, length: int) -> bool:
        """Whether every version of a feed keeps rollups of this length (ns), and its points for good."""
        try:
            newest = self._book.newest(tenant, name)
            versions = [newest, *(self._book.version(tenant, name, number) for number in range(1, newest.version))]
        except (NotFoundError, FeedDefinitionError):  # a version cannot be read: its plug-in is not installed
            return False
        return all(
            feed.rollups is not None and duration_ns(feed.rollups.every) == length and feed.retention.points is None
            for feed in versions
        )
