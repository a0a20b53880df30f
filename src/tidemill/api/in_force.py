"""The feed in force, for handlers in the event loop: a look into memory, or, once a version, a thread that compiles it.

A definition can take a tenth of a second to compile; in the loop every other tenant would wait for it.
"""

from anyio import to_thread

from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed


async def in_force(book: FeedBook, tenant: str, name: str) -> Feed:
    """The feed in force. Raises what `FeedBook.current` raises."""
    feed = book.known(tenant, name)
    return feed if feed is not None else await to_thread.run_sync(book.current, tenant, name)
