"""Describes the body of `POST /v1/replays` in the OpenAPI document; `replay_request` decodes it."""

from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from tidemill.api.replay_request import MAX_RECEIPTS, RejectionsBody, ReplayBody


def _instant(description: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME, description=description)


_RECEIPT: Final = Schema(type=OpenAPIType.STRING, description="The receipt of one payload.")
_REJECTIONS: Final[dict[str, Schema | Reference]] = {
    "reason": Schema(type=OpenAPIType.STRING, description="With this reason code, as `/v1/codes` lists them."),
    "receipt": _RECEIPT,
    "start": _instant("Received from this instant on (RFC 3339)."),
    "end": _instant("Received before this instant (RFC 3339)."),
}
REPLAY_BODY: Final[dict[str, Schema | Reference]] = {
    "feed": Schema(type=OpenAPIType.STRING, description="The feed to whose payloads the rules are applied again."),
    "start": _instant("Payloads that were received from this instant on (RFC 3339)."),
    "end": _instant("Payloads that were received before this instant (RFC 3339)."),
    "receipts": Schema(
        type=OpenAPIType.ARRAY,
        items=_RECEIPT,
        min_items=1,
        max_items=MAX_RECEIPTS,
        description="These payloads, also those that were refused at intake.",
    ),
    "rejections": Schema(
        type=OpenAPIType.OBJECT,
        properties=_REJECTIONS,
        additional_properties=False,
        description=f"{' '.join((RejectionsBody.__doc__ or '').split())} Refused payloads are among them.",
    ),
    "version": Schema(
        type=OpenAPIType.INTEGER,
        minimum=1,
        description="The version to apply; by default the one in force.",
    ),
    "dry_run": Schema(
        type=OpenAPIType.BOOLEAN, default=False, description="Compute the difference, and write nothing."
    ),
}

REPLAY_TEXT: Final = (
    f"{' '.join((ReplayBody.__doc__ or '').split())} Exactly one of: a range (`start`, `end`, or one of them), "
    "`receipts`, `rejections`."
)


@dataclass  # otherwise the inherited __init__ does not call __post_init__
class PostReplay(Operation):
    """The OpenAPI operation with its body."""

    def __post_init__(self) -> None:
        schema = Schema(
            type=OpenAPIType.OBJECT,
            properties=REPLAY_BODY,
            required=["feed"],
            additional_properties=False,
            description=REPLAY_TEXT,
        )
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)
