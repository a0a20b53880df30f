"""`POST /v1/series` and `DELETE /v1/series/{id}`: the feed `signals`, answered in the words of its contract.

A deletion is an entry of the log like any other, so it has its place among the payloads: what was sent before it is
gone, what is sent after it stays. Until the mill has applied it, `deleted.py` hides the series.
"""

import asyncio
import hashlib
from typing import Final

from tidemill.api.auth import Authenticator
from tidemill.api.body import Incoming
from tidemill.api.front import Route
from tidemill.api.intake import Intake
from tidemill.api.outcomes import Outcomes
from tidemill.api.problems import Answer
from tidemill.api.services import Services
from tidemill.errors import NotFoundError
from tidemill.model.ids import new_receipt
from tidemill.model.payload import Kind, Payload

SIGNALS: Final = "signals"


class SeriesRoutes:
    """Handlers of the routes that write series."""

    def __init__(self, services: Services, intake: Intake, authenticator: Authenticator, outcomes: Outcomes) -> None:
        self._services, self._intake = services, intake
        self._authenticator, self._outcomes = authenticator, outcomes

    def routes(self) -> list[Route]:
        """The table that `Front` works by."""
        return [Route("DELETE", "/v1/series/{series}", self.delete_series)]

    async def delete_series(self, incoming: Incoming) -> Answer:
        """`204` when the deletion is durable; from then on the series is in no answer. `404` if there is none."""
        principal = self._authenticator.authorize(incoming.headers, "write")
        services = self._services
        described = await asyncio.to_thread(services.queries.series.describe, principal.tenant, incoming.path)
        body = incoming.path.encode()
        received_ns = services.clock()
        payload = Payload(
            receipt=new_receipt(received_ns),
            tenant=principal.tenant,
            feed=described.feed,
            feed_version=services.book.current(principal.tenant, described.feed).version,
            received_ns=received_ns,
            format="series_id",
            body=body,
            sha256=hashlib.sha256(body).digest(),
            kind=Kind.DELETE_SERIES,
        )
        if services.deleted.gone(principal.tenant, described.series):  # another request was faster
            raise NotFoundError(f"there is no series '{incoming.path}'")
        appended = await self._intake.append(payload)
        services.deleted.add(principal.tenant, described.series, appended.seq)
        await services.applied.wait(appended.seq, services.settings.series_wait)
        return Answer(204, [], b"")
