"""Replays in the catalog: jobs whose result holds values of points, which a deletion removes from the result."""

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.catalog.jobs import CatalogJobs
from tidemill.model.job import CANCELLABLE, OVER
from tidemill.model.replay import Replay


class CatalogReplays(CatalogJobs[Replay]):
    """The replays of all tenants. Every method raises what the catalog raises."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, Replay)

    def cancel(self, tenant: str, job: str, now_ns: int) -> Replay:
        """See `CatalogJobs.cancel`; the text of a draft is removed, too."""
        replay = self.get(tenant, job)
        request = msgspec.structs.replace(replay.request, definition=None)
        return self.change(replay, only=CANCELLABLE, state="cancelled", finished_ns=now_ns, request=request)

    def remove_values(self, tenant: str, feed: str, until_ns: int, now_ns: int) -> None:
        """Remove the values from the results of a feed's replays that were made at or before `until_ns`, because some
        of the values are deleted. The counts stay. A replay made after `now_ns` has the time of a wrong clock, and is
        treated as made before."""
        for replay in self.list(tenant):
            outcome = replay.result
            later = until_ns < replay.created_ns <= now_ns
            if replay.state not in OVER or outcome is None or replay.request.feed != feed or later:
                continue
            if outcome.windows or outcome.points:
                bare = msgspec.structs.replace(outcome, windows=(), points=())
                bare = msgspec.structs.replace(bare, largest_window_change=None, largest_point_change=None)
                self.change(replay, only=OVER, result=bare)
