"""Routes of the rejection ledger, for administrators."""

from typing import Final

from litestar import get
from litestar.di import NamedDependency

from tidemill.api.reads_common import AnyRequest, answers, ask, parameters, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.query.rejections import PAGE_PARAMETERS, SUMMARY_PARAMETERS, RejectionPage, RejectionSummary


@get(
    "/v1/rejections",
    tags=["ledger"],
    summary="Which records became no points, and why",
    operation_id="listRejections",
    operation_class=taking(PAGE_PARAMETERS),
    responses=answers(RejectionPage, "A page of rejections; `next` is the cursor of the following one."),
    opt={"scope": "admin"},
)
async def list_rejections(
    request: AnyRequest, principal: NamedDependency[Principal], services: NamedDependency[Services]
) -> RejectionPage:
    """Rejected records, newest first (by their payload's place in the log, then by their index in it). `start` and
    `end` are times of receipt. Each carries every reason, the record itself, and for a duplicate the winner."""
    asked = parameters(request, PAGE_PARAMETERS)
    page: RejectionPage = await ask(lambda: services.queries.rejections.page(principal.tenant, asked))
    return page


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
