"""Applies deletions: what they name and was submitted before them goes, and a receipt says how much that was.

Everything is written so that it may be done again: first the receipt's counts, then the payloads that go whole, then
what tells of the rest (the changes, the records that must not come back), then the rows themselves, then the rollups of
the windows that were told; last the receipt says `applied`. The bytes leave the disk later (`erase.py`).

A series or a feed goes by a mark (`deleted_seq`), so it is quick however many points there are. A payload that is
deleted takes its points with it; what those had replaced stays replaced, and what had lost to them stays rejected.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
import polars as pl

from tidemill.crash_points import reach
from tidemill.errors import FeedDefinitionError, NotFoundError, UnavailableError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.mill import ledger, rollups
from tidemill.mill.changes import CHANGED, change_rows
from tidemill.mill.context import MillContext
from tidemill.mill.expired import Expired
from tidemill.mill.ledger import INSTANT
from tidemill.mill.stages import TransformPipeline
from tidemill.model import deletion as asked_for
from tidemill.model.deletion import Deletion
from tidemill.model.payload import Logged
from tidemill.model.time import NS_PER_S
from tidemill.store.deletions import Evidence, Scope, evidence, place_of, scope

_log = logging.getLogger(__name__)
_CHUNK: Final = 5_000
_PENDING, _APPLIED = 1, 2  # versions of a receipt
OnDeletion = Callable[[str, str], None]


def no_replays(tenant: str, feed: str) -> None:
    """For a mill without replays: nothing on disk of a feed could bring back what is deleted."""


def _nobody_waits() -> None:
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
        after: Callable[[], None] = _nobody_waits,
    ) -> None:
        self._store = context.store
        self._known = context.known
        self._status = context.status
        self._clock = context.clock
        self._next_version = context.versions.next
        self._book = book
        self._expired = Expired(context, pipeline)
        self._before = before
        self._after = after

    def apply(self, entries: Sequence[Logged]) -> None:
        """Apply these deletions in their order. Raises StoreUnavailableError, StoreQueryError: apply them again."""
        readable = [(entry, asked) for entry in entries if (asked := _read(entry)) is not None]
        for tenant, run in groupby(readable, key=_together):
            if tenant:
                self._alone(list(run))
                continue
            for entry, one in run:
                self._one(entry, one)
        nothing = pl.DataFrame({"seq": [entry.seq for entry in entries]}, schema={"seq": pl.UInt64})
        found = ledger.outcomes(nothing.with_columns(records=0), ledger.rejected([]), "applied")
        self._store.insert("payloads", ledger.payload_rows(entries, found, self._next_version()))
        self._after()

    def _alone(self, run: Sequence[tuple[Logged, Deletion]]) -> None:
        """Series that were sent whole, of one tenant: together, as there may be many, and none costs more than a few
        statements."""
        if not run:
            return
        tenant = run[0][0].payload.tenant
        todo = self._not_applied(tenant, [entry for entry, _ in run])
        run = [(entry, asked) for entry, asked in run if entry.payload.receipt in todo]
        if not run:
            return
        self._begin(tenant, {asked.feed for _, asked in run}, run[-1][0].seq)
        ups = {asked.number: entry.seq for entry, asked in run}
        self._known.load(tenant, ups, 0)
        deleted = self._known.deleted(ups)
        gone = [deleted.get(series, 0) for series in ups]
        keys = {"tenant": tenant, "series": list(ups), "ups": list(ups.values())}
        found = {row["series"]: row for row in self._store.rows("deletion_alone", gone=gone, **keys)}
        rows = []
        for entry, asked in run:
            row = found.pop(asked.number, {"points": 0, "records": 0, "seqs": []})
            counts = {"points": row["points"], "records": row["records"], "payloads": len(row["seqs"])}
            before = todo[entry.payload.receipt]  # counted before any of it went
            rows.append((entry, asked, before or counts | {"payloads_kept": 0}, row["seqs"]))
        self._receipts(tenant, [row[:3] for row in rows], _PENDING)
        reach("deletion.begun")
        seqs = sorted({seq for row in rows for seq in row[3]})
        for start in range(0, len(seqs), _CHUNK):
            part = seqs[start : start + _CHUNK]
            self._store.command("deletion_of_places", tenant=tenant, seqs=part, version=self._next_version())
        self._mark(tenant, ups)
        self._receipts(tenant, [row[:3] for row in rows], _APPLIED)

    def _one(self, entry: Logged, asked: Deletion) -> None:
        tenant, deletion = entry.payload.tenant, entry.seq
        known = self._not_applied(tenant, [entry])
        if entry.payload.receipt not in known:
            return
        self._begin(tenant, {asked.feed}, deletion)
        before = known[entry.payload.receipt]
        begun = before is not None and before["payloads"] > 0
        of = place_of(self._store, tenant, asked.receipt, begun=begun) if asked.receipt else None
        if asked.receipt and of is None:
            of = deletion  # nothing of it is left: an empty range of places
        found = scope(self._store, tenant, asked, deletion, of=of)
        there = evidence(self._store, found)
        if asked.kind == "range" and found.series and self._expires(found):
            there = self._expired.add(found, asked, there, deletion)
        counts = before or {
            "points": there.points,
            "records": there.records,
            "payloads": there.gone.height,
            "payloads_kept": there.kept,
        }
        self._receipts(tenant, [(entry, asked, counts)], _PENDING)
        reach("deletion.begun")
        self._payloads(tenant, there)  # first: which they are shows from the points
        if asked.kind in ("series", "feed"):
            self._whole_series(found, deletion)
        elif found.series or found.everything:
            self._points(found, deletion, asked)
            if asked.tags and asked.start_ns is None and asked.end_ns is None:
                # All there was of them: they are listed no more. Not up to the deletion itself, which told of it.
                self._mark(tenant, dict.fromkeys(found.series, deletion - 1))
        self._known.drop(found.series)
        reach("deletion.before_applied")
        self._receipts(tenant, [(entry, asked, counts)], _APPLIED)

    def _begin(self, tenant: str, feeds: Iterable[str], seq: int) -> None:
        self._known.tombstones.note(tenant, seq)
        self._status.turn()
        try:
            for feed in feeds:
                self._before(tenant, feed)
        except UnavailableError:
            raise
        except Exception as error:  # whatever it is, the deletion is not at fault: it waits, and is never given up
            message = f"deletion {seq} waits for the replays of its feed: {type(error).__name__}: {error}"
            raise UnavailableError(message) from error

    def _whole_series(self, found: Scope, deletion: int) -> None:
        """Series by a mark; what is not theirs alone is remembered record by record."""
        if found.everything:
            self._store.command("deletion_remove_rejections", **found.rejections)
        elif found.series:
            bound = {"feed": found.feed, "records": False, "deletion": deletion}
            self._store.command("deletion_bury", **bound, **found.points)
            self._store.command("deletion_bury_rejected", deletion=deletion, **found.rejections)
            self._store.command("deletion_remove_rejections", **found.rejections)
        reach("deletion.in_between")
        self._mark(found.tenant, dict.fromkeys(found.series, deletion))

    def _mark(self, tenant: str, ups: Mapping[int, int]) -> None:
        """Mark series as deleted up to these places: rollups first, so that a crash between is made good."""
        if not ups:
            return
        series = list(ups)
        self._store.command("mill_empty_rollups", tenant=tenant, series=series, version=self._next_version())
        self._store.command("mill_delete_series", tenant=tenant, series=series, seqs=list(ups.values()))
        if self._store.rows("deletion_has_changes", tenant=tenant, series=series)[0]["n"]:
            self._store.command(
                "deletion_remove_changes_of_series", tenant=tenant, series=series, ups=list(ups.values())
            )
        self._known.drop(series)

    def _points(self, found: Scope, deletion: int, asked: Deletion) -> None:
        """Points of a range or a payload: told of, remembered, removed; then their windows."""
        if found.series:
            self._tell(found, deletion, asked)
        told = {"feed": found.feed, "deletion": deletion}
        if asked.kind == "payload":
            self._store.command("deletion_bury_losers", tenant=found.tenant, series=found.series, low=found.low, **told)
        else:
            self._store.command("deletion_bury", records=found.records, **told, **found.points)
            self._store.command("deletion_bury_rejected", deletion=deletion, **found.rejections)
        reach("deletion.buried")
        self._remove(found, deletion, asked)
        reach("deletion.in_between")
        for every_s in self._widths(found):
            self._recompute(found, deletion, every_s)

    def _tell(self, found: Scope, deletion: int, asked: Deletion) -> None:
        """What is told is told before it goes: afterwards nobody knows what it was, and which windows it was in."""
        now = self._clock()
        told = {"feed": found.feed, "deletion": deletion, "now": now}
        self._store.command("deletion_tell_points", gone=found.gone, **told, **found.points)
        for every_s in self._widths(found):
            windows = self._store.frame(
                "deletion_windows", every_s=every_s, inside=asked.kind == "range", **found.points
            )
            self._tell_windows(found, deletion, every_s, windows.rename({"count": "old_count"}), 1)

    def _tell_windows(self, found: Scope, deletion: int, every_s: int, windows: pl.DataFrame, version: int) -> None:
        """Changes of windows (`series`, `window_ns`, `old_count`, maybe `new` and `new_count`), without old values."""
        some = "new" in windows.columns
        changed = windows.select(
            pl.lit(deletion).alias("seq"),
            pl.lit(0).alias("idx"),
            "series",
            pl.col("window_ns").alias("time"),
            pl.lit(None, pl.Float64).alias("old"),
            (pl.col("new") if some else pl.lit(None)).alias("new"),
            "old_count",
            (pl.col("new_count") if some else pl.lit(0)).alias("new_count"),
            pl.lit("deleted").alias("why"),
        ).select(pl.col(name).cast(kind) for name, kind in CHANGED.items())
        rows = change_rows(
            changed, tenant=found.tenant, feed=found.feed, now=self._clock(), version=0, every=every_s * NS_PER_S
        )
        nobody = pl.lit(0, pl.UInt64)
        rows = rows.with_columns(cause_seq=nobody, version=pl.lit(version, pl.UInt64))
        self._store.insert("changes", rows)

    def _remove(self, found: Scope, deletion: int, asked: Deletion) -> None:
        """Take the rows away; what there is none of costs no statement."""
        there = self._store.rows("deletion_traces", deletion=deletion, **found.rejections)[0]
        if there["changes"]:
            self._store.command("deletion_remove_changes", deletion=deletion, **found.points)
        if there["replaced"]:
            self._store.command("deletion_remove_replaced", **found.points)
        if there["rejections"]:
            self._store.command("deletion_remove_rejections", **found.rejections)
        self._status.turn()
        if asked.kind == "payload" and found.series:
            self._store.command(
                "deletion_remove_payload_points", tenant=found.tenant, series=found.series, low=found.low
            )
        elif found.series:
            self._store.command("deletion_remove_points", **found.points)
        self._status.turn()

    def _widths(self, found: Scope) -> list[int]:
        if not found.series:
            return []
        rows = self._store.rows("deletion_widths", tenant=found.tenant, series=found.series)
        return [row["every_s"] for row in rows]

    def _recompute(self, found: Scope, deletion: int, every_s: int) -> None:
        """Publish the windows that were told, as the points that are left make them, and tell what they are now."""
        keys = {"tenant": found.tenant, "every_s": every_s}
        told = self._store.frame("deletion_told_windows", deletion=deletion, **keys)
        if told.is_empty():
            return
        every = every_s * NS_PER_S
        windows = told.select("series", pl.col("window_ns").alias("window"))
        present = rollups.stored(self._store, tenant=found.tenant, every=every, windows=windows)
        if present["sealed"].any():
            self._store.command(
                "deletion_empty_sealed", series=found.series, first=found.first, last=found.last,
                version=self._next_version(), **keys,
            )  # fmt: skip
        open_ones = windows.join(present.filter("sealed"), on=rollups.KEY, how="anti")
        self._known.load(found.tenant, windows["series"].unique().to_list(), 0)
        version = self._next_version()
        late = rollups.late_of(self._book, found.tenant, found.feed, self._feed_version(found))
        rollups.recompute(
            self._store, self._known, tenant=found.tenant, every=every, windows=open_ones, version=version, late=late,
            restated_ns=self._clock(),
        )  # fmt: skip
        now = rollups.stored(self._store, tenant=found.tenant, every=every, windows=windows)
        mean = pl.when(pl.col("count") > 0).then("mean").alias("new")
        now = now.select("series", pl.col("window").alias("window_ns"), mean, pl.col("count").alias("new_count"))
        self._tell_windows(found, deletion, every_s, told.join(now, on=["series", "window_ns"]), 2)

    def _feed_version(self, found: Scope) -> int:
        feed = self._feed(found)
        return feed.version if feed else 0

    def _expires(self, found: Scope) -> bool:
        """Whether points of the feed go by themselves, so that bytes may be all that is left of a record."""
        feed = self._feed(found)
        return feed is not None and feed.retention.points is not None

    def _feed(self, found: Scope) -> Feed | None:
        """The feed as it is now, if it can be read."""
        try:
            return self._book.current(found.tenant, found.feed)
        except (NotFoundError, FeedDefinitionError):
            return None

    def _payloads(self, tenant: str, there: Evidence) -> None:
        version = self._next_version()
        receipts = there.gone["receipt"]
        for start in range(0, receipts.len(), _CHUNK):
            part = receipts[start : start + _CHUNK].to_list()
            self._store.command("deletion_of_payloads", tenant=tenant, receipts=part, version=version)
            self._status.turn()

    def _not_applied(self, tenant: str, entries: Sequence[Logged]) -> dict[str, dict[str, int] | None]:
        """Of these deletions those that are to be applied: by id the counts that a first attempt wrote, if one did."""
        todo: dict[str, dict[str, int] | None] = {entry.payload.receipt: None for entry in entries}
        for row in self._store.rows("deletion_rows", tenant=tenant, ids=list(todo)):
            if row["applied_ns"]:
                del todo[row["id"]]
            else:
                todo[row["id"]] = {n: row[n] for n in ("points", "records", "payloads", "payloads_kept")}
        return todo

    def _receipts(self, tenant: str, rows: Sequence[tuple[Logged, Deletion, Mapping[str, int]]], version: int) -> None:
        now = self._clock() if version == _APPLIED else 0
        told: list[dict[str, Any]] = [
            {
                "tenant": tenant,
                "id": entry.payload.receipt,
                "seq": entry.seq,
                "kind": asked.kind,
                "feed": asked.feed,
                "selector": msgspec.json.encode(asked.selector).decode(),
                "requested_at": entry.payload.received_ns,
                "applied_at": max(now, entry.payload.received_ns) if now else 0,
                "erase_by": entry.payload.received_ns + int(asked.erase_s * NS_PER_S),
                **counts,
                "version": version,
            }
            for entry, asked, counts in rows
        ]
        instants = pl.col("requested_at", "applied_at", "erase_by").cast(pl.Int64).cast(INSTANT)
        numbers = pl.col("seq", "points", "records", "payloads", "payloads_kept", "version").cast(pl.UInt64)
        self._store.insert("deletions", pl.DataFrame(told).with_columns(instants, numbers))


def _together(asked: tuple[Logged, Deletion]) -> str:
    """The tenant of a series that was sent whole; empty for what is applied by itself."""
    entry, deletion = asked
    return entry.payload.tenant if deletion.alone and deletion.kind == "series" else ""


def _read(entry: Logged) -> Deletion | None:
    try:
        return asked_for.read(entry.payload)
    except (msgspec.MsgspecError, ValueError):
        _log.error("entry %d of the log is no deletion that can be read", entry.seq)
        return None
