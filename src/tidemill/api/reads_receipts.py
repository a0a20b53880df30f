"""Routes of receipts: what became of a payload, and its bytes as they came."""

import base64
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from tidemill.api.reads_common import AnyRequest, answers, ask, parameters, taking
from tidemill.api.services import Services
from tidemill.catalog.keys import Principal
from tidemill.errors import GoneError
from tidemill.query.receipts import Bytes, Receipt


@get(
    "/v1/receipts/{receipt:str}",
    tags=["ledger"],
    summary="What became of a payload",
    operation_id="getReceipt",
    operation_class=taking(),
    responses=answers(Receipt, "The receipt. Once applied, `accepted` and `rejected` add up to the records in it."),
    opt={"scope": "read"},
)
async def get_receipt(
    receipt: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Receipt:
    """The receipt of one payload: durable since when, applied or not, records accepted, and rejected by reason.
    Whoever may read sees this and the payload's bytes; which records were rejected is in the ledger, and the ledger and
    `/v1/why` are for administrators."""
    parameters(request, ())
    found: Receipt = await ask(lambda: services.queries.receipts.receipt(principal.tenant, receipt))
    return found


@get(
    "/v1/receipts/{receipt:str}/payload",
    tags=["ledger"],
    summary="The bytes of a payload",
    operation_id="getPayload",
    operation_class=taking(also=("application/json", "application/x-ndjson")),
    responses={
        **answers(
            bytes, "The payload, byte for byte as it came, its content coding undone.", "application/octet-stream"
        ),
        304: ResponseSpec(None, generate_examples=False, description="`If-None-Match` has its hash."),
        410: ResponseSpec(dict[str, Any], generate_examples=False, description="Its bytes were deleted on request."),
    },
    opt={"scope": "read"},
)
async def get_payload(
    receipt: FromPath[str],
    request: AnyRequest,
    principal: NamedDependency[Principal],
    services: NamedDependency[Services],
) -> Response[Any]:
    """The payload byte for byte (of a packed body what was in it), as a download that no browser will run. `ETag` is
    its SHA-256 in hexadecimal, `Repr-Digest` (RFC 9530) and `Digest` (RFC 3230) are the same in Base64. `If-None-Match`
    is answered 304. Whoever may read sees every payload of the tenant, rejected records in it too."""
    parameters(request, ())
    if services.deleted.payload_gone(principal.tenant, receipt):
        raise GoneError(f"the bytes of payload '{receipt[:64]}' were deleted on request")
    found: Bytes = await ask(lambda: services.queries.receipts.payload(principal.tenant, receipt))
    headers = _headers(receipt, found)
    wanted = request.headers.get("if-none-match", "")
    if found.sha256 in wanted or wanted.strip() == "*":
        return Response(b"", status_code=304, headers=headers, media_type=found.media_type)
    return Response(found.body, headers=headers, media_type=found.media_type)


def _headers(receipt: str, found: Bytes) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(found.sha256)).decode()
    kind = {"application/json": "json", "application/x-ndjson": "ndjson"}.get(found.media_type, "bin")
    return {
        "ETag": f'"{found.sha256}"',
        "Digest": f"sha-256={digest}",
        "Repr-Digest": f"sha-256=:{digest}:",
        "Content-Disposition": f'attachment; filename="{receipt}.{kind}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, max-age=31536000, immutable",
    }


READ_ROUTES: Final = [get_receipt, get_payload]
