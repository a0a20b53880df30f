"""Makes the receipts that intake answers with: of a durable payload, or of an applied one for clients that wait."""

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
THREADS: Final = 4  # of its own, so that a wait can be abandoned; bounds the queries that hang with the store
PATIENCE_S: Final = 1.0  # for the store's answer, after the mill has applied the payload
_encoder: Final = msgspec.json.Encoder()
# Every value is a number, hex, a UUID, an instant or a feed's name (a slug), so none needs escaping.
_STORED: Final = (
    '{"id":"%s","feed":"%s","received_at":"%s","bytes":%d,"sha256":"%s","state":"stored","accepted":null,'
    '"rejected":null,"reasons":{},"missing":null,"rules_version":%d,"links":{"self":"/v1/receipts/%s",'
    '"payload":"/v1/receipts/%s/payload","rejections":"/v1/rejections?receipt=%s"}}'
)


class Outcomes:
    """Waits for the mill, then reads the receipt from the store. A failure or a wait that ends is null, no error."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._threads = ThreadPoolExecutor(THREADS, "outcomes")

    async def applied_receipt(self, tenant: str, receipt: str, seq: int, wait_s: float) -> Receipt | None:
        """The receipt of a payload once it is applied; null where it is not within `wait_s` and PATIENCE_S seconds (the
        payload is durable all the same)."""
        if not await self._services.applied.wait_until_applied(tenant, seq, wait_s):
            return None
        read_receipt = self._services.queries.receipts.receipt
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await asyncio.get_running_loop().run_in_executor(self._threads, read_receipt, tenant, receipt)
        except (UnavailableError, TimeoutError) as error:
            log.info("an outcome could not be read: %s", error)
            return None
        return None if outcome.state == "stored" else outcome

    async def applied_receipt_json(self, tenant: str, receipt: str, seq: int, wait_s: float) -> bytes | None:
        """`applied_receipt` as JSON."""
        outcome = await self.applied_receipt(tenant, receipt, seq, wait_s)
        return None if outcome is None else _encoder.encode(outcome)


def stored_receipt(payload: Payload, appended: Appended) -> bytes:
    """The receipt, as JSON, of a payload that is durable and not applied yet; `accepted` and `rejected` are null."""
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


def location_header(receipt: str) -> tuple[bytes, bytes]:
    """The Location header of a receipt."""
    return (b"location", b"/v1/receipts/" + receipt.encode())
