"""Takes points away: those past their feed's retention (by when they were received), and those of deleted series;
then erases what was deleted from disk.

Runs in the mill's thread between batches, in small steps, hourly and at start. A feed that seals: a window with a point
past retention gets its last rollup, marked sealed, before any of its points goes; later records for it are rejected.

Nothing is removed by age while the system's clock is in doubt (`clock.py`). What was received while it showed a time
long past stays as long as what was received before it: the order of the log says what is older.
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
_WINDOWS = 5_000  # sealed and removed in one step: about 100 ms
_PURGES = 1_000
_PURGE_AFTER_S = 10.0  # removing rewrites parts of whole tables: several series at a time
_ERASE_AFTER_S = 60.0  # and again until it is done


class RetentionJob:
    """The job. `step` does a little and returns whether it did anything. `progress`: what of the log is applied.
    Nothing is removed by age of a tenant of which a replay `is_published` now: its points are of before and after, and
    what is applied of it is not counted yet."""

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
        self._work: list[Callable[[], bool]] = []

    def step(self) -> bool:
        """Do the next small piece of work if any is due. Raises StoreUnavailableError."""
        try:
            if self._work:
                if not self._work[0]():
                    self._work.pop(0)
                return True
            now = self._monotonic()
            if now < self._due and now < self._purge_at and now < self._erase_at:
                return False
            soon = [self._purge] if now < self._erase_at else [self._purge, self._erase]
            self._work = soon if now < self._due else self._plan()
        except (StoreQueryError, LogUnavailableError) as error:
            _log.error("retention is put off: %s", error.message)
            self._work = []
            self._due = self._monotonic() + _RETRY_S
            return True
        if now >= self._due:
            self._due = now + _EVERY_S
        return True

    def purge_soon(self) -> None:
        """Something was deleted: remove points of deleted series, then erase, without waiting for the hour."""
        self._purge_at = min(self._purge_at, self._monotonic() + _PURGE_AFTER_S)
        self._erase_at = min(self._erase_at, self._monotonic() + _ERASE_AFTER_S)

    def run(self) -> None:
        """Do all that is due now, whatever the hour."""
        self._due = self._monotonic()
        while self.step():
            pass

    def _plan(self) -> list[Callable[[], bool]]:
        work: list[Callable[[], bool]] = [self._purge]
        now = self._now()
        if now is None:
            return [*work, self._erase]
        self._book.refresh()
        for row in self._store.rows("mill_feeds"):
            if not self._partition.owns(row["tenant"], row["feed"]):
                continue
            try:
                feed = self._book.current(row["tenant"], row["feed"])
            except (NotFoundError, FeedDefinitionError):
                continue  # its definition is gone or cannot be read: keep what it left
            if feed.retention.points is None:
                continue
            before = now - duration_ns(feed.retention.points)
            past = {"before": before, "fresh": self._first_fresh(row["tenant"], before, now + JUMP_NS)}
            work.append(self._task(row["tenant"], feed, past))
        return [*work, self._erase]

    def _first_fresh(self, tenant: str, before: int, latest: int) -> int:
        """The offset of the tenant's first payload that was received between these times."""
        bound = {"tenant": tenant, "before": before, "latest": latest, **self._partition.bounds}
        return int(self._store.rows("mill_first_fresh", **bound)[0]["seq"])

    def _now(self) -> int | None:
        """The time that retention goes by; None while the system's clock is in doubt."""
        if self._clock is None:
            newest = int(self._store.rows("mill_newest_received", **self._partition.bounds)[0]["received_ns"])
            self._clock = self._make_clock(newest_ns=max(0, newest))
        now = self._clock.now_ns()
        self._context.status.clock_doubt = self._clock.doubt
        if now is None:
            _log.warning("retention waits: %s", self._clock.doubt)
        return now

    def _task(self, tenant: str, feed: Feed, past: Mapping[str, int]) -> Callable[[], bool]:
        task = self._seal if feed.retention.seal_rollups and feed.rollups else self._expire
        return lambda: not self._is_published(tenant) and task(tenant, feed, past)

    def _expire(self, tenant: str, feed: Feed, past: Mapping[str, int]) -> bool:
        count = self._store.rows("mill_expired_count", tenant=tenant, feed=feed.name, **past)[0]["n"]
        if count:
            _log.info("removing %d points of %s/%s past retention", count, tenant, feed.name)
            self._store.command("mill_delete_expired", tenant=tenant, feed=feed.name, **past)
        return False

    def _seal(self, tenant: str, feed: Feed, past: Mapping[str, int]) -> bool:
        """Seal some windows and remove their points; whether there may be more. Safe to be killed anywhere.

        `past`: received before the time `before` and below the place `fresh` in the log.
        """
        every = rollups.every_ns(feed)
        every_s = every // 1_000_000_000
        windows = self._store.frame(
            "mill_expired_windows", tenant=tenant, feed=feed.name, every_s=every_s, limit=_WINDOWS, **past
        ).rename({"window_ns": "window"})
        if windows.is_empty():
            return False
        keys = {"tenant": tenant, "series": windows["series"], "windows": windows["window"]}
        # Sealed already, and killed before the points went: their rollup must not be computed from what is left.
        done = self._store.frame("mill_sealed", every_s=every_s, **keys).rename({"window_ns": "window"})
        fresh = windows.join(done, on=["series", "window"], how="anti")
        self._context.known.load(tenant, windows["series"].unique().to_list(), 0)
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
        self._store.command("mill_delete_windows", every_ns=every, **keys)
        self._context.status.sealed += fresh.height
        return windows.height == _WINDOWS

    def _purge(self) -> bool:
        self._purge_at = float("inf")
        rows = self._store.rows("mill_deleted", limit=_PURGES, **self._partition.bounds)
        for tenant in sorted({row["tenant"] for row in rows}):
            purge(self._store, tenant, {row["series"]: row["deleted_seq"] for row in rows if row["tenant"] == tenant})
        return len(rows) == _PURGES

    def _erase(self) -> bool:
        self._erase_at = float("inf")
        if self._eraser.run():
            self._erase_at = self._monotonic() + _ERASE_AFTER_S
        return False


def purge(store: Store, tenant: str, deleted: Mapping[int, int]) -> None:
    """Remove from disk what series held up to the payload that deleted them (`deleted`: seq by series)."""
    keys = {"tenant": tenant, "series": list(deleted), "seqs": list(deleted.values())}
    store.command("mill_purge_points", **keys)
    store.command("mill_purge_replaced", **keys)
