"""The route of flow: what was received, and what became of it."""

from typing import Final

from tidemill.api.changes import check_feed
from tidemill.api.reads_common import ReadCall, answer_specs, reading
from tidemill.query.flow import Flow, FlowQuery


@reading(
    "/v1/flow",
    FlowQuery,
    tags=["ledger"],
    summary="What flows: received, accepted, rejected, waiting",
    responses=answer_specs(Flow, "Counts of records by feed and window of the time of receipt, and their totals."),
)
def read_flow(call: ReadCall[FlowQuery]) -> Flow:
    """Counts of records by feed and window of the time of receipt (the last 24 hours unless `start` and `end` say
    otherwise). In every window and in the totals received = accepted + rejected + waiting, also while payloads are
    being applied. Without `every` the length of windows is picked, so that there are at most 240. 404 for an unknown
    feed."""
    check_feed(call.services, call.tenant, call.query.feed)
    return call.queries.flow.flow(call.tenant, call.query, call.services.clock())


FLOW_ROUTES: Final = [read_flow]
