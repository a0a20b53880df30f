"""Routes of the ledger: what became of a payload, its bytes as they came, which records were rejected, the way from a
point or a rollup window to the payloads that made it, and why an instant is as it is."""

import base64
from typing import Any, Final

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec

from tidemill.api.reads_common import ReadCall, answers, problem, reading
from tidemill.errors import GoneError
from tidemill.query.answers import Page
from tidemill.query.lineage import LineageQuery, PointLineage
from tidemill.query.parameters import QueryParameters
from tidemill.query.receipts import Bytes, Receipt
from tidemill.query.rejections import RejectionPage, RejectionsQuery, RejectionSummary, RejectionSummaryQuery
from tidemill.query.why import Story, WhyQuery
from tidemill.query.window_lineage import WindowLineage


@reading(
    "/v1/receipts/{receipt:str}",
    QueryParameters,
    tags=["ledger"],
    summary="What became of a payload",
    responses=answers(Receipt, "The receipt. Once applied, `accepted` and `rejected` add up to the records in it."),
)
def get_receipt(call: ReadCall[QueryParameters], receipt: str) -> Receipt:
    """The receipt of one payload: durable since when, applied or not, records accepted, and rejected by reason.
    Whoever may read sees this and the payload's bytes; which records were rejected is in the ledger, and the ledger and
    `/v1/why` are for administrators."""
    return call.queries.receipts.receipt(call.tenant, receipt)


@reading(
    "/v1/receipts/{receipt:str}/payload",
    QueryParameters,
    tags=["ledger"],
    summary="The bytes of a payload",
    also=("application/json", "application/x-ndjson"),
    responses={
        **answers(
            bytes, "The payload, byte for byte as it came, its content coding undone.", "application/octet-stream"
        ),
        304: ResponseSpec(None, generate_examples=False, description="`If-None-Match` has its hash."),
        410: problem("Its bytes were deleted on request."),
    },
)
def get_payload(call: ReadCall[QueryParameters], receipt: str) -> Response[Any]:
    """The payload byte for byte (of a packed body what was in it), as a download that no browser will run. `ETag` is
    its SHA-256 in hexadecimal, `Repr-Digest` (RFC 9530) and `Digest` (RFC 3230) are the same in Base64. `If-None-Match`
    is answered 304. Whoever may read sees every payload of the tenant, rejected records in it too."""
    if call.services.deleted.payload_gone(call.tenant, receipt):
        raise GoneError(f"the bytes of payload '{receipt[:64]}' were deleted on request")
    payload = call.queries.receipts.payload(call.tenant, receipt)
    headers = _headers(receipt, payload)
    known = call.request.headers.get("if-none-match", "")
    if payload.sha256 in known or known.strip() == "*":
        return Response(b"", status_code=304, headers=headers, media_type=payload.media_type)
    return Response(payload.body, headers=headers, media_type=payload.media_type)


def _headers(receipt: str, payload: Bytes) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(payload.sha256)).decode()
    kind = {"application/json": "json", "application/x-ndjson": "ndjson"}.get(payload.media_type, "bin")
    return {
        "ETag": f'"{payload.sha256}"',
        "Digest": f"sha-256={digest}",
        "Repr-Digest": f"sha-256=:{digest}:",
        "Content-Disposition": f'attachment; filename="{receipt}.{kind}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, max-age=31536000, immutable",
    }


@reading(
    "/v1/rejections",
    RejectionsQuery,
    scope="admin",
    tags=["ledger"],
    summary="Which records became no points, and why",
    responses=answers(RejectionPage, "A page of rejections; `next` is the cursor of the following one.", more=True),
)
def list_rejections(call: ReadCall[RejectionsQuery]) -> Page:
    """Rejected records, newest first (by their payload's place in the log, then by their index in it). `start` and
    `end` are times of receipt. Each carries every reason, the record itself, and for a duplicate the winner. Records
    that a replay recovered are left out unless `recovered` says otherwise. As csv, ndjson or parquet (by `format`, else
    by `Accept`) the whole selection comes at once, the record as a text. In CSV a text that a spreadsheet would take
    for a formula (it begins with = + - @, a tab or an end of line, also behind blanks or quotes) begins with an
    apostrophe."""
    kind = call.query.answer_format(call.request.headers.get("accept", ""))
    return call.queries.rejections.answer_rejections(call.tenant, call.query, kind)


@reading(
    "/v1/rejections/summary",
    RejectionSummaryQuery,
    scope="admin",
    tags=["ledger"],
    summary="How many records were rejected, by reason",
    responses=answers(RejectionSummary, "Counts by reason and by feed."),
)
def summarize_rejections(call: ReadCall[RejectionSummaryQuery]) -> RejectionSummary:
    """Counts of rejected records. A record with two reasons counts once in `total` and under both reasons."""
    return call.queries.rejections.summary(call.tenant, call.query)


@reading(
    "/v1/series/{series:str}/lineage",
    LineageQuery,
    tags=["ledger"],
    summary="Where a point or a rollup window comes from",
    responses=answers(
        PointLineage | WindowLineage,
        "With `time` the lineage of what stands then; with `window` that of the window that begins then.",
        more=True,
    ),
)
def get_series_lineage(call: ReadCall[LineageQuery], series: str) -> Page:
    """With `time`: the point that stands then, its payload and place in it, the record as it came, the rules that it
    passed, every value that it replaced, the duplicates that lost against it, and the rollup windows it is in. With
    `window`: the window's row and evidence, a page of the payloads that made it, values replaced and records rejected
    in it. Where nothing stands, the problem names the nearest points; `/v1/why` says why. Whoever may read sees it; the
    ledger of rejections and `/v1/why` are for administrators."""
    return call.queries.lineage.answer_lineage(call.tenant, series, call.query)


@reading(
    "/v1/why",
    WhyQuery,
    scope="admin",
    tags=["ledger"],
    summary="The whole story of one instant",
    responses=answers(Story, "Ordered events, a verdict, and where nothing stands what is around."),
)
def get_why(call: ReadCall[WhyQuery]) -> Story:
    """Of an instant of a series (named by its id, or by feed, field and tags): received when and in which payload, what
    the rules said, duplicate contests, what replaced what, replays, windows, deletions, and a verdict in one sentence.
    Where nothing stands: the nearest points, records rejected nearby, and how the source was doing then. A record of
    which no time could be read is in the ledger only. For administrators, since it shows rejected records."""
    return call.queries.why.why(call.tenant, call.query)


LEDGER_ROUTES: Final = [get_receipt, get_payload, list_rejections, summarize_rejections, get_series_lineage, get_why]
