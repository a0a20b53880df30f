"""Purges points past their feed's retention (by the time of receipt) and points of deleted series, then has deleted
rows erased from disk.

Runs in the mill's thread between batches, in small steps, hourly and at start. For a feed that seals, a window with a
point past retention gets its last rollup, marked as sealed, before any of its points is purged; later records for the
window are rejected.

No points expire while the system's clock is in doubt (`clock.py`). Payloads that were received while the clock showed a
time long past stay as long as payloads before them in the log, because the order of the log says which are older.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial

from tidemill.clock import JUMP_NS, ClockRecord, Trust, TrustedClock, since_boot_s
from tidemill.errors import FeedDefinitionError, LogUnavailableError, NotFoundError, StoreQueryError
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.mill import rollups
from tidemill.mill.context import MillContext
from tidemill.mill.erase import Eraser
from tidemill.mill.progress import PartitionProgress
from tidemill.model.offset import ONLY, Partition
from tidemill.model.time import duration_ns
from tidemill.store.client import Store

_log = logging.getLogger(__name__)

_EVERY_S = 3600.0
_RETRY_S = 60.0
_WINDOWS = 5_000  # sealed and purged in one step: about 100 ms
_PURGES = 1_000  # series in one step
_PURGE_AFTER_S = 10.0  # a purge rewrites parts of whole tables, so it takes several series at a time
_ERASE_AFTER_S = 60.0  # and again until it is done


class RetentionJob:
    """Runs retention in small steps (`run_step`). `progress`: what of the log is applied. No points of a tenant expire
    while one of its replays is being published (`is_published`), because then its points are partly of the old version
    and its progress is not counted yet."""

    def __init__(
        self,
        context: MillContext,
        book: FeedBook,
        progress: Callable[[], PartitionProgress],
        record: ClockRecord,
        trust: Trust | None = None,
        *,
        monotonic: Callable[[], float] = since_boot_s,
        log_erased: Callable[[], int] = lambda: 0,
        partition: Partition = ONLY,
        is_published: Callable[[str], bool] = lambda tenant: False,
    ) -> None:
        store = context.store
        self._context = context
        self._store = store
        self._is_published = is_published
        self._book = book
        self._progress = progress
        self._partition = partition
        self._eraser = Eraser(store, log_erased, context.clock, lambda: progress().checkpoint, partition)
        self._make_clock = partial(TrustedClock, record, trust or Trust(), wall_ns=context.clock, passed_s=monotonic)
        self._clock: TrustedClock | None = None
        self._monotonic = monotonic
        self._due = monotonic()
        self._purge_at = self._erase_at = float("inf")
        self._tasks: list[Callable[[], bool]] = []  # each returns whether it has more to do

    def run_step(self) -> bool:
        """Do the next small piece of work if any is due; returns whether there was any. Raises
        StoreUnavailableError."""
        try:
            if self._tasks:
                if not self._tasks[0]():
                    self._tasks.pop(0)
                return True
            now = self._monotonic()
            if now < self._due and now < self._purge_at and now < self._erase_at:
                return False
            due_tasks = [self._purge] if now < self._erase_at else [self._purge, self._erase]
            self._tasks = due_tasks if now < self._due else self._plan()
        except (StoreQueryError, LogUnavailableError) as error:
            _log.error("retention is put off: %s", error.message)
            self._tasks = []
            self._due = self._monotonic() + _RETRY_S
            return True
        if now >= self._due:
            self._due = now + _EVERY_S
        return True

    def purge_soon(self) -> None:
        """Purge points of deleted series, then erase, soon after a deletion instead of at the next hour."""
        self._purge_at = min(self._purge_at, self._monotonic() + _PURGE_AFTER_S)
        self._erase_at = min(self._erase_at, self._monotonic() + _ERASE_AFTER_S)

    def run_due(self) -> None:
        """Do everything now, also if the hour is not over."""
        self._due = self._monotonic()
        while self.run_step():
            pass

    def _plan(self) -> list[Callable[[], bool]]:
        tasks: list[Callable[[], bool]] = [self._purge]
        now = self._now()
        if now is None:
            return [*tasks, self._erase]
        self._book.refresh()
        for row in self._store.rows("mill_feeds"):
            if not self._partition.owns(row["tenant"], row["feed"]):
                continue
            try:
                feed = self._book.newest(row["tenant"], row["feed"])
            except (NotFoundError, FeedDefinitionError):
                continue  # its definition is missing or cannot be read: its points stay
            if feed.retention.points is None:
                continue
            before = now - duration_ns(feed.retention.points)
            bounds = {"before": before, "fresh": self._first_fresh(row["tenant"], before, now + JUMP_NS)}
            tasks.append(self._expiry_task(row["tenant"], feed, bounds))
            if feed.first_wins:  # also one that compares local times no more
                tasks.append(partial(self._expire_submissions, row["tenant"], feed, bounds))
        return [*tasks, self._erase]

    def _first_fresh(self, tenant: str, before: int, latest: int) -> int:
        """The offset of the tenant's first payload that was received between these times (ns)."""
        params = {"tenant": tenant, "before": before, "latest": latest, **self._partition.bounds}
        return int(self._store.rows("mill_first_fresh", **params)[0]["seq"])

    def _now(self) -> int | None:
        """The present for retention, in ns; null while the system's clock is in doubt."""
        if self._clock is None:
            newest = int(self._store.rows("mill_newest_received", **self._partition.bounds)[0]["received_ns"])
            self._clock = self._make_clock(newest_ns=max(0, newest))
        now = self._clock.now_ns()
        self._context.status.clock_doubt = self._clock.doubt
        if now is None:
            _log.warning("retention waits: %s", self._clock.doubt)
        return now

    def _expiry_task(self, tenant: str, feed: Feed, bounds: Mapping[str, int]) -> Callable[[], bool]:
        task = self._seal if feed.retention.seal_rollups and feed.rollups else self._expire
        return lambda: not self._is_published(tenant) and task(tenant, feed, bounds)

    def _expire(self, tenant: str, feed: Feed, bounds: Mapping[str, int]) -> bool:
        count = self._store.rows("mill_expired_count", tenant=tenant, feed=feed.name, **bounds)[0]["n"]
        if count:
            _log.info("removing %d points of %s/%s past retention", count, tenant, feed.name)
            self._store.command("mill_expire_points", tenant=tenant, feed=feed.name, **bounds)
        return False

    def _expire_submissions(self, tenant: str, feed: Feed, bounds: Mapping[str, int]) -> bool:
        keys = {"tenant": tenant, "feed": feed.name}
        if not self._is_published(tenant) and self._store.rows("mill_expired_submissions", **keys, **bounds)[0]["n"]:
            self._store.command("mill_expire_submissions", **keys, **bounds)
        return False

    def _seal(self, tenant: str, feed: Feed, bounds: Mapping[str, int]) -> bool:
        """Seal some windows and purge their points; returns whether there may be more. May be killed anywhere.

        `bounds`: the points that expire were received before the time `before` (ns) and below the offset `fresh`.
        """
        every = rollups.every_ns(feed)
        every_s = every // 1_000_000_000
        windows = self._store.frame(
            "mill_expired_windows", tenant=tenant, feed=feed.name, every_s=every_s, limit=_WINDOWS, **bounds
        ).rename({"window_ns": "window"})
        if windows.is_empty():
            return False
        keys = {"tenant": tenant, "series": windows["series"], "windows": windows["window"]}
        # Windows that were sealed before a crash, with points left: their rollup must not be computed from these.
        done = self._store.frame("mill_sealed", every_s=every_s, **keys).rename({"window_ns": "window"})
        fresh = windows.join(done, on=["series", "window"], how="anti")
        self._context.known.load_series(tenant, windows["series"].unique().to_list(), 0)
        if not fresh.is_empty():
            rollups.recompute_windows(
                self._store,
                self._context.known,
                tenant=tenant,
                every=every,
                windows=fresh,
                version=self._context.versions.next(),
                late=rollups.late_ns(feed),
                sealed_seq=max(1, self._progress().through(tenant)),
            )
            self._context.known.seal(fresh["series"].to_list(), fresh["window"].to_list())
        self._store.command("mill_expire_windows", every_ns=every, **keys)
        self._context.status.sealed += fresh.height
        return windows.height == _WINDOWS

    def _purge(self) -> bool:
        self._purge_at = float("inf")
        rows = self._store.rows("mill_unpurged_series", limit=_PURGES, **self._partition.bounds)
        for tenant in sorted({row["tenant"] for row in rows}):
            purge_series(
                self._store, tenant, {row["series"]: row["deleted_seq"] for row in rows if row["tenant"] == tenant}
            )
        return len(rows) == _PURGES

    def _erase(self) -> bool:
        self._erase_at = float("inf")
        if self._eraser.run_step():
            self._erase_at = self._monotonic() + _ERASE_AFTER_S
        return False


def purge_series(store: Store, tenant: str, deleted: Mapping[int, int]) -> None:
    """Purge the rows of series up to the payload that deleted them (`deleted`: its offset by series)."""
    keys = {"tenant": tenant, "series": list(deleted), "seqs": list(deleted.values())}
    store.command("mill_purge_series_points", **keys)
    store.command("mill_purge_series_replaced", **keys)
    if store.rows("deletion_submissions", tenant=tenant, series=keys["series"])[0]["n"]:
        store.command("mill_purge_series_submissions", **keys)
