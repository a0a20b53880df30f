"""Applied deletions, and whether one of them selects an instant of a series or a payload.

The selector of a deletion is JSON with some of `feed`, `series`, `tags`, `receipt` and a range `start`, `end`. A
deletion selects what matches all members of its selector and was submitted before the deletion.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from tidemill.model.ids import format_series
from tidemill.model.time import parse_instant
from tidemill.store.client import Store

MAX_DELETIONS: Final = 10_000


class AppliedDeletion(msgspec.Struct, frozen=True):
    """A deletion that was applied; `applied_ns` in ns since the epoch."""

    id: str
    seq: int
    kind: str
    selector: dict[str, Any]
    applied_ns: int

    def names(self, receipt: str) -> bool:
        """Whether the selector names this payload."""
        return receipt in _texts(self.selector, "receipt", "receipts", "payload")

    def covers(self, feed: str, series: int, tags: Mapping[str, str], at_ns: int) -> bool:
        """Whether the deletion selects this instant of this series: by series, by range or by feed, not by payload."""
        chosen = self.selector
        named = _texts(chosen, "series")
        if self.kind == "payload" or chosen.get("feed", feed) != feed:
            return False
        if named and format_series(series) not in named:
            return False
        if any(tags.get(name) != value for name, value in chosen.get("tags", {}).items()):
            return False
        return (bool(named) or "feed" in chosen) and _within(chosen, at_ns)


def applied_deletions(store: Store, tenant: str) -> list[AppliedDeletion]:
    """The applied deletions of a tenant, newest first, at most MAX_DELETIONS."""
    rows = store.rows("why_deletions", tenant=tenant, limit=MAX_DELETIONS)
    return [_deletion(row) for row in rows if row["applied_at"] > 0]


def bytes_deleted_at(store: Store, tenant: str, payloads: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """When the bytes of these payloads (`receipt`, `feed`, `seq`) were deleted, in ns, by receipt. Has only payloads
    that one deletion names, or that only one later deletion of their feed can have included."""
    known = applied_deletions(store, tenant)
    times: dict[str, int] = {}
    for row in payloads:
        naming = [deletion for deletion in known if deletion.names(row["receipt"])]
        of_feed = [item for item in known if item.kind != "payload" and item.selector.get("feed") == row["feed"]]
        chosen = naming or [deletion for deletion in of_feed if deletion.seq > row["seq"]]
        if len(chosen) == 1:
            times[row["receipt"]] = chosen[0].applied_ns
    return times


def _deletion(row: Mapping[str, Any]) -> AppliedDeletion:
    try:
        selector = msgspec.json.decode(row["selector"], type=dict[str, Any])
    except msgspec.MsgspecError:
        selector = {}
    return AppliedDeletion(
        id=row["id"],
        seq=row["seq"],
        kind=row["kind"],
        selector=selector,
        applied_ns=row["applied_at"],
    )


def _texts(selector: Mapping[str, Any], *names: str) -> list[str]:
    texts: list[str] = []
    for name in names:
        value = selector.get(name, [])
        texts += [value] if isinstance(value, str) else [item for item in value if isinstance(item, str)]
    return texts


def _within(selector: Mapping[str, Any], at_ns: int) -> bool:
    start, end = (_ns(selector.get(name)) for name in ("start", "end"))
    return (start is None or start <= at_ns) and (end is None or at_ns < end)


def _ns(bound: Any) -> int | None:
    if isinstance(bound, int):
        return bound
    try:
        return parse_instant(bound) if isinstance(bound, str) else None
    except ValueError:
        return None
