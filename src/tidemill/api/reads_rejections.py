"""Routes of the rejection ledger, for administrators."""

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from tidemill.api.reads_common import AnyRequest, answers, ask, parameters, respond, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.query.export import accepted
from tidemill.query.rejections import PAGE_PARAMETERS, SUMMARY_PARAMETERS, RejectionPage, RejectionSummary


@get(
    "/v1/rejections",
    tags=["ledger"],
    summary="Which records became no points, and why",
    operation_id="listRejections",
    operation_class=taking(PAGE_PARAMETERS),
    responses=answers(RejectionPage, "A page of rejections; `next` is the cursor of the following one.", more=True),
    opt={"scope": "admin"},
)
async def list_rejections(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> Response[Any]:
    """Rejected records, newest first (by their payload's place in the log, then by their index in it). `start` and
    `end` are times of receipt. Each carries every reason, the record itself, and for a duplicate the winner. Records
    that a replay recovered are left out unless `recovered` says otherwise. As csv, ndjson or parquet (by `format`, else
    by `Accept`) the whole selection comes at once, the record as a text. In CSV a text that a spreadsheet would take
    for a formula (it begins with = + - @, a tab or an end of line, also behind blanks or quotes) begins with an
    apostrophe."""
    asked = parameters(request, PAGE_PARAMETERS)
    kind = asked["format"] or accepted(request.headers.get("accept", ""))
    return respond(request, await ask(lambda: services.queries.rejections.answer(principal.tenant, asked, kind)))


@get(
    "/v1/rejections/summary",
    tags=["ledger"],
    summary="How many records were rejected, by reason",
    operation_id="summarizeRejections",
    operation_class=taking(SUMMARY_PARAMETERS),
    responses=answers(RejectionSummary, "Counts by reason and by feed."),
    opt={"scope": "admin"},
)
async def summarize_rejections(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> RejectionSummary:
    """Counts of rejected records. A record with two reasons counts once in `total` and under both reasons."""
    asked = parameters(request, SUMMARY_PARAMETERS)
    summary: RejectionSummary = await ask(lambda: services.queries.rejections.summary(principal.tenant, asked))
    return summary


READ_ROUTES: Final = [list_rejections, summarize_rejections]
