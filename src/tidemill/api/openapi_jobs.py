"""Describes the body of `POST /v1/jobs` in the OpenAPI document: a schema for each kind; `job_request` decodes it."""

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

from tidemill.api.job_request import VerifyBody
from tidemill.api.openapi_replays import REPLAY_BODY, REPLAY_TEXT

VERIFY_BODY: Final[dict[str, Schema | Reference]] = {
    "feed": Schema(type=OpenAPIType.STRING, description="Only this feed; by default all."),
    "since": Schema(
        type=OpenAPIType.STRING,
        format=OpenAPIFormat.DATE_TIME,
        description="Only what was received from this instant on (RFC 3339).",
    ),
}


def _body(kind: str, properties: dict[str, Schema | Reference], description: str, *required: str) -> Schema:
    kind_property: dict[str, Schema | Reference] = {
        "kind": Schema(type=OpenAPIType.STRING, const=kind, description="The kind of job.")
    }
    return Schema(
        type=OpenAPIType.OBJECT,
        properties=kind_property | properties,
        required=["kind", *required],
        additional_properties=False,
        description=description,
    )


BODIES: Final = {
    "replay": _body("replay", REPLAY_BODY, REPLAY_TEXT, "feed"),
    "verify": _body("verify", VERIFY_BODY, " ".join((VerifyBody.__doc__ or "").split())),
}


@dataclass  # otherwise the inherited __init__ does not call __post_init__
class PostJob(Operation):
    """The OpenAPI operation with its body."""

    def __post_init__(self) -> None:
        schema = Schema(one_of=list(BODIES.values()))
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)
