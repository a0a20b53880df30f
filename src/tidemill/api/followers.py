"""Wakes the streams that follow changes: one query of the store for all streams of a tenant, when the mill has applied
more.

Each stream reads its pages at its own pace; nothing is queued for it here. The queries have threads of their own, so
that neither intake nor other reads wait for a stream. Lives in one event loop.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar
from weakref import WeakSet

from anyio import CapacityLimiter, to_thread

from tidemill.api.applied import AppliedOffsets
from tidemill.errors import StoreQueryError, UnavailableError
from tidemill.mill.progress import LogProgress
from tidemill.query.changes import LAST, ChangeKeys, Changes, NewestChanges, key_after_payload

MAX_STREAMS: Final = 100
MAX_STREAMS_OF_TENANT: Final = 25  # so that no tenant occupies all streams
LOOK_S: Final = 0.25  # at least, between two queries of the store
POLL_S: Final = 1.0  # a replay publishes changes without new applied offsets
AGAIN_S: Final = 1.0  # after a query of the store failed
THREADS: Final = 2
_T = TypeVar("_T")


class Follower:
    """One stream of a tenant. It counts for as long as the object is referenced."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant


class Followers:
    """All streams of this process. `ended`: the server is ending, and so must every stream."""

    def __init__(self, changes: Changes, applied: AppliedOffsets) -> None:
        self._changes, self._applied = changes, applied
        self._open: WeakSet[Follower] = WeakSet()
        self._newest: dict[str, NewestChanges] = {}
        self._through: dict[str, tuple[int, ...]] = {}  # the applied offsets by tenant, as last looked at
        self._woken = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._limiter: CapacityLimiter | None = None

    @property
    def ended(self) -> bool:
        """Whether the server is ending."""
        return self._applied.stopped

    def add_follower(self, tenant: str) -> Follower:
        """Register one more stream. Raises UnavailableError when there are MAX_STREAMS in all or MAX_STREAMS_OF_TENANT
        of this tenant, or the server is ending."""
        if self.ended:
            raise UnavailableError("The server is ending; follow again in a moment.", 1.0)
        if len(self._open) >= MAX_STREAMS:
            message = f"There are {MAX_STREAMS} streams already; poll instead, or try again later"
            raise UnavailableError(message, 30.0)
        if sum(follower.tenant == tenant for follower in self._open) >= MAX_STREAMS_OF_TENANT:
            message = f"You have {MAX_STREAMS_OF_TENANT} streams already; poll instead, or end one of them"
            raise UnavailableError(message, 30.0)
        follower = Follower(tenant)
        self._open.add(follower)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._keep_looking(), name="followers")
        return follower

    def remove_follower(self, follower: Follower) -> None:
        """Unregister a stream that has ended."""
        self._open.discard(follower)

    async def ask_store(self, work: Callable[[], _T]) -> _T:
        """The result of `work`, a query of the store, run in one of the threads for streams."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(THREADS)
        return await to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)

    async def wait_for_change(self, follower: Follower, reached: ChangeKeys, timeout_s: float) -> bool:
        """Wait until there may be changes after `reached`, or the server ends. False: not within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.ended and not _has_newer(reached, self._newest.get(follower.tenant, ())):
                    await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def start_keys(self, tenant: str) -> ChangeKeys:
        """The keys after all that is applied of a tenant, without a query of the store."""
        return tuple(key_after_payload(seq) for seq in self._applied.through(tenant))

    def known_keys(self, tenant: str) -> ChangeKeys | None:
        """The keys after all that is known to be applied and to have changed; null before the first look."""
        newest, through = self._newest.get(tenant), self._through.get(tenant)
        if newest is None or through is None:
            return None
        pairs = zip(through, newest, strict=True)
        return tuple(max(key_after_payload(upto), (seq, idx, *LAST)) for upto, (seq, idx) in pairs)

    async def wait_for_growth(self, follower: Follower, reached: ChangeKeys, timeout_s: float) -> bool:
        """Wait until more than `reached` is known, or the server ends. False: not within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.ended and not _is_beyond(self.known_keys(follower.tenant), reached):
                    await self._woken.wait()
        except TimeoutError:
            return False
        return True

    async def _keep_looking(self) -> None:
        looked = self._applied.progress
        try:
            while self._open and not self.ended:
                if looked == self._applied.progress:
                    await self._applied.wait_for_progress(POLL_S)
                now = self._applied.progress
                try:
                    await self._look(looked, now)
                except (UnavailableError, StoreQueryError):
                    await asyncio.sleep(AGAIN_S)
                    continue
                looked = now
                await asyncio.sleep(LOOK_S)
        finally:
            self._wake()

    async def _look(self, before: LogProgress, now: LogProgress) -> None:
        for tenant in {follower.tenant for follower in self._open}:
            after = tuple(map(min, before.through(tenant), now.through(tenant)))
            known = self._newest.get(tenant, ((0, 0),) * len(after))
            newest = tuple(map(max, await self.ask_store(partial(self._changes.newest_changes, tenant, after)), known))
            through = now.through(tenant)
            if newest != known or through != self._through.get(tenant):
                self._newest[tenant], self._through[tenant] = newest, through
                self._wake()

    def _wake(self) -> None:
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()


def _is_beyond(known: ChangeKeys | None, reached: ChangeKeys) -> bool:
    return known is not None and any(key > after for key, after in zip(known, reached, strict=False))


def _has_newer(reached: ChangeKeys, newest: NewestChanges) -> bool:
    """Whether changes newer than `reached` are known in any partition."""
    return any(known > offset[:2] for offset, known in zip(reached, newest, strict=False))
