"""The routes that take payloads of any feed: `POST /v1/feeds/{feed}`, `PUT /location`, `POST /internal/payloads`.

`202` with the receipt means durable; with `Prefer: wait=N` the answer is the applied receipt (`200`) if it is known in
time. `PUT /location` answers `200` as soon as the fix is durable, because its clients expect that.
"""

import hmac
from typing import Final
from urllib.parse import parse_qs, parse_qsl

from tidemill.api.auth import Authenticator
from tidemill.api.body import Incoming
from tidemill.api.front import Route
from tidemill.api.intake import Intake
from tidemill.api.points_routes import PointsRoutes
from tidemill.api.problems import HttpAnswer
from tidemill.api.receipt_answers import ReceiptAnswers
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, InputError, NotFoundError

LOCATION_FEED: Final = "location"


class IntakeRoutes:
    """Handlers of the intake routes over one `Intake`."""

    def __init__(
        self,
        services: Services,
        intake: Intake,
        authenticator: Authenticator,
        answers: ReceiptAnswers,
        points: PointsRoutes,
    ) -> None:
        self._services, self._intake, self._points = services, intake, points
        self._authenticator, self._answers = authenticator, answers

    def routes(self) -> list[Route]:
        """The routes, for `Routes`."""
        return [
            Route("PUT", "/location", self.put_location),
            Route("POST", "/v1/feeds/{feed}", self.post_feed),
            Route("POST", "/internal/payloads", self.post_internal),
        ]

    async def put_location(self, incoming: Incoming) -> HttpAnswer:
        """One fix: `200` when it is durable."""
        principal = self._authenticator.authorize(incoming.headers, "write", incoming.address)
        accepted = await self._intake.accept(incoming, principal, LOCATION_FEED, fix=True)
        return await self._answers.receipt(incoming, accepted, 200)

    async def post_feed(self, incoming: Incoming) -> HttpAnswer:
        """A payload of any feed: `202` when it is durable."""
        principal = self._authenticator.authorize(incoming.headers, "write", incoming.address)
        if (await self._intake.feed(principal.tenant, incoming.path)).input.open:
            return await self._points.post_to(incoming, principal, incoming.path)
        accepted = await self._intake.accept(incoming, principal, incoming.path)
        return await self._answers.receipt(incoming, accepted, 202)

    async def post_internal(self, incoming: Incoming) -> HttpAnswer:
        """A payload that a source fetched; for the processes of this installation, which know the secret."""
        secret = incoming.headers.get(b"x-tidemill-secret", b"")
        if not hmac.compare_digest(secret, self._services.internal_secret.encode()):
            raise NotFoundError("No such resource.")
        query = parse_qs(incoming.query.decode("latin-1"))
        missing = [name for name in ("tenant", "feed") if len(query.get(name, [])) != 1]
        if missing:
            faults = tuple(Fault(f"$query.{name}", "missing", f"'{name}' is needed, once") for name in missing)
            raise InputError("The query has to name a tenant and a feed.", faults)
        principal = Principal(query["tenant"][0], frozenset({"write"}), "internal")
        params = dict(parse_qsl(query.get("asked", [""])[0]))
        accepted = await self._intake.accept(incoming, principal, query["feed"][0], fetched=True, fetch_params=params)
        return await self._answers.receipt(incoming, accepted, 202)
