"""What is half done: deletions and replays that the mill had begun to write. Their feeds are not looked at.

A mill that was ended in the middle of one makes it whole at its next start; until then neither the state before nor the
one after is there.
"""

import msgspec

from tidemill.catalog.replays import CatalogReplays
from tidemill.model.job import OVER
from tidemill.store.client import Store


class Unsettled(msgspec.Struct):
    """`feeds`, by tenant, with something half done; `notes` that say what."""

    feeds: dict[str, frozenset[str]] = {}
    notes: list[str] = []


def unsettled(store: Store, replays: CatalogReplays | None, tenant: str) -> Unsettled:
    """What is half done now, of one tenant or (empty) of all."""
    found = Unsettled()
    for row in store.rows("verify_deletions", tenant=tenant):
        if not row["applied"]:
            _leave_out(found, row["tenant"], row["feed"], f"deletion {row['id']} is half applied")
    for replay in [] if replays is None else replays.list(tenant or None):
        about = f"replay {replay.id} of '{replay.request.feed}' is {replay.state}"
        if replay.state == "publishing":
            _leave_out(found, replay.tenant, replay.request.feed, about)
        elif replay.state not in OVER:
            found.notes.append(f"{about}: {replay.done} of {replay.total} payloads; it has changed nothing yet")
    return found


def _leave_out(found: Unsettled, tenant: str, feed: str, why: str) -> None:
    found.feeds[tenant] = found.feeds.get(tenant, frozenset()) | {feed}
    found.notes.append(f"feed '{feed}' of tenant '{tenant}' is left out: {why}")
