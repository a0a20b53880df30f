"""The list of receipts, newest first: of payloads in the store, and of those that wait in the log.

Ids of receipts sort by the time of receipt, so a page is a range of the store's key. The newest ids are read first, as
they stand in the table; only these are then read in their current version.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec

from tidemill.log.contract import LogReader, PartitionReader
from tidemill.model.ids import receipt_floor
from tidemill.model.offset import Reach
from tidemill.model.payload import EntryKind, LogEntry
from tidemill.query.cursors import encode_cursor
from tidemill.query.parameters import FeedName, RangeParameters, limit_to, one_of, page_cursor, time_range
from tidemill.query.receipts import Receipt, receipt_links, stored_receipt
from tidemill.store.client import Store

_AFTER_ALL: Final = "~"  # sorts after every id
_MAX_WAITING: Final = 5_000  # entries of a partition that are looked at: the newest
_MAX_WAITING_BYTES: Final = 16 << 20
_CHUNK: Final = 500
_RARE: Final = ("refused", "poison", "deleted")


class ReceiptsQuery(RangeParameters, frozen=True):
    """Filters of receipts: of payloads received in [start, end)."""

    feed: FeedName = None
    state: Annotated[
        Literal["stored", "applied", "refused", "poison", "deleted"] | None,
        one_of(
            "Only in this state. `stored`: it waits to be applied.",
            "stored",
            "applied",
            "refused",
            "poison",
            "deleted",
        ),
    ] = None
    limit: Annotated[int, limit_to(1000)] = 100
    cursor: Annotated[tuple[str] | None, page_cursor(str)] = None


class ReceiptPage(msgspec.Struct, frozen=True):
    """A page of receipts, newest first. `partial`: more payloads wait to be applied than a page looks at, so that some
    that wait may be missing; they are listed once they are applied."""

    items: list[Receipt]
    next: str | None
    partial: bool


class ReceiptList:
    """Lists receipts of one store and log. `applied` gives a tenant's applied offset in each partition."""

    def __init__(self, store: Store, log: LogReader, applied: Callable[[str], Reach]) -> None:
        self._store, self._log, self._applied = store, log, applied

    def list_receipts(self, tenant: str, query: ReceiptsQuery) -> ReceiptPage:
        """A page of receipts. Raises StoreUnavailableError, StoreQueryError, LogUnavailableError."""
        before = query.cursor[0] if query.cursor else _AFTER_ALL
        # The log first: what is applied in between is then in the store.
        waiting, partial = self._waiting(tenant, query, before) if query.state in (None, "stored") else ([], False)
        known = self._stored(tenant, query, before) if query.state != "stored" else self._applied_of(tenant, waiting)
        by_id = {receipt.id: receipt for receipt in (*waiting, *known)}
        found = sorted(by_id.values(), key=lambda receipt: receipt.id, reverse=True)
        chosen = [receipt for receipt in found if query.state in (None, receipt.state)]
        page = chosen[: query.limit]
        return ReceiptPage(page, encode_cursor(page[-1].id) if len(chosen) > len(page) else None, partial)

    def _stored(self, tenant: str, query: ReceiptsQuery, before: str) -> list[Receipt]:
        """The newest `limit` + 1 receipts of the store before an id, or all there are."""
        span = time_range(query.start, query.end)
        since = "" if query.start is None else receipt_floor(query.start)
        bound: dict[str, Any] = {"tenant": tenant, "feed": query.feed or "", "state": query.state or "", "since": since}
        received = {"first": span.first_ns, "last": span.last_ns}
        receipts: list[Receipt] = []
        count = 2 * (query.limit + 1)  # a row is there once for each version that is not merged yet
        while len(receipts) <= query.limit:
            name = "receipts_newest_rare" if query.state in _RARE else "receipts_newest"
            ids = [row["id"] for row in self._store.rows(name, before=before, limit=count, **bound, **received)]
            if ids:
                receipts += self._read(tenant, ids, query.state or "")
            if len(ids) < count:
                break
            before = ids[-1]
        return receipts

    def _applied_of(self, tenant: str, waiting: list[Receipt]) -> list[Receipt]:
        """The receipts in the store of payloads that were read from the log: these wait no more."""
        return self._read(tenant, [receipt.id for receipt in waiting], "") if waiting else []

    def _read(self, tenant: str, ids: list[str], state: str) -> list[Receipt]:
        rows = self._store.rows("receipts_page", tenant=tenant, receipts=sorted(set(ids)), state=state)
        return [_receipt(row) for row in rows]

    def _waiting(self, tenant: str, query: ReceiptsQuery, before: str) -> tuple[list[Receipt], bool]:
        """The receipts before an id of payloads that the log has and the mill has not applied, and whether there may be
        more of them."""
        receipts, partial = [], False
        for partition, applied in zip(self._log.partitions, self._applied(tenant), strict=False):
            entries, cut = _newest_entries(partition, applied)
            partial |= cut
            receipts += [
                stored_receipt(entry)
                for entry in entries
                if entry.payload.tenant == tenant and _matches(entry, query) and entry.payload.receipt < before
            ]
        return receipts, partial


def _newest_entries(partition: PartitionReader, applied: int) -> tuple[list[LogEntry], bool]:
    """The newest entries of a partition after an offset, and whether there are more than are read here."""
    last = partition.last_seq()
    after = max(applied, last - _MAX_WAITING)
    cut, size, entries = after > applied, 0, list[LogEntry]()
    while after < last:
        if size > _MAX_WAITING_BYTES:
            return entries, True
        part = partition.read(after, _CHUNK, _MAX_WAITING_BYTES)
        if not part:
            break
        entries += part
        size += sum(len(entry.payload.body) for entry in part)
        after = part[-1].seq
    return entries, cut


def _matches(entry: LogEntry, query: ReceiptsQuery) -> bool:
    payload, span = entry.payload, time_range(query.start, query.end)
    is_data = payload.kind is not EntryKind.DELETE
    return is_data and query.feed in (None, payload.feed) and span.first_ns <= payload.received_ns <= span.last_ns


def _receipt(row: dict[str, Any]) -> Receipt:
    return msgspec.convert({**row, "links": receipt_links(row["id"])}, Receipt)
