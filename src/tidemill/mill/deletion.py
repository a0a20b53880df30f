"""Applies deletions, step by step: what they name and was submitted before them is deleted, and a receipt says how much
that was.

Every step may be done again: first the receipt's counts, then the payloads that go whole, then the changes and the
tombstones, then the rows themselves, then the rollups of the windows that were announced; last the receipt says
`applied`. The bytes leave the disk later (`erase.py`).

A series or a feed is deleted by a mark (`deleted_seq`), so it is quick however many points there are. A payload that is
deleted takes its points with it; what those had replaced stays replaced, and what had lost to them stays rejected.
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
    """For a mill without replays: nothing on disk of a feed could bring back what is deleted."""


def _no_retention() -> None:
    """For a mill without retention."""


class Deleter:
    """Applies deletions to one store. `before(tenant, feed)` is called before anything of a feed is deleted, `after`
    when deletions are applied: their points are still to be purged."""

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

    def apply(self, entries: Sequence[LogEntry]) -> None:
        """Apply these deletions in their order. Raises StoreUnavailableError, StoreQueryError: apply them again."""
        readable = [(entry, deletion) for entry in entries if (deletion := _read(entry)) is not None]
        for tenant, run in groupby(readable, key=_tenant_of_whole_series):
            if tenant:
                self._delete_whole_series(tenant, list(run))
                continue
            for entry, deletion in run:
                self._delete(entry, deletion)
        nothing = pl.DataFrame({"seq": [entry.seq for entry in entries]}, schema={"seq": pl.UInt64})
        outcomes = ledger.payload_outcomes(nothing.with_columns(records=0), ledger.concat_rejections([]), "applied")
        rows = ledger.payload_rows(entries, outcomes, self._context.versions.next())
        self._store.insert("payloads", rows)
        self._after()

    def _delete_whole_series(self, tenant: str, run: Sequence[tuple[LogEntry, Deletion]]) -> None:
        """Series that were sent whole, of one tenant: together, as there may be many, and none costs more than a few
        statements."""
        pending = self._receipts.pending(tenant, [entry for entry, _ in run])
        run = [(entry, deletion) for entry, deletion in run if entry.payload.receipt in pending]
        if not run:
            return
        self._begin(tenant, {deletion.feed for _, deletion in run}, run[-1][0].seq)
        up_to = {deletion.number: entry.seq for entry, deletion in run}
        self._known.load(tenant, up_to, 0)
        deleted = self._known.deleted(up_to)
        gone = [deleted.get(series, 0) for series in up_to]
        keys = {"tenant": tenant, "series": list(up_to), "ups": list(up_to.values())}
        counted = {row["series"]: row for row in self._store.rows("deletion_alone", gone=gone, **keys)}
        rows: list[Counted] = []
        seqs: set[int] = set()
        for entry, deletion in run:
            row = counted.pop(deletion.number, {"points": 0, "records": 0, "seqs": []})
            counts = {"points": row["points"], "records": row["records"], "payloads": len(row["seqs"])}
            before = pending[entry.payload.receipt]  # counted before any of it went
            rows.append((entry, deletion, before or counts | {"payloads_kept": 0}))
            seqs.update(row["seqs"])
        self._receipts.begin(tenant, rows)
        reach("deletion.begun")
        deletion_rows.purge_bodies_at(self._context, tenant, sorted(seqs))
        deletion_rows.mark_series_deleted(self._context, tenant, up_to)
        self._receipts.finish(tenant, rows)

    def _delete(self, entry: LogEntry, deletion: Deletion) -> None:
        tenant, seq = entry.payload.tenant, entry.seq
        pending = self._receipts.pending(tenant, [entry])
        if entry.payload.receipt not in pending:
            return
        self._begin(tenant, {deletion.feed}, seq)
        before = pending[entry.payload.receipt]
        begun = before is not None and before["payloads"] > 0
        concerned = self._scopes.read(tenant, deletion, seq, begun=begun)
        scope, there = concerned.scope, concerned.evidence
        counts = before or {
            "points": there.points,
            "records": there.records,
            "payloads": there.gone.height,
            "payloads_kept": there.kept,
        }
        self._receipts.begin(tenant, [(entry, deletion, counts)])
        reach("deletion.begun")
        deletion_rows.purge_bodies(self._context, tenant, there.gone["receipt"])  # first: which shows from the points
        if deletion.kind in ("series", "feed"):
            deletion_rows.write_tombstones_of_shared_records(self._context, scope, seq)
            reach("deletion.in_between")
            deletion_rows.mark_series_deleted(self._context, tenant, dict.fromkeys(scope.series, seq))
        elif scope.series or scope.everything:
            self._delete_points(scope, seq, deletion)
            if deletion.tags and deletion.start_ns is None and deletion.end_ns is None:
                # All there was of them: they are listed no more. Not up to the deletion itself, whose changes stay.
                deletion_rows.mark_series_deleted(self._context, tenant, dict.fromkeys(scope.series, seq - 1))
        self._known.drop(scope.series)
        reach("deletion.before_applied")
        self._receipts.finish(tenant, [(entry, deletion, counts)])

    def _delete_points(self, scope: DeletionScope, seq: int, deletion: Deletion) -> None:
        """Points of a range or a payload: their changes, their tombstones, their rows; then their windows."""
        if scope.series:
            self._changes.announce(scope, seq, deletion)
        deletion_rows.write_tombstones(self._context, scope, seq, deletion)
        reach("deletion.buried")
        deletion_rows.purge_rows(self._context, scope, seq, deletion)
        reach("deletion.in_between")
        self._changes.republish(scope, seq)

    def _begin(self, tenant: str, feeds: Iterable[str], seq: int) -> None:
        self._known.tombstones.note(tenant, seq)
        self._context.status.turn()
        try:
            for feed in feeds:
                self._before(tenant, feed)
        except UnavailableError:
            raise
        except Exception as error:  # whatever it is, the deletion is not at fault: it waits, and is never given up
            message = f"deletion {seq} waits for the replays of its feed: {type(error).__name__}: {error}"
            raise UnavailableError(message) from error


def _tenant_of_whole_series(pair: tuple[LogEntry, Deletion]) -> str:
    """The tenant of a series that was sent whole; empty for what is applied by itself."""
    entry, deletion = pair
    return entry.payload.tenant if deletion.alone and deletion.kind == "series" else ""


def _read(entry: LogEntry) -> Deletion | None:
    try:
        return deletions.read(entry.payload)
    except (msgspec.MsgspecError, ValueError):
        _log.error("entry %d of the log is no deletion that can be read", entry.seq)
        return None
