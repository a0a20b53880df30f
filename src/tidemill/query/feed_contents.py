"""How much the store has of a feed: what the removal of the feed, or of its data, concerns."""

import msgspec

from tidemill.model.deletion import Deletion
from tidemill.store.client import Store
from tidemill.store.deletions import read_scope

_ANY_OFFSET = (1 << 63) - 1


class FeedContents(msgspec.Struct, frozen=True):
    """What is applied of a feed: its series, the points that count, the receipts whose bytes are not deleted, and the
    rejected records."""

    series: int
    points: int
    receipts: int
    rejections: int


def read_contents(store: Store, tenant: str, feed: str) -> FeedContents:
    """The contents of a feed. Takes longer the more points there are. Raises
    StoreUnavailableError, StoreQueryError."""
    scope = read_scope(store, tenant, Deletion(kind="feed", feed=feed), _ANY_OFFSET)
    points = 0
    if scope.series:
        row = store.rows("deletion_points_count", deleted_seqs=scope.deleted_seqs, **scope.points)[0]
        points = int(row["points"])
    counts = store.rows("feed_contents", tenant=tenant, feed=feed)[0]
    return FeedContents(counts["series"], points, counts["receipts"], counts["rejections"])
