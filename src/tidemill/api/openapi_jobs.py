"""The body of `POST /v1/jobs` in the OpenAPI document: a shape for each kind, which `job_request` reads."""

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
    named: dict[str, Schema | Reference] = {
        "kind": Schema(type=OpenAPIType.STRING, const=kind, description="The kind of job.")
    }
    return Schema(
        type=OpenAPIType.OBJECT,
        properties=named | properties,
        required=["kind", *required],
        additional_properties=False,
        description=description,
    )


BODIES: Final = {
    "replay": _body("replay", REPLAY_BODY, REPLAY_TEXT, "feed"),
    "verify": _body("verify", VERIFY_BODY, " ".join((VerifyBody.__doc__ or "").split())),
}


@dataclass  # without it the inherited __init__ passes over __post_init__
class PostJob(Operation):
    """The operation with its body."""

    def __post_init__(self) -> None:
        schema = Schema(one_of=list(BODIES.values()))
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)
