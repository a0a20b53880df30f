"""Checks that the tenant and the feed to be verified exist: a name that nobody knows is a mistake, not a clean
result."""

from collections.abc import Iterable

from tidemill.errors import NotFoundError
from tidemill.feeds.book import FeedBook
from tidemill.model.offset import EVERYWHERE
from tidemill.store.client import Store


def check_feed(store: Store, book: FeedBook, tenants: Iterable[str], feed: str) -> None:
    """Raises NotFoundError for a feed that neither the catalog nor the store knows of any of these tenants. An empty
    name stands for all feeds."""
    if not feed:
        return
    for tenant in tenants:
        if (
            book.has_feed(tenant, feed)
            or store.rows("verify_total", tenant=tenant, feed=feed, after=0, upto=EVERYWHERE["high"])[0]["n"]
        ):
            return
    raise NotFoundError(f"there is no feed '{feed[:100]}' to verify")


def check_tenant(store: Store, known: Iterable[str], tenant: str) -> list[str]:
    """The tenants that a name stands for: that one, or (empty) every one that the catalog (`known`) or the store
    knows. Raises NotFoundError for one that neither knows."""
    every = sorted({*known, *(row["tenant"] for row in store.rows("verify_tenants", **EVERYWHERE))})
    if tenant and tenant not in every:
        raise NotFoundError(f"there is no tenant '{tenant[:100]}' to verify")
    return [tenant] if tenant else every
