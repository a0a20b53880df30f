"""Describes the bodies of `POST /v1/replays`, `POST /v1/jobs`, `POST /v1/query` and `POST /v1/feeds/trial` in the
OpenAPI document.

Litestar does not derive them; `replay_request.py`, `job_request.py`, `query_body.py` and `trial_body.py` decode them.
"""

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

from tidemill.api.forecast_request import ForecastBody
from tidemill.api.job_request import VerifyBody
from tidemill.api.query_body import PARAMETERS, QuestionBody, SelectorBody
from tidemill.api.reads_common import add_media_types
from tidemill.api.replay_request import MAX_RECEIPTS, RejectionsBody, ReplayBody
from tidemill.api.trial_body import MAX_SHOWN, TrialBody
from tidemill.query.analysis_parameters import ForecastQuery
from tidemill.query.answers import MEDIA_TYPES
from tidemill.query.many_points_query import ManyPointsQuery
from tidemill.query.parameters import FORMATS, declared_parameters
from tidemill.query.questions import ACROSS


def _instant(description: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME, description=description)


_RECEIPT: Final = Schema(type=OpenAPIType.STRING, description="The receipt of one payload.")
_REJECTIONS: Final[dict[str, Schema | Reference]] = {
    "reason": Schema(type=OpenAPIType.STRING, description="With this reason code, as `/v1/codes` lists them."),
    "receipt": _RECEIPT,
    "start": _instant("Received from this instant on (RFC 3339)."),
    "end": _instant("Received before this instant (RFC 3339)."),
    "items": Schema(
        type=OpenAPIType.ARRAY,
        items=Schema(
            type=OpenAPIType.OBJECT,
            properties={"receipt": _RECEIPT, "index": Schema(type=OpenAPIType.INTEGER, minimum=0)},
            required=["receipt", "index"],
            additional_properties=False,
        ),
        min_items=1,
        max_items=MAX_RECEIPTS,
        description="These rejected records.",
    ),
}
_REPLAY_BODY: Final[dict[str, Schema | Reference]] = {
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
        type=OpenAPIType.INTEGER, minimum=1, description="The version to apply; by default the one in force."
    ),
    "dry_run": Schema(
        type=OpenAPIType.BOOLEAN, default=False, description="Compute the difference, and write nothing."
    ),
    "definition": Schema(
        type=OpenAPIType.STRING, description="A draft of the feed's definition (TOML) to apply, in a dry run only."
    ),
}

_REPLAY_TEXT: Final = (
    f"{' '.join((ReplayBody.__doc__ or '').split())} Exactly one of: a range (`start`, `end`, or one of them), "
    "`receipts`, `rejections`."
)
_VERIFY_BODY: Final[dict[str, Schema | Reference]] = {
    "feed": Schema(type=OpenAPIType.STRING, description="Only this feed; by default all."),
    "since": Schema(
        type=OpenAPIType.STRING,
        format=OpenAPIFormat.DATE_TIME,
        description="Only what was received from this instant on (RFC 3339).",
    ),
}


def _forecast_properties() -> dict[str, Schema | Reference]:
    """The members of a forecast's request: its series, and the parameters of `GET /v1/series/{id}/forecast`."""
    properties: dict[str, Schema | Reference] = {
        "series": Schema(type=OpenAPIType.STRING, description="The id of the series.")
    }
    parameters = {declared.name: declared.parameter for declared in declared_parameters(ForecastQuery)}
    for name in ForecastBody.__struct_fields__[1:]:
        described = dict(parameters[name].schema)
        kind = described.pop("type", "string")
        properties[name] = Schema(type=kind, description=parameters[name].description, **described)
    properties["level"] = Schema(
        type=OpenAPIType.ARRAY,
        items=Schema(type=OpenAPIType.NUMBER),
        description="Bounds: the percents of values that are to lie within. Up to ten.",
    )
    return properties


_FORECAST_TEXT: Final = " ".join((ForecastBody.__doc__ or "").split())


def _job_body(kind: str, properties: dict[str, Schema | Reference], description: str, *required: str) -> Schema:
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


JOB_BODIES: Final = {
    "replay": _job_body("replay", _REPLAY_BODY, _REPLAY_TEXT, "feed"),
    "forecast": _job_body("forecast", _forecast_properties(), _FORECAST_TEXT, "series"),
    "verify": _job_body("verify", _VERIFY_BODY, " ".join((VerifyBody.__doc__ or "").split())),
}


