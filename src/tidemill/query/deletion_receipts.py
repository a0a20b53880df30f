"""Deletion receipts: what was requested to be deleted, how much that was, and whether the bytes are erased from disk.

The store has the receipts of deletions that are applied or being applied; one that only the log has is `requested`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tidemill.errors import NotFoundError
from tidemill.log.contract import LogReader
from tidemill.model import deletion
from tidemill.model.deletion import Deletion, Selector
from tidemill.model.offset import Partition, Reach, start_of
from tidemill.model.payload import EntryKind, Payload
from tidemill.model.time import NS_PER_S, format_instant
from tidemill.query.cursors import PROCESS_SEALS, Seals, merge_partitions
from tidemill.query.parameters import QueryParameters, SealedCursor, limit_to
from tidemill.store.client import Store
from tidemill.store.deletions import DeletionEvidence

State = Literal["dry_run", "requested", "applied", "erased"]


class DeletionsQuery(QueryParameters, frozen=True):
    """A page of deletions."""

    limit: Annotated[int, limit_to(1000)] = 100
    cursor: SealedCursor = None


class KeptPayloadsQuery(QueryParameters, frozen=True):
    """A page of payloads that kept their bytes."""

    limit: Annotated[int, limit_to(10_000)] = 1000
    cursor: SealedCursor = None


class DeletionItem(msgspec.Struct, frozen=True):
    """A deletion receipt. `points`, `records` and `payloads` (those that lost their bytes) count what was deleted;
    `payloads_kept` hold records that are not deleted, too, so they keep their bytes. Counts are null until it is
    applied. `erase_by`: when the bytes are erased from disk at the latest; `erased_at`: when they were. A dry run has
    no `id`, and its counts are what would be deleted."""

    id: str | None
    kind: str
    selector: Selector
    requested_at: str | None
    applied_at: str | None
    points: int | None
    records: int | None
    payloads: int | None
    payloads_kept: int | None
    erase_by: str | None
    erased_at: str | None
    state: State
    links: dict[str, str]


class DeletionPage(msgspec.Struct, frozen=True):
    """A page of deletions, newest first. Those that are not applied yet are on the first page only."""

    items: list[DeletionItem]
    next: str | None


class KeptPayload(msgspec.Struct, frozen=True):
    """A payload that kept its bytes."""

    receipt: str
    links: dict[str, str]


class KeptPage(msgspec.Struct, frozen=True):
    """A page of payloads that kept their bytes, in the order of the log."""

    items: list[KeptPayload]
    next: str | None


class DeletionQueries:
    """Reads deletion receipts of a store and its log."""

    def __init__(self, store: Store, log: LogReader, seals: Seals = PROCESS_SEALS) -> None:
        self._store, self._log, self._seals = store, log, seals

    def receipt(self, tenant: str, receipt: str) -> DeletionItem:
        """The receipt of this id. Raises NotFoundError."""
        rows = self._store.rows("deletion_receipt", tenant=tenant, id=receipt)
        if rows and rows[0]["applied_ns"] is not None:
            return _applied_item(rows[0])
        logged = self._log.find(tenant, receipt)
        if logged is None or logged.payload.kind is not EntryKind.DELETE:
            raise NotFoundError(f"there is no deletion '{receipt[:64]}'")
        return requested_item(logged.payload)

    def exists(self, tenant: str, receipt: str) -> bool:
        """Whether the store or the log has a deletion of this id."""
        if self._store.rows("deletion_receipt", tenant=tenant, id=receipt):
            return True
        logged = self._log.find(tenant, receipt)
        return logged is not None and logged.payload.kind is EntryKind.DELETE

    def list_deletions(self, tenant: str, query: DeletionsQuery, applied: Reach) -> DeletionPage:
        """A page; `applied` is the applied offset of each partition. Raises InputError for an invalid cursor."""
        newest = tuple(Partition(number).end + 1 for number in range(len(applied)))
        before = self._seals.open_or_start("deletions", tenant, query.cursor, newest)
        rows = [
            self._store.rows("deletion_page", tenant=tenant, low=start_of(n), before=below, limit=query.limit + 1)
            for n, below in enumerate(before)
        ]
        taken = merge_partitions(rows, query.limit, lambda row: -row["requested_ns"])
        page = [(number, row) for number, row in taken if row["applied_ns"] is not None]
        items = [_applied_item(row) for _, row in page]
        if not query.cursor:
            known = {item.id for item in items}
            items = [item for item in self._waiting(tenant, applied) if item.id not in known] + items
        more = page and sum(map(len, rows)) > query.limit
        reached = dict(enumerate(before)) | {number: row["seq"] for number, row in page}
        return DeletionPage(items, self._seals.seal("deletions", tenant, *reached.values()) if more else None)

    def _waiting(self, tenant: str, applied: Reach) -> list[DeletionItem]:
        """The deletions that are not applied yet, newest first."""
        waiting = [
            [entry.payload for entry in reversed(log.deletions(after)) if entry.payload.tenant == tenant]
            for log, after in zip(self._log.partitions, applied, strict=True)
        ]
        newest = merge_partitions(waiting, sum(map(len, waiting)), lambda payload: -payload.received_ns)
        return [requested_item(payload) for _, payload in newest]

    def list_kept_payloads(self, tenant: str, receipt: str, query: KeptPayloadsQuery) -> KeptPage:
        """A page of the payloads that kept their bytes after a deletion; empty until it is applied. Raises
        NotFoundError for an unknown deletion, InputError for an invalid cursor."""
        rows = self._store.rows("deletion_receipt", tenant=tenant, id=receipt)
        if not rows:
            self.receipt(tenant, receipt)
            return KeptPage([], None)
        feed = msgspec.json.decode(rows[0]["selector"])["feed"]
        (after,) = self._seals.open_or_start("kept", tenant, query.cursor, (0,))
        kept = self._store.rows(
            "deletion_kept",
            tenant=tenant,
            feed=feed,
            deletion=rows[0]["seq"],
            after=after,
            limit=query.limit + 1,
        )
        page = kept[: query.limit]
        following = self._seals.seal("kept", tenant, page[-1]["seq"]) if len(kept) > len(page) else None
        return KeptPage([KeptPayload(r["receipt"], {"self": f"/v1/receipts/{r['receipt']}"}) for r in page], following)


def requested_item(payload: Payload) -> DeletionItem:
    """The receipt of a deletion that is durable and not applied yet."""
    order = deletion.decode_deletion(payload)
    erase_by = payload.received_ns + int(order.erase_s * NS_PER_S)
    return DeletionItem(
        id=payload.receipt,
        kind=order.kind,
        selector=order.selector,
        requested_at=format_instant(payload.received_ns),
        applied_at=None,
        points=None,
        records=None,
        payloads=None,
        payloads_kept=None,
        erase_by=format_instant(erase_by),
        erased_at=None,
        state="requested",
        links={"self": f"/v1/deletions/{payload.receipt}"},
    )


def preview_item(order: Deletion, evidence: DeletionEvidence) -> DeletionItem:
    """The receipt of a dry run: what the deletion would delete now, of which `evidence` has the counts."""
    return DeletionItem(
        id=None,
        kind=order.kind,
        selector=order.selector,
        requested_at=None,
        applied_at=None,
        points=evidence.points,
        records=evidence.records,
        payloads=evidence.whole.height,
        payloads_kept=evidence.kept,
        erase_by=None,
        erased_at=None,
        state="dry_run",
        links={},
    )


def _applied_item(row: Mapping[str, Any]) -> DeletionItem:
    links = {"self": f"/v1/deletions/{row['id']}"}
    if row["payloads_kept"]:
        links["payloads_kept"] = f"/v1/deletions/{row['id']}/payloads"
    times = {
        f"{name}_at": None if row[f"{name}_ns"] is None else format_instant(row[f"{name}_ns"])
        for name in ("requested", "applied", "erased")
    }
    return DeletionItem(
        id=row["id"],
        kind=row["kind"],
        selector=msgspec.json.decode(row["selector"]),
        **times,
        points=row["points"],
        records=row["records"],
        payloads=row["payloads"],
        payloads_kept=row["payloads_kept"],
        erase_by=format_instant(row["erase_by_ns"]),
        state="applied" if row["erased_ns"] is None else "erased",
        links=links,
    )
