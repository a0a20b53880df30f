"""What the API works with, put together by `service.py` (the composition root) and handed to `create_app`."""

from collections.abc import Callable
from typing import Protocol

import msgspec
from anyio import to_thread

from tidemill.api.applied import Applied
from tidemill.api.deleted import Deleted
from tidemill.catalog.contract import Catalog
from tidemill.catalog.keys import KeyRing
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.feeds.revise import FeedVersions
from tidemill.log.contract import Appended, IntakeLog
from tidemill.mill.status import MillStatus
from tidemill.model.payload import Payload
from tidemill.query.queries import Queries
from tidemill.settings import Settings
from tidemill.store.client import Store


class AsyncLog(IntakeLog, Protocol):
    """An intake log that event loops can wait for."""

    async def append_async(self, payload: Payload, idempotency_key: str | None = None) -> Appended:
        """Like `IntakeLog.append`; wakes the loop once a commit, not once a payload."""

    def close(self) -> None:
        """Commit what was queued and give everything back."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """Every collaborator of the API.

    `clock` is ns since the epoch, UTC. `mill_status` is what the mill of each partition said last of itself.
    `internal_secret` opens `/internal/...`; `open_access` says that nobody needs a key while none exists.
    """

    settings: Settings
    log: AsyncLog
    keys: KeyRing
    book: FeedBook
    texts: FeedVersions
    catalog: Catalog
    store: Store
    queries: Queries
    applied: Applied
    deleted: Deleted
    mill_status: Callable[[], tuple[MillStatus | None, ...]]
    clock: Callable[[], int]
    internal_secret: str
    open_access: bool


async def in_force(book: FeedBook, tenant: str, name: str) -> Feed:
    """The feed in force, for handlers in the event loop: a look into memory, or, once a version, a thread compiles it
    (a tenth of a second, in which every other tenant would wait). Raises what `FeedBook.current` raises."""
    feed = book.known(tenant, name)
    return feed if feed is not None else await to_thread.run_sync(book.current, tenant, name)
