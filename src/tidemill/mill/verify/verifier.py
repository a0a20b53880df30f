"""Verifies everything that a store and a log hold, a stretch of the log at a time, and reports what does not add up.

Writes nothing. A stretch is a page of payloads, so that memory is bounded however many there are. Beside a running mill
a page with findings is checked again: between two queries the mill may have changed the rows that they read.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from tidemill.catalog.contract import Catalog
from tidemill.catalog.replays import CatalogReplays
from tidemill.decode.decoder import MAX_DEPTH
from tidemill.errors import LogDamagedError, StoreQueryError, UnavailableError
from tidemill.feeds.book import FeedBook
from tidemill.log.contract import LogReader, PartitionReader
from tidemill.mill.progress import LogProgress
from tidemill.mill.progress import PartitionProgress as MillProgress
from tidemill.mill.verify import kinds
from tidemill.mill.verify.catalog import check_catalog
from tidemill.mill.verify.decoded import VersionedReader
from tidemill.mill.verify.explain import Explainer
from tidemill.mill.verify.log_check import LogCheck
from tidemill.mill.verify.page_check import PageCheck, Stretch
from tidemill.mill.verify.point_check import PointCheck
from tidemill.mill.verify.report import Findings
from tidemill.mill.verify.table_check import TableCheck
from tidemill.mill.verify.unsettled import read_unsettled
from tidemill.mill.verify.window_check import WindowCheck
from tidemill.model.offset import Partition
from tidemill.model.verification import Totals, VerifyReport
from tidemill.store.client import Store

PAGE: Final = 100_000  # payloads
_LOOKS: Final = 4  # at a page beside a running mill
_LOOK_AGAIN_S: Final = 0.5
_T = TypeVar("_T")


class VerifyScope(msgspec.Struct, frozen=True, kw_only=True):
    """What to verify: of one tenant (empty: of all), of one feed (empty: of all), received at or after `since_ns`."""

    tenant: str = ""
    feed: str = ""
    since_ns: int | None = None


class WalkProgress(msgspec.Struct, frozen=True):
    """How far a verification is: `done` of `total` payloads, and what it is at."""

    at: str
    done: int
    total: int


class _Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What is verified of a tenant in a partition: after `after`, up to `upto`; `highest` is its last payload in the
    store."""

    tenant: str
    partition: Partition
    after: int
    upto: int
    highest: int


