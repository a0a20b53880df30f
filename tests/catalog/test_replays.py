"""Replays in the catalog."""

from tidemill.catalog.replays import CatalogReplays
from tidemill.catalog.sqlite import SqliteCatalog
from tidemill.model.ids import new_receipt
from tidemill.model.replay import PointDifference, Replay, ReplayOutcome, ReplayRequest

HOUR_NS = 3600 * 10**9
NOW_NS = 500_000 * HOUR_NS


def finished(created_ns: int, feed: str = "location") -> Replay:
    """A replay that found a value."""
    return Replay(
        id=new_receipt(created_ns),
        tenant="default",
        request=ReplayRequest(feed=feed, version=1, dry_run=True),
        state="done",
        created_ns=created_ns,
        result=ReplayOutcome(points_added=1, points=(PointDifference(series="s", time_ns=1, old=None, new=7.0),)),
    )


def test_values_are_forgotten_of_what_may_have_been_found_before_a_deletion(catalog: SqliteCatalog) -> None:
    replays = CatalogReplays(catalog)
    before, later = finished(NOW_NS - 2 * HOUR_NS), finished(NOW_NS - HOUR_NS // 2)
    of_a_wrong_clock, of_another_feed = finished(NOW_NS + 87_600 * HOUR_NS), finished(NOW_NS - 2 * HOUR_NS, "signals")
    for replay in (before, later, of_a_wrong_clock, of_another_feed):
        replays.create(replay)
    replays.remove_values("default", "location", NOW_NS - HOUR_NS, NOW_NS)
    kept = {one.id: one.result for one in replays.list("default")}
    bare = ReplayOutcome(points_added=1)
    assert kept == {
        before.id: bare,
        of_a_wrong_clock.id: bare,
        later.id: later.result,
        of_another_feed.id: of_another_feed.result,
    }
