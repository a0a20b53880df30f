"""Applies deletions, step by step: deletes what a deletion names and was submitted before it, and writes a receipt with
the counts of what that was.

Every step may be repeated: first the counts of the receipt, then the payloads that are deleted whole, then the changes
and the tombstones, then the purge of the rows, then the rollups of the windows whose changes were written; last the
receipt says `applied`. The bytes leave the disk later (`erase.py`).

A series or a feed is deleted by a mark (`deleted_seq`), so it is quick however many points there are. With a payload
its points are deleted; the values that they had replaced stay replaced, and the records that they had superseded stay
rejected.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import msgspec
import polars as pl

from tidemill.crash_points import reach
from tidemill.errors import UnavailableError
from tidemill.feeds.book import FeedBook
from tidemill.mill import deletion_rows, ledger
from tidemill.mill.context import MillContext
from tidemill.mill.deletion_changes import DeletionChanges
from tidemill.mill.deletion_receipts import Counted, DeletionReceiptRows
from tidemill.mill.deletion_scope import ScopeReader
from tidemill.mill.stages import TransformPipeline
from tidemill.model import deletion as deletions
from tidemill.model.deletion import Deletion
from tidemill.model.payload import LogEntry
from tidemill.store.deletions import DeletionScope

_log = logging.getLogger(__name__)
OnDeletion = Callable[[str, str], None]


def no_replays(tenant: str, feed: str) -> None:
    """Does nothing, for a mill without replays: no plan on disk could bring back deleted points of a feed."""


def _no_retention() -> None:
    """Does nothing, for a mill without retention."""


class Deleter:
    """Applies deletions to one store. Calls `before(tenant, feed)` before anything of a feed is deleted, and `after`
    when deletions are applied and their points are still to be purged."""

    def __init__(
        self,
        context: MillContext,
        book: FeedBook,
        pipeline: TransformPipeline,
        *,
        before: OnDeletion = no_replays,
        after: Callable[[], None] = _no_retention,
    ) -> None:
        self._context = context
        self._store = context.store
        self._known = context.known
        self._scopes = ScopeReader(context, book, pipeline)
        self._receipts = DeletionReceiptRows(context)
        self._changes = DeletionChanges(context, book)
        self._before = before
        self._after = after

    def apply_deletions(self, entries: Sequence[LogEntry]) -> None:
        """Apply these deletions in their order. Raises StoreUnavailableError, StoreQueryError: apply them again."""
        readable = [(entry, deletion) for entry in entries if (deletion := _read_deletion(entry)) is not None]
        for tenant, run in groupby(readable, key=_tenant_of_whole_series):
            if tenant:
                self._delete_whole_series(tenant, list(run))
                continue
            for entry, deletion in run:
                self._delete(entry, deletion)
        seqs = pl.DataFrame({"seq": [entry.seq for entry in entries]}, schema={"seq": pl.UInt64})
        outcomes = ledger.payload_outcomes(seqs.with_columns(records=0), ledger.concat_rejections([]), "applied")
        rows = ledger.payload_rows(entries, outcomes, self._context.versions.next())
        self._store.insert("payloads", rows)
        self._after()

    def _delete_whole_series(self, tenant: str, run: Sequence[tuple[LogEntry, Deletion]]) -> None:
        """Delete whole series of one tenant, all with the same few statements, because there may be many."""
        pending = self._receipts.pending(tenant, [entry for entry, _ in run])
        run = [(entry, deletion) for entry, deletion in run if entry.payload.receipt in pending]
        if not run:
            return
        self._begin(tenant, {deletion.feed for _, deletion in run}, run[-1][0].seq)
        offsets = {deletion.number: entry.seq for entry, deletion in run}
        self._known.load_series(tenant, offsets, 0)
        deleted = self._known.deleted(offsets)
        deleted_before = [deleted.get(series, 0) for series in offsets]
        keys = {"tenant": tenant, "series": list(offsets), "upto_seqs": list(offsets.values())}
        counted = {
            row["series"]: row for row in self._store.rows("deletion_sole_series", deleted_seqs=deleted_before, **keys)
        }
        rows: list[Counted] = []
        seqs: set[int] = set()
        for entry, deletion in run:
            row = counted.pop(deletion.number, {"points": 0, "records": 0, "seqs": []})
            counts = {"points": row["points"], "records": row["records"], "payloads": len(row["seqs"])}
            before = pending[entry.payload.receipt]  # counted before any of it was deleted
            rows.append((entry, deletion, before or counts | {"payloads_kept": 0}))
            seqs.update(row["seqs"])
        self._receipts.begin(tenant, rows)
        reach("deletion.begun")
        deletion_rows.purge_bodies_at(self._context, tenant, sorted(seqs))
        deletion_rows.mark_series_deleted(self._context, tenant, offsets)
        self._receipts.finish(tenant, rows)

    def _delete(self, entry: LogEntry, deletion: Deletion) -> None:
        tenant, seq = entry.payload.tenant, entry.seq
        pending = self._receipts.pending(tenant, [entry])
        if entry.payload.receipt not in pending:
            return
        self._begin(tenant, {deletion.feed}, seq)
        before = pending[entry.payload.receipt]
        begun = before is not None and before["payloads"] > 0
        concerned = self._scopes.read_concerned(tenant, deletion, seq, begun=begun)
        scope, evidence = concerned.scope, concerned.evidence
        counts = before or {
            "points": evidence.points,
            "records": evidence.records,
            "payloads": evidence.whole.height,
            "payloads_kept": evidence.kept,
        }
        self._receipts.begin(tenant, [(entry, deletion, counts)])
        reach("deletion.begun")
        # Payloads first, because the points show which payloads they are.
        deletion_rows.purge_bodies(self._context, tenant, evidence.whole["receipt"])
        if deletion.kind in ("series", "feed"):
            deletion_rows.write_tombstones_of_shared_records(self._context, scope, seq)
            reach("deletion.in_between")
            deletion_rows.mark_series_deleted(self._context, tenant, dict.fromkeys(scope.series, seq))
        elif scope.series or scope.everything:
            self._delete_points(scope, seq, deletion)
            if deletion.tags and deletion.start_ns is None and deletion.end_ns is None:
                # The series have no points left, and are listed no more. The changes of the deletion itself stay.
                deletion_rows.mark_series_deleted(self._context, tenant, dict.fromkeys(scope.series, seq - 1))
        self._known.drop(scope.series)
        reach("deletion.before_applied")
        self._receipts.finish(tenant, [(entry, deletion, counts)])

    def _delete_points(self, scope: DeletionScope, seq: int, deletion: Deletion) -> None:
        """Delete points of a range or a payload: write their changes and tombstones, purge their rows, then compute
        their windows again."""
        if scope.series:
            self._changes.announce(scope, seq, deletion)
        deletion_rows.write_tombstones(self._context, scope, seq, deletion)
        reach("deletion.tombstones_written")
        deletion_rows.purge_rows(self._context, scope, seq, deletion)
        reach("deletion.in_between")
        self._changes.republish(scope, seq)

    def _begin(self, tenant: str, feeds: Iterable[str], seq: int) -> None:
        self._known.tombstones.note_deletion(tenant, seq)
        self._context.status.turn()
        try:
            for feed in feeds:
                self._before(tenant, feed)
        except UnavailableError:
            raise
        except Exception as error:  # no error is the fault of the deletion: it waits, and is never given up
            message = f"deletion {seq} waits for the replays of its feed: {type(error).__name__}: {error}"
            raise UnavailableError(message) from error


def _tenant_of_whole_series(pair: tuple[LogEntry, Deletion]) -> str:
    """The tenant of a deletion of a whole series; empty for a deletion that is applied by itself."""
    entry, deletion = pair
    return entry.payload.tenant if deletion.alone and deletion.kind == "series" else ""


def _read_deletion(entry: LogEntry) -> Deletion | None:
    try:
        return deletions.decode_deletion(entry.payload)
    except (msgspec.MsgspecError, ValueError):
        _log.error("entry %d of the log is no deletion that can be read", entry.seq)
        return None
