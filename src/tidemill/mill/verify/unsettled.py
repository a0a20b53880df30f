"""Deletions and replays that the mill had begun to write and has not ended. Their feeds are not verified.

A mill that ended in the middle of a deletion or replay completes it at its next start; until then the store has neither
the state before nor the state after.
"""

import msgspec

from tidemill.catalog.replays import CatalogReplays
from tidemill.model.job import OVER
from tidemill.store.client import Store


class Unsettled(msgspec.Struct):
    """`feeds`, by tenant, with something half done; `notes` that say what."""

    feeds: dict[str, frozenset[str]] = {}
    notes: list[str] = []


def read_unsettled(store: Store, replays: CatalogReplays | None, tenant: str) -> Unsettled:
    """What is half done now, of one tenant or (empty) of all."""
    result = Unsettled()
    for row in store.rows("verify_deletions", tenant=tenant):
        if not row["applied"]:
            _leave_out(result, row["tenant"], row["feed"], f"deletion {row['id']} is half applied")
    for replay in [] if replays is None else replays.list(tenant or None):
        about = f"replay {replay.id} of '{replay.request.feed}' is {replay.state}"
        if replay.state == "publishing":
            _leave_out(result, replay.tenant, replay.request.feed, about)
        elif replay.state not in OVER:
            result.notes.append(f"{about}: {replay.done} of {replay.total} payloads; it has changed nothing yet")
    return result


def _leave_out(result: Unsettled, tenant: str, feed: str, why: str) -> None:
    result.feeds[tenant] = result.feeds.get(tenant, frozenset()) | {feed}
    result.notes.append(f"feed '{feed}' of tenant '{tenant}' is left out: {why}")
