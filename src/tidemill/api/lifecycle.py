"""Runs the background work beside the requests: following the mill, feeds and deletions, trimming the log; and its end.

The log is trimmed only up to the offset where a mill that runs now has confirmed that the store holds everything.
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
from tidemill.catalog.feeds import CatalogFeeds
from tidemill.errors import UnavailableError
from tidemill.log.contract import Capability, LogPartition
from tidemill.mill.progress import PartitionProgress
from tidemill.mill.status import Heartbeat

log = logging.getLogger(__name__)

TRIM_EVERY_S: Final = 10.0
_AGAIN_S: Final = 1.0


@asynccontextmanager
async def background_work(services: Services, health: Health) -> AsyncIterator[None]:
    """Start the background work; at the end stop it, then close the log (all requests have finished by then)."""
    pending = services.pending_deletions
    services.applied.start()
    with suppress(UnavailableError):  # the background task and every read try again
        await asyncio.to_thread(pending.follow_log)
    end_watch = CatalogFeeds(services.catalog).watch(services.book.refresh)
    tasks = [
        asyncio.create_task(_keep_following_setbacks(services), name="follow_setbacks"),
        asyncio.create_task(pending.keep_following(), name="follow_deletions"),
        asyncio.create_task(health.keep_watching(), name="watch_mill"),
        asyncio.create_task(keep_jobs(services), name="jobs"),
        asyncio.create_task(
            keep_erasing(services.store, services.log, services.catalog, pending, lambda: services.applied.progress),
            name="erase",
        ),
    ]
    capabilities = services.log.capabilities
    if Capability.ERASURE in capabilities:
        tasks.append(asyncio.create_task(_keep_trimming(services), name="trim"))
    if Capability.REPAIR in capabilities:
        tasks.append(asyncio.create_task(keep_mending(services.store, services.log), name="mend"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        end_watch()
        services.applied.stop()
        await asyncio.to_thread(services.log.close)


def lifespan(services: Services, health: Health) -> Any:
    """`background_work` as a lifespan for Litestar."""

    @asynccontextmanager
    async def of_app(_: Any) -> AsyncIterator[None]:
        async with background_work(services, health):
            yield

    return of_app


def trimmable(
    applied: PartitionProgress, confirmed: PartitionProgress, before: Heartbeat | None, now: Heartbeat | None
) -> int:
    """The offset up to which a partition may be trimmed; 0: not now. `before` and `now` are its mill's previous and
    present heartbeat; only a mill that completed a turn of its loop between them counts.

    A mill that turns has compared the store with its checkpoint. Before that, the checkpoint may be of a store that was
    wiped or restored since, and the log holds what the store lacks. Confirmed offsets were counted in the store since.
    """
    if now is None or not now.turns or (before is not None and before.looped_at_ns == now.looped_at_ns):
        return 0
    return min(applied.checkpoint, confirmed.checkpoint)


async def _keep_trimming(services: Services) -> None:
    before = await asyncio.to_thread(_heartbeats, services)
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        now = await asyncio.to_thread(_heartbeats, services)
        progress = services.applied.refresh()
        for number, partition in enumerate(services.log.partitions):
            confirmed = await asyncio.to_thread(services.mills[number].confirmed)
            if upto := trimmable(progress.partitions[number], confirmed, before[number], now[number]):
                await _trim_partition(partition, upto)
        before = now


def _heartbeats(services: Services) -> list[Heartbeat | None]:
    return [mill.heartbeat() for mill in services.mills]


async def _trim_partition(partition: LogPartition, upto: int) -> None:
    try:
        trimmed = await asyncio.to_thread(partition.trim, upto)
    except UnavailableError as error:
        log.warning("the log could not be trimmed: %s", error)
    except Exception:
        log.exception("the log could not be trimmed")
    else:
        if trimmed:
            log.info("trimmed the log", extra={"facts": {"entries": trimmed}})


async def _keep_following_setbacks(services: Services) -> None:
    """Each time the applied progress goes back, hide again what deletions beyond it name, until they are applied."""
    while True:
        await services.applied.went_back.wait()
        services.applied.went_back.clear()
        try:
            await asyncio.to_thread(services.pending_deletions.follow_log_again)
        except Exception as error:
            log.warning("the deletions in the log could not be read, trying again: %s", error)
            services.applied.went_back.set()
            await asyncio.sleep(_AGAIN_S)
