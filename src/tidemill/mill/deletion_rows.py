"""Writes of a deletion: tombstones of records that must not return, marks of deleted series, and the purge of other
rows. Every function may be run again. Raises StoreUnavailableError, StoreQueryError.

A tombstone is written before the rows of its record are purged, because it is made from them.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from tidemill.mill.context import MillContext
from tidemill.model.deletion import Deletion
from tidemill.store.client import Store
from tidemill.store.deletions import DeletionScope

_CHUNK: Final = 5_000


def write_tombstones(context: MillContext, scope: DeletionScope, seq: int, deletion: Deletion) -> None:
    """Write tombstones of the records of a range, or of the records that are superseded by a record of a payload."""
    store, bound = context.store, {"feed": scope.feed, "deletion": seq}
    if deletion.kind == "payload":
        store.command(
            "deletion_write_superseded_tombstones", tenant=scope.tenant, series=scope.series, low=scope.low, **bound
        )
    else:
        store.command("deletion_write_tombstones", records=scope.records, **bound, **scope.points)
        store.command("deletion_write_rejected_tombstones", deletion=seq, **scope.rejections)
    if _has_submissions(store, scope):
        _write_chained_tombstones(store, scope, seq)


def _has_submissions(store: Store, scope: DeletionScope) -> bool:
    """Whether records of these series were compared by their local times."""
    rows = store.rows("deletion_submissions", tenant=scope.tenant, series=scope.series) if scope.series else [{"n": 0}]
    return bool(rows[0]["n"])


def _write_chained_tombstones(store: Store, scope: DeletionScope, seq: int) -> None:
    """Write tombstones of the duplicates of deleted records at other instants, and of the duplicates of these."""
    keys = {"tenant": scope.tenant, "feed": scope.feed, "deletion": seq}
    while store.rows("deletion_chained_count", **keys)[0]["n"]:
        store.command("deletion_write_chained_tombstones", **keys)


def write_tombstones_of_shared_records(context: MillContext, scope: DeletionScope, seq: int) -> None:
    """Write tombstones of records that whole series share with other series, and purge the rejections of these
    series."""
    store = context.store
    if scope.series and not scope.everything:
        store.command("deletion_write_tombstones", feed=scope.feed, records=False, deletion=seq, **scope.points)
        store.command("deletion_write_rejected_tombstones", deletion=seq, **scope.rejections)
    if scope.series or scope.everything:
        store.command("deletion_purge_rejections", **scope.rejections)


def mark_series_deleted(context: MillContext, tenant: str, upto_seqs: Mapping[int, int]) -> None:
    """Mark each series as deleted up to a payload (its seq); rollups first, so that running it again after a crash in
    between completes it."""
    if not upto_seqs:
        return
    store, series, seqs = context.store, list(upto_seqs), list(upto_seqs.values())
    store.command("mill_empty_rollups", tenant=tenant, series=series, version=context.versions.next())
    store.command("mill_delete_series", tenant=tenant, series=series, seqs=seqs)
    if store.rows("deletion_change_count", tenant=tenant, series=series)[0]["n"]:
        store.command("deletion_purge_series_changes", tenant=tenant, series=series, upto_seqs=seqs)
    context.known.drop(series)


def purge_rows(context: MillContext, scope: DeletionScope, seq: int, deletion: Deletion) -> None:
    """Purge the rows of a range or a payload. A table without such rows costs no statement."""
    store, status = context.store, context.status
    traces = store.rows("deletion_traces", deletion=seq, **scope.rejections)[0]
    if traces["changes"]:
        store.command("deletion_purge_changes", deletion=seq, **scope.points)
    if traces["replaced"]:
        store.command("deletion_purge_replaced", **scope.points)
    if traces["rejections"]:
        store.command("deletion_purge_rejections", **scope.rejections)
    if _has_submissions(store, scope):
        store.command("deletion_purge_submissions", feed=scope.feed, deletion=seq, **scope.points)
    status.turn()
    if deletion.kind == "payload" and scope.series:
        store.command("deletion_purge_payload_points", tenant=scope.tenant, series=scope.series, low=scope.low)
    elif scope.series:
        store.command("deletion_purge_points", **scope.points)
    status.turn()


def purge_bodies(context: MillContext, tenant: str, receipts: pl.Series) -> None:
    """Purge the bytes of payloads of which no record is left."""
    version = context.versions.next()
    for start in range(0, receipts.len(), _CHUNK):
        part = receipts[start : start + _CHUNK].to_list()
        context.store.command("deletion_clear_payloads", tenant=tenant, receipts=part, version=version)
        context.status.turn()


def purge_bodies_at(context: MillContext, tenant: str, seqs: list[int]) -> None:
    """As `purge_bodies`, of payloads by their offsets."""
    for start in range(0, len(seqs), _CHUNK):
        part, version = seqs[start : start + _CHUNK], context.versions.next()
        context.store.command("deletion_clear_offsets", tenant=tenant, seqs=part, version=version)
