"""Replays in the catalog: jobs whose result holds values of points, which a deletion takes out of it."""

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.catalog.jobs import CatalogJobs
from tidemill.model.job import OVER
from tidemill.model.replay import Replay


class CatalogReplays(CatalogJobs[Replay]):
    """The replays of all tenants. Every method raises what the catalog raises."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, Replay)

    def forget_values(self, tenant: str, feed: str, until_ns: int, now_ns: int) -> None:
        """Take the values out of what replays of a feed that were asked for until then found: some are deleted now.
        Their counts stay. A replay from after now is of a clock that was wrong: when it was asked for nobody knows."""
        for one in self.list(tenant):
            found = one.result
            later = until_ns < one.created_ns <= now_ns
            if one.state not in OVER or found is None or one.request.feed != feed or later:
                continue
            if found.windows or found.points:
                bare = msgspec.structs.replace(found, windows=(), points=())
                bare = msgspec.structs.replace(bare, largest_window_change=None, largest_point_change=None)
                self.change(one, only=OVER, result=bare)
