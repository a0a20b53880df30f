"""What runs beside the requests: listening to the mill, following feed changes, trimming the log. And the end.

The log is trimmed only up to where a mill that runs now has confirmed that the store holds everything.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from tidemill.api.erasure import keep_erasing
from tidemill.api.health import Health
from tidemill.api.job_upkeep import keep_jobs
from tidemill.api.mending import keep_mending
from tidemill.api.services import Services
from tidemill.catalog.feeds import FEEDS_PREFIX
from tidemill.errors import UnavailableError
from tidemill.log.contract import Capability, LogPartition
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.status import Heartbeat

log = logging.getLogger(__name__)

TRIM_EVERY_S: Final = 10.0
_AGAIN_S: Final = 1.0


@asynccontextmanager
async def running(services: Services, health: Health) -> AsyncIterator[None]:
    """Start the background work; at the end stop it, then close the log (all requests have finished by then)."""
    services.applied.start()
    with suppress(UnavailableError):  # it is looked at again at once, and by every read
        await asyncio.to_thread(services.deleted.follow)
    end_watch = services.catalog.watch(FEEDS_PREFIX, services.book.refresh)
    beside = [
        asyncio.create_task(_follow_falls(services), name="follow_falls"),
        asyncio.create_task(services.deleted.keep_following(), name="follow_deletions"),
        asyncio.create_task(health.keep_watching(), name="watch_mill"),
        asyncio.create_task(keep_jobs(services), name="jobs"),
        asyncio.create_task(
            keep_erasing(
                services.store, services.log, services.catalog, services.deleted, lambda: services.applied.progress
            ),
            name="erase",
        ),
    ]
    can = services.log.capabilities
    if Capability.ERASURE in can:
        beside.append(asyncio.create_task(_trim(services), name="trim"))
    if Capability.REPAIR in can:
        beside.append(asyncio.create_task(keep_mending(services.store, services.log), name="mend"))
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        end_watch()
        services.applied.stop()
        await asyncio.to_thread(services.log.close)


def lifespan(services: Services, health: Health) -> Any:
    """`running` as Litestar wants it."""

    @asynccontextmanager
    async def of_app(_: Any) -> AsyncIterator[None]:
        async with running(services, health):
            yield

    return of_app


def trimmable(
    applied: PartitionProgress, confirmed: PartitionProgress, before: Heartbeat | None, now: Heartbeat | None
) -> int:
    """The offset up to which a partition may be trimmed; 0: not now. `before` and `now` are the signs of life of its
    mill at the look before this one and at this one; only a mill that turned between them counts.

    A mill that turns has compared the store with its checkpoint: until then the checkpoint may be that of a store that
    was wiped or restored, and the log holds what the store lacks. What it has confirmed was counted in the store since.
    """
    if now is None or not now.turns or (before is not None and before.looped_at_ns == now.looped_at_ns):
        return 0
    return min(applied.checkpoint, confirmed.checkpoint)


async def _trim(services: Services) -> None:
    before = await asyncio.to_thread(_heartbeats, services)
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        now = await asyncio.to_thread(_heartbeats, services)
        progress = services.applied.look()
        for number, partition in enumerate(services.log.partitions):
            confirmed = await asyncio.to_thread(services.mills[number].confirmed)
            if upto := trimmable(progress.partitions[number], confirmed, before[number], now[number]):
                await _trim_partition(partition, upto)
        before = now


def _heartbeats(services: Services) -> list[Heartbeat | None]:
    return [mill.heartbeat() for mill in services.mills]


async def _trim_partition(partition: LogPartition, upto: int) -> None:
    try:
        gone = await asyncio.to_thread(partition.trim, upto)
    except UnavailableError as error:
        log.warning("the log could not be trimmed: %s", error)
    except Exception:
        log.exception("the log could not be trimmed")
    else:
        if gone:
            log.info("trimmed the log", extra={"facts": {"entries": gone}})


async def _follow_falls(services: Services) -> None:
    """When the mill goes back, deletions that it had applied are to be applied again: hide their series until then."""
    while True:
        await services.applied.fell.wait()
        services.applied.fell.clear()
        try:
            await asyncio.to_thread(services.deleted.follow_again)
        except Exception as error:
            log.warning("the deletions in the log could not be read, trying again: %s", error)
            services.applied.fell.set()
            await asyncio.sleep(_AGAIN_S)
