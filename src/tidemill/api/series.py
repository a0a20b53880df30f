"""The routes `POST /v1/series` (payloads of the feed `signals`) and `DELETE /v1/series/{id}`.

A deletion is an entry of the log: it deletes what was sent before it, and what is sent after it stays. Until the mill
has applied it, `pending_deletions.py` hides the series.
"""

import asyncio
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from tidemill.api import outcomes, prefer
from tidemill.api.auth import Authenticator
from tidemill.api.body import Incoming
from tidemill.api.deletion_requests import WAIT_S, check_deletable_alone, preview_deletion, submit_deletion
from tidemill.api.deletions import WholeDeletionQuery
from tidemill.api.front import Route
from tidemill.api.intake import OFF_LOOP_BYTES, Accepted, Intake
from tidemill.api.outcomes import Outcomes
from tidemill.api.problems import HttpAnswer
from tidemill.api.reads_common import ask_store
from tidemill.api.receipt_answers import JSON, REPLAYED
from tidemill.api.services import Services, newest_version
from tidemill.decode.decoder import Decoder
from tidemill.errors import NotFoundError
from tidemill.log.contract import Appended
from tidemill.model.deletion import Deletion
from tidemill.model.ids import format_series
from tidemill.model.payload import Payload
from tidemill.model.time import format_instant
from tidemill.query.deletion_receipts import DeletionItem
from tidemill.query.parameters import read_query
from tidemill.query.receipts import Receipt

SIGNALS: Final = "signals"


class CreatedSeries(msgspec.Struct, frozen=True):
    """The answer to a new series. `tags` include its name; `count` (values), `missing` (nulls), `start`
    and `end` are of this request."""

    id: str
    name: str | None
    unit: str | None
    tags: dict[str, str]
    count: int
    missing: int
    start: str
    end: str
    receipt: msgspec.Raw
    links: dict[str, str]


_encoder: Final = msgspec.json.Encoder()


class SeriesRoutes:
    """Handlers of the routes that write series."""

    def __init__(self, services: Services, intake: Intake, authenticator: Authenticator, outcomes: Outcomes) -> None:
        self._services, self._intake = services, intake
        self._authenticator, self._outcomes = authenticator, outcomes

    def routes(self) -> list[Route]:
        """The routes, for `Routes`."""
        return [
            Route("POST", "/v1/series", self.post_series),
            Route("DELETE", "/v1/series/{series}", self.delete_series),
        ]

    async def post_series(self, incoming: Incoming) -> HttpAnswer:
        """`201` when the series can be read within `series_wait` (or `Prefer: wait=N`), else `202`; the same id."""
        principal = self._authenticator.authorize(incoming.headers, "write", incoming.address)
        accepted = await self._intake.accept(incoming, principal, SIGNALS)
        payload, appended = accepted.payload, accepted.appended
        settings = self._services.settings
        preferred = prefer.preferred_wait_s(incoming.headers.get(b"prefer"), settings.max_wait)
        wait_s = incoming.left_of(settings.series_wait if preferred is None else preferred)
        outcome = asyncio.create_task(self._readable(principal.tenant, appended, wait_s))
        created = await self._created(accepted)
        applied = await outcome
        receipt = outcomes.stored_receipt(payload, appended) if applied is None else _encoder.encode(applied)
        status = 202 if applied is None else 201
        body = _encoder.encode(msgspec.structs.replace(created, receipt=msgspec.Raw(receipt)))
        headers = [JSON, (b"content-length", b"%d" % len(body)), (b"location", f"/v1/series/{created.id}".encode())]
        if preferred is not None and applied is not None:
            headers.append(prefer.applied_header(preferred))
        return HttpAnswer(status, headers + ([REPLAYED] if appended.replayed else []), body)

    async def delete_series(self, incoming: Incoming) -> HttpAnswer:
        """For a series that was sent whole: `204` when the deletion is durable; from then on no answer has it, and
        `Location` leads to the deletion receipt. For one whose points come from records, and for administrators only:
        the deletion receipt. `404` for an unknown series, `409` where its records cannot be kept without it."""
        principal = self._authenticator.authorize(incoming.headers, "write", incoming.address)
        services, tenant = self._services, principal.tenant
        described = await ask_store(lambda: services.queries.series.describe(tenant, incoming.path))
        feed = await newest_version(services.book, tenant, described.feed)
        alone = feed.shape.kind == "samples"
        if not alone:
            check_deletable_alone(feed, incoming.path)
            self._authenticator.authorize(incoming.headers, "admin", incoming.address)
        query = read_query(parse_qsl(incoming.query.decode("latin-1"), keep_blank_values=True), WholeDeletionQuery)
        deletion = Deletion(
            kind="series", feed=feed.name, series=incoming.path, alone=alone, erase_s=services.settings.erase_within
        )
        if query.dry_run:
            return _json(200, await ask_store(lambda: preview_deletion(services, tenant, deletion)))
        if services.pending_deletions.hides_series(tenant, described.series):  # another request deleted it meanwhile
            raise NotFoundError(f"there is no series '{incoming.path}'")
        if not alone:
            preferred = prefer.preferred_wait_s(incoming.headers.get(b"prefer"), services.settings.max_wait)
            wait_s = incoming.left_of(WAIT_S if preferred is None else preferred)
            item = await submit_deletion(services, tenant, feed.version, deletion, wait_s)
            return _json(202 if item.state == "requested" else 200, item)
        wait_s = incoming.left_of(services.settings.series_wait)
        item = await submit_deletion(services, tenant, feed.version, deletion, wait_s, read_back=False)
        return HttpAnswer(204, [(b"location", f"/v1/deletions/{item.id}".encode())], b"")

    async def _readable(self, tenant: str, appended: Appended, wait_s: float) -> Receipt | None:
        """The receipt, if mill and store show it as applied within `wait_s` seconds; else null."""
        try:
            async with asyncio.timeout(wait_s):
                outcome = await self._outcomes.applied_receipt(tenant, appended.receipt, appended.seq, wait_s)
        except TimeoutError:
            return None
        return outcome if outcome is not None and outcome.state == "applied" else None

    async def _created(self, accepted: Accepted) -> CreatedSeries:
        """The series that the payload will be; for a repeated request (`replayed`), that of the first one."""
        appended = accepted.appended
        payload = msgspec.structs.replace(accepted.payload, receipt=appended.receipt, received_ns=appended.received_ns)
        decoder = self._intake.decoder(
            payload.tenant, self._services.book.version(payload.tenant, payload.feed, payload.feed_version)
        )
        if len(payload.body) < OFF_LOOP_BYTES:
            return _describe(decoder, payload)
        return await self._intake.off_loop(lambda: _describe(decoder, payload))


def _json(status: int, value: DeletionItem) -> HttpAnswer:
    body = _encoder.encode(value)
    return HttpAnswer(status, [JSON, (b"content-length", b"%d" % len(body))], body)


def _describe(decoder: Decoder, payload: Payload) -> CreatedSeries:
    head = decoder.samples_head(payload)
    series = format_series(head.series)
    return CreatedSeries(
        id=series,
        name=head.name or None,
        unit=head.unit or None,
        tags=head.tags,
        count=head.count,
        missing=head.missing,
        start=format_instant(head.start_ns),
        end=format_instant(head.end_ns),
        receipt=msgspec.Raw(b"null"),
        links={
            "self": f"/v1/series/{series}",
            "points": f"/v1/series/{series}/points",
            "metrics": f"/v1/series/{series}/metrics",
            "receipt": f"/v1/receipts/{payload.receipt}",
        },
    )
