"""Routes of the ledger: receipts, the bytes of payloads, rejected records, the lineage of points and rollup windows,
and the explanation of an instant."""

import base64
from typing import Any, Final

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec

from tidemill.api.byte_ranges import requested_range
from tidemill.api.reads_common import ReadCall, answer_specs, problem_spec, reading
from tidemill.errors import GoneError
from tidemill.query.answers import Page
from tidemill.query.lineage import LineageQuery, PointLineage
from tidemill.query.parameters import QueryParameters
from tidemill.query.receipt_list import ReceiptPage, ReceiptsQuery
from tidemill.query.receipts import Bytes, Receipt
from tidemill.query.rejection_parameters import RejectionsQuery, RejectionSummaryQuery
from tidemill.query.rejections import RejectionPage, RejectionSummary
from tidemill.query.why import Story, WhyQuery
from tidemill.query.window_lineage import WindowLineage

_BYTES: Final = "application/octet-stream"


@reading(
    "/v1/receipts",
    ReceiptsQuery,
    tags=["ledger"],
    summary="List receipts",
    responses=answer_specs(ReceiptPage, "A page of receipts, newest first; `next` is the cursor of the following one."),
)
def list_receipts(call: ReadCall[ReceiptsQuery]) -> ReceiptPage:
    """The receipts of this tenant, newest first: of payloads that were applied, refused, set aside (`poison`) or
    deleted, and of those that wait in the log (`stored`). `start` and `end` are times of receipt. Deletions are listed
    by `/v1/deletions`."""
    return call.queries.receipt_list.list_receipts(call.tenant, call.query)


@reading(
    "/v1/receipts/{receipt:str}",
    QueryParameters,
    tags=["ledger"],
    summary="What became of a payload",
    responses=answer_specs(
        Receipt, "The receipt. Once applied, `accepted` and `rejected` add up to the records in it."
    ),
)
def get_receipt(call: ReadCall[QueryParameters], receipt: str) -> Receipt:
    """The receipt of one payload: when it became durable, whether it is applied, and how many records were accepted and
    were rejected by reason, and how many of their values were null or absent. A key with the scope `read` shows this
    and the payload's bytes; the ledger of rejected records and `/v1/why` are for administrators."""
    return call.queries.receipts.receipt(call.tenant, receipt)


@reading(
    "/v1/receipts/{receipt:str}/payload",
    QueryParameters,
    tags=["ledger"],
    summary="The bytes of a payload",
    also=("application/json", "application/x-ndjson"),
    responses={
        **answer_specs(bytes, "The payload, byte for byte as it came, its content coding undone.", _BYTES),
        206: ResponseSpec(
            bytes, generate_examples=False, description="The `Range` that was asked for.", media_type=_BYTES
        ),
        304: ResponseSpec(None, generate_examples=False, description="`If-None-Match` has its hash."),
        410: problem_spec("Its bytes were deleted on request."),
        416: problem_spec("The `Range` begins behind its end."),
    },
)
def get_payload(call: ReadCall[QueryParameters], receipt: str) -> Response[Any]:
    """The payload byte for byte (a packed body unpacked), as a download that no browser will run. `ETag` is its SHA-256
    in hexadecimal, `Repr-Digest` (RFC 9530) and `Digest` (RFC 3230) are the same in Base64. A matching `If-None-Match`
    is answered 304; one `Range` of bytes, as `/records` names those of a record, is answered 206. A key with the scope
    `read` shows every payload of the tenant, its rejected records included."""
    if call.services.pending_deletions.hides_payload(call.tenant, receipt):
        raise GoneError(f"the bytes of payload '{receipt[:64]}' were deleted on request")
    payload = call.queries.receipts.payload(call.tenant, receipt)
    headers = _headers(receipt, payload)
    etags = call.request.headers.get("if-none-match", "")
    if payload.sha256 in etags or etags.strip() == "*":
        return Response(b"", status_code=304, headers=headers, media_type=payload.media_type)
    span = requested_range(call.request.headers, len(payload.body), payload.sha256)
    if span is None:
        return Response(payload.body, headers=headers, media_type=payload.media_type)
    headers |= {"Content-Range": f"bytes {span.start}-{span.stop - 1}/{len(payload.body)}"}
    part = payload.body[span.start : span.stop]
    return Response(part, status_code=206, headers=headers, media_type=payload.media_type)


