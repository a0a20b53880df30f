"""What was deleted on request, and whether that concerns a series, an instant or a payload.

The selector of a deletion is what was asked for, as JSON: of `feed`, `series`, `tags`, `receipt` and a range `start`,
`end` those that it names. It concerns what fits all of them and was submitted before it.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from tidemill.model.ids import format_series
from tidemill.model.time import parse_instant
from tidemill.store.client import Store

MAX_DELETIONS: Final = 10_000


class AppliedDeletion(msgspec.Struct, frozen=True):
    """A deletion that was applied, in ns."""

    id: str
    seq: int
    kind: str
    selector: dict[str, Any]
    applied_ns: int

    def names(self, receipt: str) -> bool:
        """Whether it is of this payload."""
        return receipt in _texts(self.selector, "receipt", "receipts", "payload")

    def covers(self, feed: str, series: int, tags: Mapping[str, str], at_ns: int) -> bool:
        """Whether it is of a series, a range of one or a whole feed, and this instant of this series is in it."""
        chosen = self.selector
        named = _texts(chosen, "series")
        if self.kind == "payload" or chosen.get("feed", feed) != feed:
            return False
        if named and format_series(series) not in named:
            return False
        if any(tags.get(name) != value for name, value in chosen.get("tags", {}).items()):
            return False
        return (bool(named) or "feed" in chosen) and _within(chosen, at_ns)


def deletions(store: Store, tenant: str) -> list[AppliedDeletion]:
    """The applied deletions of a tenant, newest first, at most MAX_DELETIONS."""
    rows = store.rows("why_deletions", tenant=tenant, limit=MAX_DELETIONS)
    return [_deletion(row) for row in rows if row["applied_at"] > 0]


def gone_at(store: Store, tenant: str, payloads: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """Since when the bytes of these payloads (`receipt`, `feed`, `seq`) are gone (ns), by receipt: where a deletion
    names one, or where only one deletion can have taken it along."""
    known = deletions(store, tenant)
    found: dict[str, int] = {}
    for row in payloads:
        naming = [one for one in known if one.names(row["receipt"])]
        wider = [one for one in known if one.kind != "payload" and one.selector.get("feed") == row["feed"]]
        chosen = naming or [one for one in wider if one.seq > row["seq"]]
        if len(chosen) == 1:
            found[row["receipt"]] = chosen[0].applied_ns
    return found


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
    found: list[str] = []
    for name in names:
        value = selector.get(name, [])
        found += [value] if isinstance(value, str) else [item for item in value if isinstance(item, str)]
    return found


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
