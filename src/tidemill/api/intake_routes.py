"""The routes that take payloads of any feed: `POST /v1/feeds/{feed}`, `PUT /location`, `POST /internal/payloads`.

`202` with the receipt means durable; with `Prefer: wait=N` the answer is the applied receipt (`200`) if it is known in
time. `PUT /location` answers `200` as soon as the fix is durable, because its clients expect that.
"""

import hmac
from typing import Final
from urllib.parse import parse_qs, parse_qsl

from tidemill.api import outcomes, prefer
from tidemill.api.auth import Authenticator
from tidemill.api.body import Incoming
from tidemill.api.front import Route
from tidemill.api.intake import Accepted, Intake
from tidemill.api.outcomes import Outcomes
from tidemill.api.problems import Header, HttpAnswer
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import Fault, InputError, NotFoundError

JSON: Final = (b"content-type", b"application/json")
REPLAYED: Final = (b"idempotency-replayed", b"true")
LOCATION_FEED: Final = "location"


class IntakeRoutes:
    """Handlers of the intake routes over one `Intake`."""

    def __init__(self, services: Services, intake: Intake, authenticator: Authenticator, outcomes: Outcomes) -> None:
        self._services, self._intake = services, intake
        self._authenticator, self._outcomes = authenticator, outcomes
        self._longest_wait_s = services.settings.max_wait

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
        return await self._receipt(incoming, accepted, 200)

    async def post_feed(self, incoming: Incoming) -> HttpAnswer:
        """A payload of any feed: `202` when it is durable."""
        principal = self._authenticator.authorize(incoming.headers, "write", incoming.address)
        accepted = await self._intake.accept(incoming, principal, incoming.path)
        return await self._receipt(incoming, accepted, 202)

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
        return await self._receipt(incoming, accepted, 202)

    async def _receipt(self, incoming: Incoming, accepted: Accepted, status: int) -> HttpAnswer:
        appended = accepted.appended
        headers = [JSON]
        body = None
        wait_s = prefer.preferred_wait_s(incoming.headers.get(b"prefer"), self._longest_wait_s)
        if wait_s is not None or appended.replayed:
            tenant = accepted.payload.tenant
            body = await self._outcomes.applied_receipt_json(tenant, appended.receipt, appended.seq, wait_s or 0.0)
        if body is not None and wait_s is not None:
            status = 200
            headers.append(prefer.applied_header(wait_s))
        return receipt_answer(status, headers, accepted, body or outcomes.stored_receipt(accepted.payload, appended))


def receipt_answer(status: int, headers: list[Header], accepted: Accepted, body: bytes) -> HttpAnswer:
    """The answer that carries a receipt, with the headers of every receipt; `headers` is extended."""
    headers += [(b"content-length", b"%d" % len(body)), outcomes.location_header(accepted.appended.receipt)]
    if accepted.appended.replayed:
        headers.append(REPLAYED)
    return HttpAnswer(status, headers, body)
