"""Which replays are being published, from the moment that their plan is decided until all of it is in the store.

A feed of which a replay is being published waits: no batch of it is applied between plan and publication. Other feeds
go on, also while a publication fails and is tried again. The next mill of the partition ends a publication that was
begun: the
manifest is in the mill's state, the plan on disk and, for a mill that lost its disk, in the store.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tidemill.catalog.replays import CatalogReplays
from tidemill.crash_points import reach
from tidemill.errors import ConflictError, NotFoundError, StoreQueryError, StoreUnavailableError, UnavailableError
from tidemill.mill.context import MillContext
from tidemill.mill.replay.folder import Folder
from tidemill.mill.replay.plan_copies import PlanCopies
from tidemill.mill.replay.publish import Publisher
from tidemill.mill.stages import TransformPipeline
from tidemill.mill.state import MillState, PublishManifest
from tidemill.model.job import OVER
from tidemill.model.replay import Replay

_log = logging.getLogger(__name__)
_MANIFEST: Final = "publishing"  # its file beside the plan: then the plan and its copy are whole
_END: Final = object()


class Publications:
    """The publications of one mill, whose replays have their folders in `path`; `owns` says of which feeds. `blocked`:
    of each feed that waits for one (tenant and name) the offset up to which its tenant was applied when it was planned.
    """

    def __init__(
        self,
        context: MillContext,
        pipeline: TransformPipeline,
        replays: CatalogReplays,
        state: MillState,
        path: Path,
        *,
        owns: Callable[[str, str], bool],
    ) -> None:
        self.blocked: Mapping[tuple[str, str], int] = {}
        self._context = context
        self._replays = replays
        self._state = state
        self._path = path
        self._clock = context.clock
        self._owns = owns
        self._copies = PlanCopies(context.store)
        self._publisher = Publisher(context, pipeline.texts)
        self._manifests: list[PublishManifest] = []
        self._planned: PublishManifest | None = None  # and not kept yet
        self._pieces: Iterator[None] | None = None

    def resume(self) -> None:
        """Block the feeds of the publications under way when the mill ended, and remove folders and copies of no use.
        Call it before the first batch. Raises UnavailableError: nothing may be applied before."""
        manifests = {(each.tenant, each.replay): each for each in self._state.manifests()}
        for path in self._path.glob("*/*"):
            folder, key = Folder(path), (path.parent.name, path.name)
            if folder.has(_MANIFEST) and key not in manifests:
                manifests[key] = folder.read_struct(_MANIFEST, PublishManifest)
                self._state.save_manifest(manifests[key])
            elif key not in manifests and not self._is_under_way(*key):
                folder.remove()
        for tenant, replay, feed in self._copies.kept():
            if self._owns(tenant, feed) and (tenant, replay) not in manifests:
                self._copies.drop(tenant, replay)  # the mill ended before the copy was whole
        self._manifests = list(manifests.values())
        self._block()

    def begin(self, manifest: PublishManifest) -> None:
        """Publish the plan that is in the replay's folder from now on, piece by piece; its feed waits."""
        self._manifests.append(manifest)
        self._planned = manifest
        self._block()

    def step(self) -> bool:
        """Do the next piece of what is being published; whether there was any. Raises UnavailableError with some of it
        published: step again."""
        if not self._manifests:
            return False
        manifest = self._manifests[0]
        try:
            if self._pieces is None:
                self._pieces = self._pieces_of(manifest)
            if next(self._pieces, _END) is _END:
                self._end(manifest)
        except UnavailableError:
            self._pieces = None
            raise
        except Exception as error:
            self._pieces = None
            code = f" (code {error.store_code})" if isinstance(error, StoreQueryError) else ""
            message = f"replay {manifest.replay} cannot be published{code}: {error}"
            raise StoreUnavailableError(message) from error
        return True

    def _pieces_of(self, manifest: PublishManifest) -> Iterator[None]:
        folder = self._folder(manifest)
        if manifest == self._planned:
            yield from self._copies.keep(folder, manifest.tenant, manifest.replay, manifest.feed)
            folder.write_struct(_MANIFEST, manifest)
            self._state.save_manifest(manifest)
            self._planned = None
            reach("replay.planned")
        if (
            replay := self._replay(manifest)
        ) is None:  # the replay is not known any more, though some of it may be published
            yield from self._publish(folder, manifest)
        elif replay.state not in OVER and self._may_publish(replay, folder, manifest):
            yield from self._publish(folder, manifest)
            with suppress(NotFoundError):
                now, outcome = self._clock(), manifest.difference
                self._replays.change(replay, state="done", finished_ns=now, result=outcome)
            reach("replay.published")

    def _may_publish(self, replay: Replay, folder: Folder, manifest: PublishManifest) -> bool:
        """Whether a replay was not cancelled before anything of it was published, and its plan is there: in its folder,
        or brought back from its copy."""
        try:
            if self._is_there(folder, manifest):
                self._replays.change(replay, only=("running", "publishing"), state="publishing")
                return True
            _log.error("the plan of replay %s is lost with the store that had a copy: it begins anew", replay.id)
            self._replays.change(replay, state="queued", done=0)
        except (ConflictError, NotFoundError):
            pass  # it was cancelled
        return False

    def _is_there(self, folder: Folder, manifest: PublishManifest) -> bool:
        if folder.has(_MANIFEST):
            return True
        if not self._copies.bring_back(folder, manifest.tenant, manifest.replay):
            return False
        folder.write_struct(_MANIFEST, manifest)
        return True

    def _publish(self, folder: Folder, manifest: PublishManifest) -> Iterator[None]:
        if not self._is_there(folder, manifest):
            return
        yield from self._publisher.publish(folder, manifest)
        self._context.versions.raise_to(manifest.version)
        self._context.known.drop_all()  # the known series are those from before the publication
        self._context.status.restated += 1
        _log.info("replay %s is published", manifest.replay)

    def _end(self, manifest: PublishManifest) -> None:
        """End a publication that is complete: remove its files and, last, unblock its feed."""
        folder = self._folder(manifest)
        folder.drop(_MANIFEST)  # first: what is left of a folder is no plan
        self._copies.drop(manifest.tenant, manifest.replay)
        folder.remove()
        self._state.remove_manifest(manifest)
        self._pieces = None
        self._manifests.pop(0)
        self._block()

    def _block(self) -> None:
        self.blocked = {(each.tenant, each.feed): each.at_seq for each in self._manifests}

    def _replay(self, manifest: PublishManifest) -> Replay | None:
        try:
            return self._replays.get(manifest.tenant, manifest.replay)
        except NotFoundError:
            return None

    def _is_under_way(self, tenant: str, replay: str) -> bool:
        try:
            return self._replays.get(tenant, replay).state not in OVER
        except NotFoundError:
            return False

    def _folder(self, manifest: PublishManifest) -> Folder:
        return Folder(self._path / manifest.tenant / manifest.replay)
