"""Keeps a payload that cannot be applied, or whose bytes were lost, and makes nothing of it."""

from typing import Final

from tidemill.feeds.book import FeedBook
from tidemill.mill import ledger, rollups
from tidemill.mill.context import MillContext
from tidemill.model.payload import LogEntry

_POISON_TEXT: Final = 64 << 10


def set_aside(context: MillContext, book: FeedBook, entry: LogEntry, why: str) -> None:
    """Remove what an attempt at a payload may have written (what its values replaced stays in `replaced`), then write
    its rejection with the reason, then its row. Raises StoreUnavailableError, StoreQueryError: set it aside again."""
    _purge(context, book, entry)
    rejections = ledger.poison_rejection(entry, why)
    text = entry.payload.body[:_POISON_TEXT].decode("utf-8", "replace")  # of any size, it must not fail for it
    of = entry.payload.tenant, entry.payload.feed, ledger.payload_origins([entry])
    outcomes = ledger.outcomes_without_points(rejections, "poison")
    payloads = ledger.payload_rows([entry], outcomes, context.versions.next())
    context.store.insert("rejections", ledger.rejection_rows(rejections, *of, [text]))
    context.store.insert("payloads", payloads)
    context.status.poisoned += 1
    context.status.failed(f"payload {entry.seq} is set aside: {why}", context.clock())


def _purge(context: MillContext, book: FeedBook, entry: LogEntry) -> None:
    store, tenant, feed = context.store, entry.payload.tenant, entry.payload.feed
    store.command("mill_withdraw_rejections", tenant=tenant, feed=feed, seq=entry.seq)
    store.command("mill_withdraw_changes", tenant=tenant, seq=entry.seq)
    if store.rows("mill_points_of", tenant=tenant, seq=entry.seq)[0]["n"]:
        late = rollups.late_of(book, tenant, feed, entry.payload.feed_version)
        version = context.versions.next()
        store.command("mill_rollups_without", tenant=tenant, seq=entry.seq, version=version, late_ns=late)
        store.command("mill_withdraw_points", tenant=tenant, seq=entry.seq)
