"""What runs beside the requests: listening to the mill, following feed changes, trimming the log. And the end."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from tidemill.api.services import Services
from tidemill.catalog.feeds import PREFIX as FEEDS_PREFIX
from tidemill.errors import UnavailableError

log = logging.getLogger(__name__)

TRIM_EVERY_S: Final = 10.0


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Start the background work; at the end stop it, then close the log (all requests have finished by then)."""
    services.applied.start()
    await asyncio.to_thread(services.deleted.rebuild, services.log)
    end_watch = services.catalog.watch(FEEDS_PREFIX, services.book.refresh)
    trimming = asyncio.create_task(_trim(services), name="trim")
    try:
        yield
    finally:
        trimming.cancel()
        with suppress(asyncio.CancelledError):
            await trimming
        end_watch()
        services.applied.stop()
        await asyncio.to_thread(services.log.close)


def lifespan(services: Services) -> Any:
    """`running` as Litestar wants it."""

    @asynccontextmanager
    async def of_app(_: Any) -> AsyncIterator[None]:
        async with running(services):
            yield

    return of_app


async def _trim(services: Services) -> None:
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        try:
            gone = await asyncio.to_thread(services.log.trim, services.applied.seq)
        except UnavailableError as error:
            log.warning("the log could not be trimmed: %s", error)
        except Exception:
            log.exception("the log could not be trimmed")
        else:
            if gone:
                log.info("trimmed the log", extra={"facts": {"entries": gone}})
