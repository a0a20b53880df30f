"""What the API works with, put together by `service.py` (the composition root) and handed to `create_app`."""

from collections.abc import Callable, Sequence

import msgspec
from anyio import to_thread

from tidemill.api.applied import AppliedOffsets
from tidemill.api.pending_deletions import PendingDeletions
from tidemill.catalog.contract import Catalog
from tidemill.catalog.keys import KeyRing
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.feeds.revise import FeedVersions
from tidemill.log.contract import IntakeLog
from tidemill.mill.state import MillStateReader
from tidemill.query.queries import Queries
from tidemill.settings import Settings
from tidemill.store.client import Store


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Every collaborator of the API.

    `clock` is ns since the epoch, UTC. `mills` are the states of the mills of the partitions.
    `internal_secret` opens `/internal/...`; `open_access` says that nobody needs a key while none exists. `wake_worker`
    says that there is a job for a worker.
    """

    settings: Settings
    log: IntakeLog
    keys: KeyRing
    book: FeedBook
    texts: FeedVersions
    catalog: Catalog
    store: Store
    queries: Queries
    applied: AppliedOffsets
    deleted: PendingDeletions
    mills: Sequence[MillStateReader]
    clock: Callable[[], int]
    internal_secret: str
    open_access: bool
    wake_worker: Callable[[], None]


async def in_force(book: FeedBook, tenant: str, name: str) -> Feed:
    """The feed in force, for handlers in the event loop: a look into memory, or, once a version, a thread compiles it
    (a tenth of a second, in which every other tenant would wait). Raises what `FeedBook.current` raises."""
    feed = book.cached(tenant, name)
    return feed if feed is not None else await to_thread.run_sync(book.current, tenant, name)
