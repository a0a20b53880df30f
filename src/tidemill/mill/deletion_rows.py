"""What a deletion does to rows: tombstones for what must not return, the mark of a whole series, and the purge of what
is not covered by it. Every function may be run again. Raises StoreUnavailableError, StoreQueryError.

A tombstone is written before the rows that it stands for are purged, because it is made of them.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from tidemill.mill.context import MillContext
from tidemill.model.deletion import Deletion
from tidemill.store.deletions import DeletionScope

_CHUNK: Final = 5_000


def entomb_records(context: MillContext, scope: DeletionScope, seq: int, deletion: Deletion) -> None:
    """Write tombstones of the records of a range, and of those that had lost to a record of a payload."""
    store, bound = context.store, {"feed": scope.feed, "deletion": seq}
    if deletion.kind == "payload":
        store.command(
            "deletion_write_superseded_tombstones", tenant=scope.tenant, series=scope.series, low=scope.low, **bound
        )
    else:
        store.command("deletion_write_tombstones", records=scope.records, **bound, **scope.points)
        store.command("deletion_write_rejected_tombstones", deletion=seq, **scope.rejections)


def entomb_shared_records(context: MillContext, scope: DeletionScope, seq: int) -> None:
    """Of whole series: write tombstones of records that are not theirs alone, and purge their rejections."""
    store = context.store
    if scope.series and not scope.everything:
        store.command("deletion_write_tombstones", feed=scope.feed, records=False, deletion=seq, **scope.points)
        store.command("deletion_write_rejected_tombstones", deletion=seq, **scope.rejections)
    if scope.series or scope.everything:
        store.command("deletion_purge_rejections", **scope.rejections)


def mark_series(context: MillContext, tenant: str, up_to: Mapping[int, int]) -> None:
    """Mark series as deleted up to these payloads: rollups first, so that a crash between is made good."""
    if not up_to:
        return
    store, series, seqs = context.store, list(up_to), list(up_to.values())
    store.command("mill_empty_rollups", tenant=tenant, series=series, version=context.versions.next())
    store.command("mill_delete_series", tenant=tenant, series=series, seqs=seqs)
    if store.rows("deletion_change_count", tenant=tenant, series=series)[0]["n"]:
        store.command("deletion_purge_series_changes", tenant=tenant, series=series, upto_seqs=seqs)
    context.known.drop(series)


def purge_rows(context: MillContext, scope: DeletionScope, seq: int, deletion: Deletion) -> None:
    """Purge the rows of a range or a payload; what there is none of costs no statement."""
    store, status = context.store, context.status
    traces = store.rows("deletion_traces", deletion=seq, **scope.rejections)[0]
    if traces["changes"]:
        store.command("deletion_purge_changes", deletion=seq, **scope.points)
    if traces["replaced"]:
        store.command("deletion_purge_replaced", **scope.points)
    if traces["rejections"]:
        store.command("deletion_purge_rejections", **scope.rejections)
    status.turn()
    if deletion.kind == "payload" and scope.series:
        store.command("deletion_purge_payload_points", tenant=scope.tenant, series=scope.series, low=scope.low)
    elif scope.series:
        store.command("deletion_purge_points", **scope.points)
    status.turn()


def empty_payloads(context: MillContext, tenant: str, receipts: pl.Series) -> None:
    """Payloads of which nothing else is left lose their bytes."""
    version = context.versions.next()
    for start in range(0, receipts.len(), _CHUNK):
        part = receipts[start : start + _CHUNK].to_list()
        context.store.command("deletion_clear_payloads", tenant=tenant, receipts=part, version=version)
        context.status.turn()


def empty_payloads_at(context: MillContext, tenant: str, seqs: list[int]) -> None:
    """As `empty_payloads`, of payloads by their offsets."""
    for start in range(0, len(seqs), _CHUNK):
        part, version = seqs[start : start + _CHUNK], context.versions.next()
        context.store.command("deletion_clear_offsets", tenant=tenant, seqs=part, version=version)
