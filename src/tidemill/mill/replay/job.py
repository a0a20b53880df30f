"""Runs replays in small steps between the mill's batches: select payloads, put them through the rules a portion at a
time, conclude what changes and, unless it is a dry run, publish it.

Readers see nothing of a replay before it is published. Its files are on disk: a mill that was killed continues. While
a replay is being published (`publications.py`), its feed waits, so that no batch of it comes between.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from tidemill.catalog.replays import CatalogReplays
from tidemill.crash_points import reach
from tidemill.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    UnavailableError,
)
from tidemill.feeds.book import FeedBook
from tidemill.feeds.definition import Feed
from tidemill.feeds.load import load_feed
from tidemill.feeds.variables import AS_WRITTEN
from tidemill.mill import rollups
from tidemill.mill.context import MillContext
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.replay import milled
from tidemill.mill.replay.conclude import Concluding
from tidemill.mill.replay.folder import Folder
from tidemill.mill.replay.kept_differences import KeptDifferences
from tidemill.mill.replay.offset_set import OffsetSet
from tidemill.mill.replay.publications import Publications
from tidemill.mill.replay.replay_history import ReplayPast, numbered_runs
from tidemill.mill.replay.selection import read_revived_payloads, select_payloads
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.state import MillState, PublishManifest
from tidemill.model.job import UNDER_WAY
from tidemill.model.replay import DRAFT_VERSION, Replay, ReplayOutcome, ReplayRequest
from tidemill.model.time import NS_PER_S

_log = logging.getLogger(__name__)

MAX_POINTS: Final = 5_000_000  # of one replay: they are decided together, in some 400 bytes each
_LOOK_EVERY_S: Final = 0.2


class ReplayStages(msgspec.Struct, frozen=True):
    """What a replay applies: a version of a feed (of a draft DRAFT_VERSION), and the stages that know it."""

    version: int
    feed: Feed
    pipeline: TransformPipeline


class DraftBook:
    """A book that has a draft of one feed of a tenant beside its versions."""

    def __init__(self, book: FeedBook, tenant: str, draft: Feed) -> None:
        self._book, self._tenant, self._draft = book, tenant, draft

    def version(self, tenant: str, name: str, version: int) -> Feed:
        """The version of a feed; DRAFT_VERSION of the draft's feed is the draft."""
        if (tenant, name, version) == (self._tenant, self._draft.name, DRAFT_VERSION):
            return self._draft
        return self._book.version(tenant, name, version)