def _headers(receipt: str, payload: Bytes) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(payload.sha256)).decode()
    kind = {"application/json": "json", "application/x-ndjson": "ndjson"}.get(payload.media_type, "bin")
    return {
        "Accept-Ranges": "bytes",
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
    responses=answer_specs(
        RejectionPage, "A page of rejections; `next` is the cursor of the following one.", more=True
    ),
)
def list_rejections(call: ReadCall[RejectionsQuery]) -> Page:
    """Rejected records, newest first (by the offset of their payload in the log, then by their index in it). `start`
    and `end` are times of receipt. Each item has all reasons, the record itself, and for a duplicate the record that it
    lost against. Records that a replay recovered are left out unless `recovered` says otherwise. As csv, ndjson or
    parquet (by `format`, else by `Accept`) the answer has the whole selection, the record as a text. In CSV a text that
    a spreadsheet would take for a formula (it begins with = + - @, a tab or an end of line, also behind blanks or
    quotes) begins with an apostrophe."""
    kind = call.query.answer_format(call.request.headers.get("accept", ""))
    return call.queries.rejections.answer_rejections(call.tenant, call.query, kind)


@reading(
    "/v1/rejections/summary",
    RejectionSummaryQuery,
    scope="admin",
    tags=["ledger"],
    summary="How many records were rejected, by reason",
    responses=answer_specs(RejectionSummary, "Counts by reason and by feed."),
)
def summarize_rejections(call: ReadCall[RejectionSummaryQuery]) -> RejectionSummary:
    """Counts of rejected records. A record with two reasons counts once in `total` and under both reasons."""
    return call.queries.rejections.summary(call.tenant, call.query)


@reading(
    "/v1/series/{series:str}/lineage",
    LineageQuery,
    tags=["ledger"],
    summary="Where a point or a rollup window comes from",
    responses=answer_specs(
        PointLineage | WindowLineage,
        "With `time` the lineage of what stands then; with `window` that of the window that begins then.",
        more=True,
    ),
)
def get_series_lineage(call: ReadCall[LineageQuery], series: str) -> Page:
    """With `time`: the point at that time, its payload and index in it, the record as sent, the rules that it passed,
    every value that it replaced, the duplicates that lost against it, and its rollup windows. With `window`: the row
    and evidence of the window, a page of its payloads, the values replaced and records rejected in it, and how many
    records in it had no value. Where there is no point, the problem names the nearest points; `/v1/why` says why. For
    keys with the scope `read`; the ledger of rejections and `/v1/why` are for administrators."""
    return call.queries.lineage.answer_lineage(call.tenant, series, call.query)


@reading(
    "/v1/why",
    WhyQuery,
    scope="admin",
    tags=["ledger"],
    summary="The whole story of one instant",
    responses=answer_specs(Story, "Ordered events, a verdict, and what is around."),
)
def get_why(call: ReadCall[WhyQuery]) -> Story:
    """Explains an instant of a series (named by its id, or by feed, field and tags): when and in which payload it was
    received, the results of the rules, duplicates, replacements, replays, windows, deletions, and a verdict in one
    sentence. Around it: points, records rejected nearby, the state of the source then and its polls, and the next point
    or rejected record on either side.
    `verdict.state` is the first that applies: `stands`, `deleted`, `rejected`, `expired` (past retention),
    `received_null` (a record came, and its value was null or absent), `possibly_rejected`, `waiting` (not applied yet),
    `unsearched` (payloads that may hold a record of it are more than 500, or larger than 16 MiB) or `never_received`.
    Records that left no point are read again from their payloads. A record without a readable time is in the ledger
    only, and the verdict says that there are such. For administrators, since it shows rejected records."""
    return call.queries.why.why(call.tenant, call.query)


LEDGER_ROUTES: Final = [
    list_receipts,
    get_receipt,
    get_payload,
    list_rejections,
    summarize_rejections,
    get_series_lineage,
    get_why,
]
