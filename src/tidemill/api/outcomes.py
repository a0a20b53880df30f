"""Receipts as intake answers them: of a payload that is durable, and, for those who wait for it, what became of it."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from tidemill.api.services import Services
from tidemill.errors import UnavailableError
from tidemill.log.contract import Appended
from tidemill.model.payload import Payload
from tidemill.model.time import format_instant
from tidemill.query.receipts import Receipt

log = logging.getLogger(__name__)
THREADS: Final = 4  # of its own, so that a wait can be given up and at most so many questions hang with the store
PATIENCE_S: Final = 1.0  # for the store's answer, after the mill's
_encoder: Final = msgspec.json.Encoder()
# Every value put in is a number, hex, a UUID, an instant or a feed's name (a slug): nothing needs escaping.
_STORED: Final = (
    '{"id":"%s","feed":"%s","received_at":"%s","bytes":%d,"sha256":"%s","state":"stored","accepted":null,'
    '"rejected":null,"reasons":{},"rules_version":%d,"links":{"self":"/v1/receipts/%s",'
    '"payload":"/v1/receipts/%s/payload","rejections":"/v1/rejections?receipt=%s"}}'
)


class Outcomes:
    """Waits for the mill, then asks the store. Never fails: what is not known in time is null."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._threads = ThreadPoolExecutor(THREADS, "outcomes")

    async def of(self, tenant: str, receipt: str, seq: int, wait_s: float) -> Receipt | None:
        """The applied outcome of a receipt, else null (it is durable all the same): within `wait_s` seconds and a
        moment for the store."""
        if not await self._services.applied.wait(tenant, seq, wait_s):
            return None
        read = self._services.queries.receipts.receipt
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await asyncio.get_running_loop().run_in_executor(self._threads, read, tenant, receipt)
        except (UnavailableError, TimeoutError) as error:
            log.info("an outcome could not be read: %s", error)
            return None
        return None if outcome.state == "stored" else outcome

    async def json(self, tenant: str, receipt: str, seq: int, wait_s: float) -> bytes | None:
        """`of` as JSON."""
        outcome = await self.of(tenant, receipt, seq, wait_s)
        return None if outcome is None else _encoder.encode(outcome)


def stored(payload: Payload, appended: Appended) -> bytes:
    """The receipt of a payload that is durable and not yet applied. `accepted` and `rejected` are not known yet."""
    receipt = appended.receipt
    text = _STORED % (
        receipt,
        payload.feed,
        format_instant(appended.received_ns),
        len(payload.body),
        payload.sha256.hex(),
        payload.feed_version,
        receipt,
        receipt,
        receipt,
    )
    return text.encode()


def location(receipt: str) -> tuple[bytes, bytes]:
    """The Location header of a receipt."""
    return (b"location", b"/v1/receipts/" + receipt.encode())
