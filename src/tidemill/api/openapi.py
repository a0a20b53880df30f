"""Makes the OpenAPI 3.1 document: Litestar's description of its handlers, the intake operations, and the problem
documents and keys common to all.

A Litestar handler lists its own problem statuses in `responses`; `401`, `403` and `429` are added to those whose
`opt["scope"]` is not null, `421` to all but `/healthz`.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from types import UnionType
from typing import Any, Final, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from litestar.types import ControllerRouterHandler

from tidemill import __version__
from tidemill.api.admission import ALIVE
from tidemill.api.openapi_intake import OPERATIONS, SCHEMAS
from tidemill.api.problem_codes import PROBLEMS
from tidemill.api.series import CreatedSeries
from tidemill.query.feeds import FeedWindow
from tidemill.query.meterdata import Measurement
from tidemill.query.rows import SummaryRow

TAGS: Final = {
    "intake": "Send payloads. Everything answered 2xx is durable.",
    "series": "Series, their points and their metrics.",
    "analysis": "Forecasts, statistics and what a series is: computed in worker processes, kept while nothing changes.",
    "feeds": "Feeds and what they hold, each in its own shape.",
    "ledger": "Where every point is, or why it is not there: receipts and rejections.",
    "jobs": "Long work that no request waits for: replays, verifications.",
    "admin": "Definitions, sources, rules.",
    "health": "Alive, ready, counted.",
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"apiKey": []}, {}]

# Types of members whose names a feed decides: its tags, aggregates of its fields, registers of a meter.
_ADDITIONAL: Final = {
    FeedWindow.__name__: {"type": ["number", "string", "null"]},
    SummaryRow.__name__: {"type": ["string", "null"]},
    Measurement.__name__: {"type": ["number", "null"]},
}

# Headers of problem answers: name -> (statuses, type, meaning).
_HEADERS: Final[dict[str, tuple[frozenset[int], str, str]]] = {
    "Retry-After": (frozenset({429, 503, 507}), "integer", "Seconds after which the same request may succeed."),
    "WWW-Authenticate": (frozenset({401}), "string", "`Bearer`: send a key."),
    "Allow": (frozenset({405}), "string", "The methods of this path."),
}


def describe_api(handlers: Sequence[ControllerRouterHandler], dependencies: dict[str, Any]) -> dict[str, Any]:
    """The whole document as plain data. `handlers` are those of Litestar."""
    config = OpenAPIConfig(
        title="Tidemill",
        version=__version__,
        summary="The time-series service that can account for every point",
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        use_handler_docstrings=True,
        tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer"),
                "apiKey": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
            }
        ),
    )
    described = Litestar(list(handlers), dependencies=dependencies, openapi_config=config, logging_config=None)
    document = described.openapi_schema.to_schema()
    for path, operations in OPERATIONS.items():
        document["paths"].setdefault(path, {}).update({method: dict(op) for method, op in operations.items()})
    created = msgspec.json.schema_components([CreatedSeries], ref_template="#/components/schemas/{name}")[1]
    created["CreatedSeries"]["properties"]["receipt"] = {"$ref": "#/components/schemas/Receipt"}
    document["components"].setdefault("schemas", {}).update(SCHEMAS | created)
    handlers_by_route = _handlers(described)
    examples = msgspec.json.decode(resources.files("tidemill.api").joinpath("examples.json").read_bytes())
    _complete_schemas(document["components"]["schemas"], handlers_by_route.values())
    receipt, outcome = (document["components"]["schemas"][name] for name in ("Receipt", "PointsOutcome"))
    schema = outcome | {"properties": receipt["properties"] | outcome["properties"], "required": receipt["required"]}
    document["components"]["schemas"]["PointsOutcome"] = schema
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                _complete_operation(operation, handlers_by_route.get((path, method)), path)
                _add_example(operation, examples.get(operation["operationId"]))
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _complete_schemas(schemas: dict[str, Any], handlers: Iterable[HTTPRouteHandler]) -> None:
    """Add to the schemas what Litestar leaves out: that an answer has every member (except where a struct omits
    defaults), the types of additional members, and the descriptions of types."""
    for kind in _types(handlers):
        schema = schemas.get(kind.cls.__name__)
        if schema is None:
            continue
        if isinstance(kind, msgspec.inspect.StructType) and not kind.cls.__struct_config__.omit_defaults:
            schema["required"] = [field.encode_name for field in kind.fields]
            schema.pop("default", None)
            for member in schema["properties"].values():
                member.pop("default", None)  # these members are never left out, and some defaults are no JSON
        schema.setdefault("description", " ".join((kind.cls.__doc__ or "").split()))
    for name, types in _ADDITIONAL.items():
        schemas[name]["additionalProperties"] = types


def _types(handlers: Iterable[HTTPRouteHandler]) -> Iterator[Any]:
    """The msgspec types of every struct and typed dict in an answer."""
    answers = [handler.parsed_fn_signature.return_type.annotation for handler in handlers]
    answers += [spec.data_container for handler in handlers for spec in (handler.responses or {}).values()]
    queue: list[Any] = [msgspec.inspect.type_info(kind) for answer in answers for kind in _union_members(answer)]
    seen: set[type] = set()
    while queue:
        kind = queue.pop()
        if isinstance(kind, msgspec.inspect.StructType | msgspec.inspect.TypedDictType):
            if kind.cls in seen:
                continue
            seen.add(kind.cls)
            yield kind
            queue += [field.type for field in kind.fields]
        else:
            queue += [getattr(kind, name) for name in ("item_type", "value_type", "type") if hasattr(kind, name)]
            queue += getattr(kind, "types", ())


def _union_members(kind: Any) -> tuple[Any, ...]:
    """The members of a union, which msgspec does not separate, or the content type of a `Response`; else the type."""
    inner = get_args(kind)
    return inner if isinstance(kind, UnionType) or get_origin(kind) is Response else (kind,)


def _handlers(app: Litestar) -> dict[tuple[str, str], HTTPRouteHandler]:
    """The handlers by path and lower-case method."""
    handlers = {}
    for route in app.routes:
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items():
            handlers[getattr(route, "path_format", route.path), method.lower()] = handler
    return handlers


def _complete_operation(operation: dict[str, Any], handler: HTTPRouteHandler | None, path: str) -> None:
    """Write the problem answers in place of those that Litestar guesses, and whether a key is needed."""
    parameters = operation.get("parameters", [])
    parameters.sort(key=lambda item: path.index("{" + item["name"] + "}") if item["in"] == "path" else len(path))
    problems = {int(status) for status in operation.pop("problems", [])}
    if handler is not None:
        problems |= {status for status in handler.responses or {} if status >= 400}
        problems -= set() if "{" in path else {404}  # a list without items is no error
    if handler is None or handler.opt.get("scope", "read") is not None:
        operation["security"] = _SECURITY
        problems |= {401, 403, 429}
    if path != ALIVE:
        problems.add(421)
    answers = {status: answer for status, answer in operation["responses"].items() if status[0] in "23"}
    answers.get("204", {}).pop("content", None)  # such an answer has none
    own = {status: operation["responses"][str(status)] for status in problems if _is_own(operation, status)}
    answers |= {str(status): own.get(status) or _problem(status) for status in sorted(problems)}
    operation["responses"] = answers | {"default": _problem(0)}


def _add_example(operation: dict[str, Any], example: dict[str, Any] | None) -> None:
    """Add the example of an operation, made by the tests, to its parameters, its body and its answer."""
    if example is None:
        return
    for parameter in operation.get("parameters", []):
        name = parameter["name"].removesuffix("*")
        texts = [
            text for key, text in example["parameters"].items() if key == name or (name[-1] == "." and name in key)
        ]
        if texts:
            parameter["example"] = texts[0]
    answer = operation["responses"].get(str(example["status"]), {}).get("content", {}).get(example["media_type"])
    if answer is not None:
        answer["example"] = example["answer"]
    if "body" in example:
        next(iter(operation["requestBody"]["content"].values()))["example"] = example["body"]


def _is_own(operation: dict[str, Any], status: int) -> bool:
    """Whether a failure is answered with another document than a problem document (`/readyz`)."""
    content = operation["responses"].get(str(status), {}).get("content", {})
    return any("$ref" in media.get("schema", {}) for media in content.values())


def _problem(status: int) -> dict[str, Any]:
    codes = [code for code, meaning in PROBLEMS.items() if meaning.status == status]
    description = f"Problem: {', '.join(codes)}." if codes else "Any other problem."
    headers = {
        name: {"description": text, "schema": {"type": kind}, "required": True}
        for name, (statuses, kind, text) in _HEADERS.items()
        if status in statuses
    }
    return {
        "description": description,
        **({"headers": headers} if headers else {}),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
