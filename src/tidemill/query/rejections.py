"""The rejection ledger as an administrator reads it: pages, newest first, and counts by reason.

Order: place in the log descending, then index in the payload descending; a cursor is such a place, so that pages stay
what they were while new rejections arrive.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tidemill.query.cursor import encode
from tidemill.query.parameters import (
    END,
    START,
    UNIT,
    Asked,
    Parameter,
    limit,
    page_cursor,
    time_range,
)
from tidemill.query.parameters import FEED as _FEED
from tidemill.query.readers import word
from tidemill.store.client import Store

_NEWEST: Final = (2**64 - 1, 2**32 - 1)
_TEXT: Final = {"type": "string"}

SUMMARY_PARAMETERS: Final = (_FEED, START, END, UNIT)
PAGE_PARAMETERS: Final = (
    _FEED,
    Parameter("reason", "Only with this reason code.", word, _TEXT),
    Parameter("receipt", "Only records of this payload.", word, _TEXT),
    START,
    END,
    UNIT,
    limit(100, 1000),
    page_cursor(int, int),
)


class Winner(msgspec.Struct, frozen=True):
    """The record that stands where a duplicate lost: its payload (null: no longer kept) and its index in it."""

    receipt: str | None
    index: int


class Rejection(msgspec.Struct, frozen=True):
    """A record that did not become points. `time` is null where none could be read; `record` is its JSON, or the raw
    text when it is none; `winner` is null unless a reason is `duplicate`."""

    feed: str
    receipt: str
    index: int
    received_at: str
    time: str | None
    reasons: list[str]
    detail: str
    record: Any
    rules_version: int
    winner: Winner | None


class RejectionPage(msgspec.Struct, frozen=True):
    """A page of the ledger."""

    items: list[Rejection]
    next: str | None


class RejectionSummary(msgspec.Struct, frozen=True):
    """Counts of rejected records; one with two reasons counts under both."""

    total: int
    by_reason: dict[str, int]
    by_feed: dict[str, int]


class Rejections:
    """Reads the ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, tenant: str, asked: Asked) -> RejectionPage:
        """A page by PAGE_PARAMETERS; `start` and `end` are times of receipt."""
        span = time_range(asked)
        before_seq, before_idx = asked["cursor"] or _NEWEST
        rows = self._store.rows(
            "rejections",
            tenant=tenant,
            feed=asked["feed"] or "",
            receipt=asked["receipt"] or "",
            reason=asked["reason"] or "",
            first=span.first_ns,
            last=span.last_ns,
            before_seq=before_seq,
            before_idx=before_idx,
            limit=asked["limit"] + 1,
        )
        page = rows[: asked["limit"]]
        more = len(rows) > len(page)
        receipts = self._receipts(tenant, {row["winner_seq"] for row in page if row["winner_seq"]})
        return RejectionPage(
            [_rejection(row, receipts) for row in page], encode(page[-1]["seq"], page[-1]["idx"]) if more else None
        )

    def summary(self, tenant: str, asked: Asked) -> RejectionSummary:
        """Counts by SUMMARY_PARAMETERS."""
        span = time_range(asked)
        rows = self._store.rows(
            "rejections_summary", tenant=tenant, feed=asked["feed"] or "", first=span.first_ns, last=span.last_ns
        )
        return msgspec.convert(rows[0], RejectionSummary)

    def _receipts(self, tenant: str, seqs: Iterable[int]) -> dict[int, str]:
        wanted = sorted(seqs)
        if not wanted:
            return {}
        return {row["seq"]: row["receipt"] for row in self._store.rows("receipts_by_seq", tenant=tenant, seqs=wanted)}


def _rejection(row: dict[str, Any], receipts: dict[int, str]) -> Rejection:
    winner = Winner(receipts.get(row["winner_seq"]), row["winner_idx"]) if row["winner_seq"] else None
    return Rejection(
        feed=row["feed"],
        receipt=row["receipt"],
        index=row["idx"],
        received_at=row["received_at"],
        time=row["time"],
        reasons=row["reasons"],
        detail=row["detail"],
        record=json_or_text(row["record"]),
        rules_version=row["rules_version"],
        winner=winner,
    )


def json_or_text(text: str) -> Any:
    """A record's text as the JSON it is, spelled as it came, or as a text when it is no JSON that can be sent."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return text
    return msgspec.Raw(text.encode())
