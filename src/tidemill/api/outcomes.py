"""What became of a payload, for those who wait for it: the applied outcome, read from the store."""

import asyncio
import logging
from typing import Final

import msgspec

from tidemill.api.services import Services
from tidemill.errors import UnavailableError
from tidemill.query.receipts import Receipt

log = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Outcomes:
    """Waits for the mill, then asks the store. Never fails: what is not known in time is null."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def of(self, tenant: str, receipt: str, seq: int, wait_s: float) -> Receipt | None:
        """The applied outcome of a receipt within `wait_s` seconds, else null (it is durable all the same)."""
        if not await self._services.applied.wait(seq, wait_s):
            return None
        try:
            outcome = await asyncio.to_thread(self._services.queries.receipts.receipt, tenant, receipt)
        except UnavailableError as error:
            log.info("an outcome could not be read: %s", error)
            return None
        return None if outcome.state == "stored" else outcome

    async def json(self, tenant: str, receipt: str, seq: int, wait_s: float) -> bytes | None:
        """`of` as JSON."""
        outcome = await self.of(tenant, receipt, seq, wait_s)
        return None if outcome is None else _encoder.encode(outcome)
