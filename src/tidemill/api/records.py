"""The routes of a payload's records: all of them in pages, and one of them with its bytes marked."""

from typing import Any, Final

from tidemill.api.reads_common import ReadCall, answer_specs, problem_spec, reading
from tidemill.errors import GoneError
from tidemill.query.answers import Page, json_page
from tidemill.query.parameters import QueryParameters
from tidemill.query.payload_records import PayloadRecordItem, PayloadRecordPage, PayloadRecordsQuery

_GONE: Final = {410: problem_spec("Its bytes were deleted on request.")}


@reading(
    "/v1/receipts/{receipt:str}/records",
    PayloadRecordsQuery,
    scope="admin",
    tags=["ledger"],
    summary="The records of a payload, with what became of each",
    responses={
        **answer_specs(PayloadRecordPage, "A page of records, by index; `next` is the cursor of the next.", more=True),
        **_GONE,
    },
)
def list_payload_records(call: ReadCall[PayloadRecordsQuery], receipt: str) -> Page:
    """Every record of a payload, accepted or not: where its bytes are, what was read of it, its state, which bytes are
    at fault, and what each rule says. The payload is decoded again under the feed version that it was applied under;
    one of more than 16 MiB is refused. For administrators, since it shows rejected records."""
    _check_bytes(call, receipt)
    page = call.queries.payload_records.page(call.tenant, receipt, call.query)
    return json_page(page, page.next)


@reading(
    "/v1/receipts/{receipt:str}/records/{index:int}",
    QueryParameters,
    scope="admin",
    tags=["ledger"],
    summary="One record of a payload, with its bytes marked",
    responses={**answer_specs(PayloadRecordItem, "The record."), **_GONE},
)
def get_payload_record(call: ReadCall[QueryParameters], receipt: str, index: int) -> PayloadRecordItem:
    """One record as `/records` lists it, and the record itself, its points, and of a record whose values are in arrays
    the bytes of each value. `GET /v1/receipts/{receipt}/payload` with `Range: bytes=START-` answers the bytes."""
    _check_bytes(call, receipt)
    return call.queries.payload_records.record(call.tenant, receipt, index)


def _check_bytes(call: ReadCall[Any], receipt: str) -> None:
    if call.services.pending_deletions.hides_payload(call.tenant, receipt):
        raise GoneError(f"the bytes of payload '{receipt[:64]}' were deleted on request")


RECORD_ROUTES: Final = [list_payload_records, get_payload_record]