class Verifier:
    """Verifies one store and its log, which `open_log` opens for each run. `applied` is what of the log the mill has
    applied, in every partition; `live`: it may go on meanwhile. Raises StoreUnavailableError, StoreQueryError,
    LogUnavailableError."""

    def __init__(
        self,
        store: Store,
        book: FeedBook,
        open_log: Callable[[], LogReader],
        applied: Callable[[], LogProgress],
        *,
        catalog: Catalog | None = None,
        live: bool = False,
        max_depth: int = MAX_DEPTH,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._open_log = open_log
        self._applied = applied
        self._live = live
        self._catalog = catalog
        self._book = book = book.without_sources()  # what only polling needs is no fault here
        explainer = Explainer(store, book, clock)
        self._pages = PageCheck(store, VersionedReader(book, store, max_depth), PointCheck(store, explainer))
        self._windows = WindowCheck(store, explainer)

    def verify(self, scope: VerifyScope, on_progress: Callable[[WalkProgress], None] = lambda _: None) -> VerifyReport:
        """Verify. `on_progress` is called several times a second at most; an error that it raises ends the
        verification."""
        verification = _Verification(self._store, self._pages, self._windows, scope, on_progress, live=self._live)
        with contextlib.closing(self._open_log()) as log:
            return verification.report(log, self._applied, self._book, self._catalog)


class _Verification:
    """One run of a verifier."""

    def __init__(
        self,
        store: Store,
        pages: PageCheck,
        windows: WindowCheck,
        scope: VerifyScope,
        on_progress: Callable[[WalkProgress], None],
        *,
        live: bool,
    ) -> None:
        self._findings, self._totals, self._notes = Findings(), Totals(), list[str]()
        self._store = store
        self._pages = pages
        self._windows = windows
        self._scope = scope
        self._on_progress = on_progress
        self._live = live
        self._unsettled: dict[str, frozenset[str]] = {}
        self._damaged: dict[str, frozenset[str]] = {}  # feeds, by tenant, whose text is
        self._done = self._total = 0

    def report(
        self, log: LogReader, applied: Callable[[], LogProgress], book: FeedBook, catalog: Catalog | None
    ) -> VerifyReport:
        """The files, the log, then each tenant's payloads and rollups."""
        begun = time.monotonic()
        complete = True
        self._notes += TableCheck(self._store).check_tables(self._findings, self._progress)
        if catalog is not None:
            self._damaged = check_catalog(catalog, self._findings)
        try:
            self._walk(log, applied, book, None if catalog is None else CatalogReplays(catalog))
        except LogDamagedError as error:
            self._findings.add(kinds.LogDamaged, tenant="", what="file", expected="a log", observed=error.message)
            complete = False
        except (StoreQueryError, UnavailableError) as error:
            if not self._findings.counts:
                raise
            self._notes.append(f"given up where damage stands in the way: {error.message}")
            complete = False
        return VerifyReport(
            totals=self._totals,
            counts=dict(sorted(self._findings.counts.items())),
            findings=self._findings.shown,
            notes=self._notes,
            seconds=time.monotonic() - begun,
            complete=complete,
        )

    def _walk(
        self, log: LogReader, applied: Callable[[], LogProgress], book: FeedBook, replays: CatalogReplays | None
    ) -> None:
        half_done = read_unsettled(self._store, replays, self._scope.tenant)
        self._unsettled = half_done.feeds
        self._notes += half_done.notes
        reached = applied().numbered()  # read before the store and the log, so that neither is behind the progress
        stretches = [whole for partition, progress in reached for whole in self._whole_stretches(partition, progress)]
        self._total = sum(self._count(whole, self._scope.feed) for whole in stretches)
        for tenant in dict.fromkeys(whole.tenant for whole in stretches):
            self._leave_out([whole for whole in stretches if whole.tenant == tenant], tenant, book)
        for index, (partition, progress) in enumerate(reached):
            of = [whole for whole in stretches if whole.partition == partition]
            self._log(log.partitions[index], progress, of)
        for whole in stretches:
            self._tenant(whole)

    def _whole_stretches(self, partition: Partition, reached: MillProgress) -> list[_Whole]:
        """All of a partition, by tenant."""
        rows = self._store.rows("verify_tenants", **partition.bounds)
        known = {row["tenant"]: int(row["highest"]) for row in rows}
        named = [self._scope.tenant] if self._scope.tenant else sorted(known)
        return [
            _Whole(
                tenant=tenant,
                partition=partition,
                after=self._first(tenant, partition),
                upto=max(reached.through(tenant), known.get(tenant, 0)),
                highest=known.get(tenant, 0),
            )
            for tenant in named
        ]

    def _first(self, tenant: str, partition: Partition) -> int:
        """The offset after which everything of a partition is verified."""
        if self._scope.since_ns is None:
            return partition.start
        bound = {"tenant": tenant, "since": self._scope.since_ns, **partition.bounds}
        first = int(self._store.rows("verify_first", **bound)[0]["seq"])
        return first - 1 if first else partition.end

    def _count(self, whole: _Whole, feed: str) -> int:
        bound = {"tenant": whole.tenant, "feed": feed, "after": whole.after, "upto": whole.partition.end}
        return int(self._store.rows("verify_total", **bound)[0]["n"])

    def _leave_out(self, stretches: list[_Whole], tenant: str, book: FeedBook) -> None:
        """Feeds that cannot be read here, damaged or for want of a plug-in: that is no fault of what is stored."""
        why = {feed: f"a version of feed '{feed}' is damaged" for feed in self._damaged.get(tenant, ())}
        for feed, plugins in book.missing_plugins(tenant).items():
            verb = "is" if len(plugins) == 1 else "are"
            why[feed] = f"{' and '.join(plugins)} of feed '{feed}' {verb} not installed"
        for feed, named in why.items():
            if self._scope.feed not in ("", feed):
                continue
            self._unsettled[tenant] = self._unsettled.get(tenant, frozenset()) | {feed}
            if payloads := sum(self._count(whole, feed) for whole in stretches):
                self._notes.append(f"{named}: {payloads} payload{'s'[: payloads != 1]} not checked")

    def _log(self, log: PartitionReader, progress: MillProgress, stretches: list[_Whole]) -> None:
        check = LogCheck(log, self._store, progress)
        highest = max((whole.highest for whole in stretches), default=0)
        check.check_log(highest, self._findings, whole=not self._live)
        # Of all tenants, also of a tenant whose payloads all wait: the store does not know that tenant.
        wanted = {whole.tenant for whole in stretches} if self._scope.tenant else None
        after = min((whole.after for whole in stretches), default=0)
        passed = self._settled(
            lambda findings: check.check_entries(wanted, self._scope.feed, after, findings, self._progress)
        )
        self._totals.log_entries += passed.entries
        self._totals.waiting += passed.waiting

    def _tenant(self, whole: _Whole) -> None:
        tenant = whole.tenant
        for stretch in self._stretches(whole):
            totals = self._settled(lambda findings, of=stretch: self._pages.check_stretch(of, findings, self._progress))  # type: ignore[misc]
            self._totals.add(totals)
            self._done += totals.payloads
        feeds = {row["feed"] for row in self._store.rows("mill_feeds") if row["tenant"] == tenant}
        feeds = {feed for feed in feeds if whole.partition.owns(tenant, feed)}
        feeds -= self._unsettled.get(tenant, frozenset())
        after = 0 if whole.after == whole.partition.start else whole.after
        for feed in sorted(feeds & {self._scope.feed} if self._scope.feed else feeds):
            self._progress(0, f"rollups of {feed}")
            totals, note = self._settled(
                lambda findings, of=feed: self._windows.check_windows(
                    tenant, of, findings, after=after, upto=whole.upto
                )  # type: ignore[misc]
            )
            self._totals.add(totals)
            if note:
                self._notes.append(note)

    def _stretches(self, whole: _Whole) -> Iterator[Stretch]:
        """A partition from `after` to `upto`, a page of payloads at a time; the last may have none."""
        feed, tenant, after, upto = self._scope.feed, whole.tenant, whole.after, whole.upto
        end_of_partition = whole.partition.end
        while after < upto:
            bound = {"tenant": tenant, "feed": feed, "after": after, "upto": end_of_partition}
            page = self._store.frame("verify_page", **bound, limit=PAGE)
            end = int(page["seq"][-1]) if page.height == PAGE else upto
            without = self._unsettled.get(tenant, frozenset())
            yield Stretch(tenant=tenant, feed=feed, page=page, after=after, upto=end, without=without)
            after = end

    def _settled(self, check: Callable[[Findings], _T]) -> _T:
        """Do a check; beside a running mill, repeat the check a few times while it has findings. Only the findings of
        the last check count."""
        for look in range(_LOOKS if self._live else 1):
            if look:
                time.sleep(_LOOK_AGAIN_S)
            findings = Findings()
            outcome = check(findings)
            if not findings.counts:
                break
        self._findings.merge(findings)
        return outcome

    def _progress(self, done: int, at: str) -> None:
        self._on_progress(WalkProgress(at, min(self._done + done, self._total), self._total))
