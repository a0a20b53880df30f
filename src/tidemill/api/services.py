"""The collaborators of the API: `service.py` (the composition root) makes them for `create_app`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from anyio import to_thread

from tidemill.api.applied import AppliedOffsets
from tidemill.api.draining import Draining
from tidemill.api.guide_files import GUIDE_FOLDER
from tidemill.api.page_files import PAGE_FOLDER
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
    `internal_secret` opens `/internal/...`; `open_access`: no key is needed while none exists. `wake_worker()` tells a
    worker that a job waits. `warm_workers`: worker processes are started before a request needs them. `page_folder`:
    where `make ui` built the page; `guide_folder`: where `make guide` built the documentation. `draining`: whether the
    server was told to end.
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
    pending_deletions: PendingDeletions
    mills: Sequence[MillStateReader]
    clock: Callable[[], int]
    internal_secret: str
    open_access: bool
    wake_worker: Callable[[], None]
    warm_workers: bool = False
    page_folder: Path = PAGE_FOLDER
    guide_folder: Path = GUIDE_FOLDER
    draining: Draining = msgspec.field(default_factory=lambda: Draining(0.0))


async def newest_version(book: FeedBook, tenant: str, name: str) -> Feed:
    """The newest version of a feed, also of a removed one, as `in_force`. Raises what `FeedBook.newest` raises."""
    feed = book.cached(tenant, name)
    return feed if feed is not None else await to_thread.run_sync(book.newest, tenant, name)


async def in_force(book: FeedBook, tenant: str, name: str) -> Feed:
    """The feed in force, for handlers in the event loop: from memory, or, once for each version, compiled in a thread
    (a tenth of a second, in which every other tenant would wait). Raises what `FeedBook.current` raises."""
    feed = book.cached(tenant, name)
    return feed if feed is not None else await to_thread.run_sync(book.current, tenant, name)
