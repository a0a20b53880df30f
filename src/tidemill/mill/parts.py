"""The parts of one mill, built once and joined to each other: what reads the log, decides, writes and remembers.

The loop (`worker.py`) and the recovery (`recovery.py`) work with the same parts. All parts are used in the loop's
thread, but for the applier of `beside`, which has a context of its own.
"""

import time
from collections.abc import Callable
from pathlib import Path

from tidemill.catalog.replays import CatalogReplays
from tidemill.clock import Trust
from tidemill.decode.decoder import MAX_DEPTH
from tidemill.feeds.book import FeedBook
from tidemill.hints import Hints
from tidemill.log.contract import BacklogReader
from tidemill.mill.ahead import InsertAhead
from tidemill.mill.apply import Applier
from tidemill.mill.beside import Beside
from tidemill.mill.canary import Canary
from tidemill.mill.checkpoint import Checkpoint, ProgressWriter
from tidemill.mill.confirm import Confirmer
from tidemill.mill.context import new_context
from tidemill.mill.costs import Costs
from tidemill.mill.crash_loop import CrashLoopGuard
from tidemill.mill.deletion import Deleter, no_replays
from tidemill.mill.lanes import Lanes
from tidemill.mill.portions import ROWS_BYTES, Growth
from tidemill.mill.replay.job import Replays
from tidemill.mill.retention import RetentionJob
from tidemill.mill.settling import APPLY_S, Settling
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.state import MillState
from tidemill.mill.status import MillStatus
from tidemill.model.offset import ONLY, Partition
from tidemill.store.client import Store
from tidemill.store.fenced import FencedStore


class MillParts:
    """The parts of the mill of `partition`. `work` is the folder for what replays have decided so far, which may be
    large. Without `replays` there is no replay job. `rows_bytes`: see `Growth`; `apply_s`: see `Settling`."""

    def __init__(
        self,
        reader: BacklogReader,
        store: Store,
        book: FeedBook,
        state: MillState,
        hints: Hints,
        *,
        work: Path,
        clock: Callable[[], int] = time.time_ns,
        max_depth: int = MAX_DEPTH,
        trust: Trust | None = None,
        replays: CatalogReplays | None = None,
        partition: Partition = ONLY,
        rows_bytes: int = ROWS_BYTES,
        apply_s: float = APPLY_S,
    ) -> None:
        self.reader, self.state, self.hints, self.clock, self.partition = reader, state, hints, clock, partition
        ahead = InsertAhead()
        self.store = FencedStore(store, partition.number, clock, ahead.wait)
        self.checkpoint = Checkpoint.applied(state)
        self.status = MillStatus(applied_offset=self.checkpoint.seq)
        self.lanes = Lanes(Costs(), self.checkpoint.progress)
        self.progress = ProgressWriter(self.lanes, self.checkpoint, hints, self.status)
        self.guard = CrashLoopGuard(state)
        book = book.without_sources()  # a variable that only the poller needs must not hold payloads up
        self.context = new_context(self.store, self.status, clock, partition)
        pipeline = TransformPipeline(book, self.status, max_depth)
        self.replays = (
            Replays(replays, self.context, book, pipeline, state=state, path=work, owns=partition.owns)
            if replays
            else None
        )
        self.retention = RetentionJob(
            self.context,
            book,
            lambda: self.checkpoint.progress,
            state.retention_clock,
            trust,
            log_erased=reader.erased,
            partition=partition,
            is_published=self._is_published,
        )
        before = self.replays.begin_anew if self.replays else no_replays
        deleter = Deleter(self.context, book, pipeline, before=before, after=self.retention.purge_soon)
        growth = Growth(rows_bytes)
        self.applier = Applier(self.context, book, pipeline, deleter, partition, ahead=ahead, growth=growth)
        self.settling = Settling(
            self.applier,
            self.lanes,
            self.guard,
            Canary(self.store, self.applier, reader),
            Beside(self.applier, _applier_beside(self.store, book, clock, max_depth, partition)),
            progress=self.progress,
            clock=clock,
            apply_s=apply_s,
        )
        confirmed = Checkpoint.confirmed(state)
        self.confirmer = Confirmer(reader, self.store, book, confirmed, clock=clock, max_depth=max_depth)

    def _is_published(self, tenant: str) -> bool:
        """Whether a replay of a tenant is being published, from the moment that it is planned."""
        return self.replays is not None and any(owner == tenant for owner, _ in self.replays.blocked)


def _applier_beside(
    store: Store, book: FeedBook, clock: Callable[[], int], max_depth: int, partition: Partition
) -> Applier:
    """An applier for another thread, with a context of its own. No deletion is applied beside the loop."""
    context = new_context(store, None, clock, partition)
    pipeline = TransformPipeline(book, context.status, max_depth)
    return Applier(context, book, pipeline, Deleter(context, book, pipeline), partition)