def _operation_with_body(schema: Schema) -> type[Operation]:
    @dataclass  # otherwise the inherited __init__ does not call __post_init__
    class WithBody(Operation):
        def __post_init__(self) -> None:
            content = {"application/json": OpenAPIMediaType(schema=schema)}
            self.request_body = RequestBody(content=content, required=True)

    return WithBody


PostReplay: Final = _operation_with_body(
    Schema(
        type=OpenAPIType.OBJECT,
        properties=_REPLAY_BODY,
        required=["feed"],
        additional_properties=False,
        description=_REPLAY_TEXT,
    )
)
PostJob: Final = _operation_with_body(Schema(one_of=list(JOB_BODIES.values())))

_TEXT: Final = Schema(type=OpenAPIType.STRING)
_TEXTS: Final = Schema(type=OpenAPIType.ARRAY, items=_TEXT)
_SELECTOR: Final = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "series": Schema(type=OpenAPIType.ARRAY, items=_TEXT, description="Ids of series."),
        **dict.fromkeys(("feed", "field", "name"), _TEXT),
        "tags": Schema(type=OpenAPIType.OBJECT, additional_properties=_TEXT),
    },
    additional_properties=False,
    description=" ".join((SelectorBody.__doc__ or "").split()),
)


def _question_properties() -> dict[str, Schema | Reference]:
    """The members of a question: those of `GET /v1/points` with their descriptions, and its own."""
    described = {item.name: item.parameter.description for item in declared_parameters(ManyPointsQuery)}
    properties: dict[str, Schema | Reference] = {
        name: Schema(type=OpenAPIType.STRING, description=described[name]) for name in PARAMETERS
    }
    properties["points"] = Schema(type=OpenAPIType.INTEGER, description=described["points"])
    properties["format"] = Schema(type=OpenAPIType.STRING, enum=list(FORMATS), description=described["format"])
    properties["agg"] = Schema(type=OpenAPIType.ARRAY, items=_TEXT, description=described["agg"])
    return {
        "select": Schema(
            description="One selector, or several by the names that expressions use.",
            any_of=[_SELECTOR, Schema(type=OpenAPIType.OBJECT, additional_properties=_SELECTOR)],
        ),
        **properties,
        "group_by": Schema(type=OpenAPIType.ARRAY, items=_TEXT, description="Names of tags; by default all tags."),
        "across": Schema(
            type=OpenAPIType.STRING,
            enum=list(ACROSS),
            description="What the values of several series of a group and selection become in a window.",
        ),
        "expressions": Schema(
            type=OpenAPIType.OBJECT, additional_properties=_TEXT, description="Numbers made of selections, by name."
        ),
    }


_PostedQuestion: Final = _operation_with_body(
    Schema(
        type=OpenAPIType.OBJECT,
        properties=_question_properties(),
        required=["select"],
        additional_properties=False,
        description=" ".join((QuestionBody.__doc__ or "").split()),
    )
)


@dataclass
class PostQuestion(_PostedQuestion):  # type: ignore[misc, valid-type]  # a class that a function makes
    """The operation of a question, whose answer 200 has the media types of every `format`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        add_media_types(self, [MEDIA_TYPES[name] for name in FORMATS])


PostTrial: Final = _operation_with_body(
    Schema(
        type=OpenAPIType.OBJECT,
        properties={
            "definition": Schema(type=OpenAPIType.STRING, description="The definition (TOML, at most 256 KiB)."),
            "feed": Schema(type=OpenAPIType.STRING, description="The feed that the definition is a version of."),
            "sample": Schema(type=OpenAPIType.STRING, description="The sample as a text, at most 1 MiB."),
            "sample_base64": Schema(type=OpenAPIType.STRING, description="The sample as bytes in Base64."),
            "receipt": _RECEIPT,
            "content_type": Schema(type=OpenAPIType.STRING, description="As of a request with the sample."),
            "received_at": _instant("When the sample counts as received (RFC 3339)."),
            "first": Schema(type=OpenAPIType.INTEGER, minimum=0, default=0, description="The first record to answer."),
            "limit": Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=MAX_SHOWN, default=200),
        },
        required=["definition"],
        additional_properties=False,
        description=" ".join((TrialBody.__doc__ or "").split()),
    )
)

PostForecast: Final = _operation_with_body(
    Schema(
        type=OpenAPIType.OBJECT,
        properties=_forecast_properties(),
        required=["series"],
        additional_properties=False,
        description=_FORECAST_TEXT,
    )
)