class Replays:
    """The replays of all tenants' feeds that a mill `owns`, one at a time, oldest first. Call `wake` (from any thread)
    when there may be a new one."""

    def __init__(
        self,
        replays: CatalogReplays,
        context: MillContext,
        book: FeedBook,
        pipeline: TransformPipeline,
        *,
        state: MillState,
        path: Path,
        owns: Callable[[str, str], bool] = lambda tenant, feed: True,
    ) -> None:
        self._replays = replays
        self._context = context
        self._store = context.store
        self._status = context.status
        self._clock = context.clock
        self._book = book
        self._pipeline = pipeline
        self._path = path
        self._owns = owns
        self._concluding = Concluding(context, pipeline)
        self._differences = KeptDifferences(self._store)
        self._publications = Publications(context, pipeline, replays, state, path, owns=owns)
        self._look = True
        self._looked = 0.0
        self._current: Replay | None = None
        self._past: tuple[str, ReplayPast] | None = None
        self._stages: tuple[str, ReplayStages] | None = None

    def wake(self) -> None:
        """Look for replays at the next step: there may be a new one, or one was cancelled."""
        self._look = True

    def begin_anew(self, tenant: str, feed: str) -> None:
        """Restart the replays of a feed of which something is deleted: their files on disk must not restore it, and the
        differences that are kept of its replays must not show it."""
        self._differences.drop_feed(tenant, feed)
        for replay in self._replays.list(tenant):
            if replay.request.feed == feed and replay.state in UNDER_WAY:
                self._folder(replay).remove()  # no replay that is published: the deletions of its feed wait as well
                self._past, self._look = None, True
                with suppress(ConflictError, NotFoundError):  # it was cancelled at this moment
                    self._replays.change(replay, state="queued", done=0)

    @property
    def blocked(self) -> Mapping[tuple[str, str], int]:
        """The feeds of which a replay is being published, by tenant and name: of these nothing may be applied, and of
        their tenants nothing may count as applied beyond this offset, so that the replay's changes come before it."""
        return self._publications.blocked

    def resume(self) -> None:
        """Block the feeds of what was being published when the mill ended. Call it before the first batch. Raises
        UnavailableError: nothing may be applied before."""
        self._publications.resume()

    def step(self, progress: PartitionProgress) -> bool:
        """Do a small piece of work on the replay that is due; whether there was any. `progress`: what is applied.

        Raises UnavailableError: nothing is lost, step again.
        """
        if self._publications.step():
            self._show()
            return True
        replay = self._next()
        if replay is None:
            return False
        self._show()
        try:
            self._advance(replay, progress.through(replay.tenant))
        except UnavailableError:
            raise
        except ConflictError:
            self._drop(replay)  # cancelled
        except Exception as error:
            self._fail(replay, error)
        return True

    def _show(self) -> None:
        self._status.state, self._status.looped_at_ns = "replaying", self._clock()

    def _next(self) -> Replay | None:
        """The replay that is due. Asks the catalog every _LOOK_EVERY_S, because its own
        notice of a new replay takes up to a second."""
        now = time.monotonic()
        if self._current is None and not self._look and now < self._looked + _LOOK_EVERY_S:
            return None
        self._look, self._looked = False, now
        due = [each for each in self._replays.under_way() if self._owns(each.tenant, each.request.feed)]
        if due and (self._current is None or self._current.id != due[0].id):
            self._book.refresh()
        self._current = due[0] if due else None
        return self._current

    def _advance(self, replay: Replay, applied: int) -> None:
        folder = self._folder(replay)
        if not folder.has(milled.SELECTION):
            self._begin(replay, folder, applied)
            return
        selection = folder.read_frame(milled.SELECTION)
        portions = selection["portion"].unique().sort().to_list()
        number = next((n for n in portions if not milled.is_milled(folder, n)), None)
        if number is not None:
            self._mill(replay, folder, selection, number)
            return
        more = read_revived_payloads(self._store, replay.tenant, replay.request.feed, selection)
        if more.is_empty():
            self._conclude(replay, folder, selection, applied)
            return
        alone = pl.int_range(pl.len(), dtype=pl.UInt32) + 1 + int(str(selection["run"].max()))
        more = milled.cut_into_portions(more.with_columns(run=alone), portions[-1] + 1)
        folder.write_frame(milled.SELECTION, pl.concat([selection, more.select(selection.columns)]))
        self._replays.change(replay, total=selection.height + more.height)

    def _mill(self, replay: Replay, folder: Folder, selection: pl.DataFrame, number: int) -> None:
        """Put one portion through the rules."""
        milled.mill_portion(
            self._store,
            self._stages_of(replay).pipeline,
            folder,
            selection.filter(pl.col("portion") == number),
            tenant=replay.tenant,
            feed=replay.request.feed,
            number=number,
            past=self._past_of(replay, folder, selection) if self._looks_back(replay, selection) else None,
        )
        points = folder.count_rows("points-")
        if points > MAX_POINTS:
            message = f"it makes more than {MAX_POINTS:,} points, which is what one replay may: choose a shorter range"
            raise InputError(message)
        self._replays.change(replay, done=selection.filter(pl.col("portion") <= number).height)
        reach("replay.after_portion")

    def _begin(self, replay: Replay, folder: Folder, applied: int) -> None:
        stages = self._stages_of(replay)
        request = msgspec.structs.replace(replay.request, version=stages.version)
        selection = select_payloads(self._store, replay.tenant, request, applied)
        self._replays.change(replay, state="running", started_ns=self._clock(), total=selection.height, done=0)
        if selection.is_empty():
            self._finish(replay, folder, ReplayOutcome())
        else:
            folder.write_frame(milled.SELECTION, milled.cut_into_portions(self._in_runs(replay, selection)))

    def _looks_back(self, replay: Replay, selection: pl.DataFrame) -> bool:
        """Whether rules of any version to apply need history."""
        versions = selection["feed_version"].unique().to_list()
        pipeline = self._stages_of(replay).pipeline
        return any(pipeline.looks_back(replay.tenant, replay.request.feed, version) for version in versions)

    def _in_runs(self, replay: Replay, selection: pl.DataFrame) -> pl.DataFrame:
        """The selection with `run`: where rules look back, payloads between the chosen ones are part of the history."""
        request = replay.request
        if not self._looks_back(replay, selection):
            return selection.with_columns(run=pl.lit(0, pl.UInt32))
        of = {"low": selection["seq"][0], "high": selection["seq"][-1]}
        applied = self._store.frame("replay_applied", tenant=replay.tenant, feed=request.feed, **of)
        return numbered_runs(selection, applied["seq"])

    def _past_of(self, replay: Replay, folder: Folder, selection: pl.DataFrame) -> ReplayPast:
        """The history for the rules of the replay under way."""
        if self._past is None or self._past[0] != replay.id:
            past = ReplayPast(self._context, OffsetSet(selection["seq"]))
            for points, rejected in zip(folder.read_frames("points-"), folder.read_frames("rejected-"), strict=False):
                past.add(points, rejected)
            self._past = replay.id, past
        return self._past[1]

    def _conclude(self, replay: Replay, folder: Folder, selection: pl.DataFrame, applied: int) -> None:
        """Conclude a replay whose portions are all milled: publish it or, for a dry run, report what it would
        change."""
        feed = self._stages_of(replay).feed
        conclusion = self._concluding.conclude(replay, feed, folder)
        self._differences.write(replay, conclusion, selection, rollups.every_ns(feed) // NS_PER_S)
        self._prune_differences(replay.tenant)
        if replay.request.dry_run:
            self._finish(replay, folder, conclusion.difference)
            return
        manifest = PublishManifest(
            replay=replay.id,
            tenant=replay.tenant,
            feed=feed.name,
            version=self._context.versions.next(),
            now_ns=self._clock(),
            at_seq=applied,
            at_idx=self._concluding.at_idx(replay.tenant, applied),
            every=rollups.every_ns(feed),
            late=rollups.late_ns(feed),
            difference=conclusion.difference,
        )
        self._concluding.write(folder, feed, conclusion, selection, manifest)
        self._publications.begin(manifest)
        self._past = None

    def _stages_of(self, replay: Replay) -> "ReplayStages":
        """The version that a replay applies, or its draft, and the stages that do."""
        if self._stages is None or self._stages[0] != replay.id:
            self._stages = replay.id, self._make_stages(replay)
        return self._stages[1]

    def _make_stages(self, replay: Replay) -> "ReplayStages":
        request = replay.request
        if request.definition is None:
            feed = self._book.version(replay.tenant, request.feed, request.version)
            return ReplayStages(request.version, feed, self._pipeline)
        draft = load_feed(request.definition, source=f"the draft of '{request.feed}'", environment=AS_WRITTEN)
        draft = msgspec.structs.replace(draft, version=DRAFT_VERSION)
        return ReplayStages(DRAFT_VERSION, draft, self._pipeline.with_book(DraftBook(self._book, replay.tenant, draft)))

    def _prune_differences(self, tenant: str) -> None:
        alive = {replay.id for replay in self._replays.list(tenant) if replay.state not in ("cancelled", "failed")}
        self._differences.prune(tenant, alive)

    def _finish(self, replay: Replay, folder: Folder, outcome: ReplayOutcome) -> None:
        request, now = _without_text(replay.request), self._clock()
        self._replays.change(replay, state="done", finished_ns=now, request=request, result=outcome)
        folder.remove()
        self._past = None

    def _fail(self, replay: Replay, error: Exception) -> None:
        _log.error("replay %s failed", replay.id, exc_info=error)
        message = getattr(error, "message", f"{type(error).__name__}: {error}")
        request, now = _without_text(replay.request), self._clock()
        self._replays.change(replay, state="failed", finished_ns=now, request=request, error=message)
        self._drop(replay)

    def _drop(self, replay: Replay) -> None:
        self._folder(replay).remove()
        self._differences.drop(replay.tenant, replay.id)
        self._past = self._stages = None
        self._current = None
        self._look = True

    def _folder(self, replay: Replay) -> Folder:
        return Folder(self._path / replay.tenant / replay.id)


def _without_text(request: ReplayRequest) -> ReplayRequest:
    """A request without the text of its draft, which nothing needs once the replay is over."""
    return msgspec.structs.replace(request, definition=None)
