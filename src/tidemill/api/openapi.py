"""The OpenAPI 3.1 document: Litestar's description of its handlers, the intake operations, and what all have in common
(problem documents, keys).

A Litestar handler says in `responses` which problem statuses it has of its own; `401`, `403` and `429` are added to
those whose `opt["scope"]` is not null, `421` to all but `/healthz`.
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
from tidemill.api.problems import PROBLEMS
from tidemill.api.series import CreatedSeries
from tidemill.query.feeds import FeedWindow
from tidemill.query.meterdata import Measurement
from tidemill.query.rows import SummaryRow

TAGS: Final = {
    "intake": "Send payloads. Everything answered 2xx is durable.",
    "series": "Series, their points and their metrics.",
    "feeds": "Feeds and what they hold, each in its own shape.",
    "ledger": "Where every point is, or why it is not there: receipts and rejections.",
    "jobs": "Long work that no request waits for: replays, verifications.",
    "admin": "Definitions, sources, rules.",
    "health": "Alive, ready, counted.",
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"apiKey": []}, {}]

# Members besides those that are named: tags of the feed, its fields' aggregates, registers of a meter.
_FURTHER: Final = {
    FeedWindow.__name__: {"type": ["number", "string", "null"]},
    SummaryRow.__name__: {"type": ["string", "null"]},
    Measurement.__name__: {"type": ["number", "null"]},
}

# What answers of a problem carry besides: name -> (statuses, type, meaning).
_HEADERS: Final[dict[str, tuple[frozenset[int], str, str]]] = {
    "Retry-After": (frozenset({429, 503, 507}), "integer", "Seconds after which the same request may succeed."),
    "WWW-Authenticate": (frozenset({401}), "string", "`Bearer`: send a key."),
    "Allow": (frozenset({405}), "string", "The methods of this path."),
}


def describe(handlers: Sequence[ControllerRouterHandler], dependencies: dict[str, Any]) -> dict[str, Any]:
    """The whole document as plain data. `handlers` are those that Litestar serves."""
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
    _tell_of_structs(document["components"]["schemas"], handlers_by_route.values())
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                _finish(operation, handlers_by_route.get((path, method)), path)
                _show(operation, examples.get(operation["operationId"]))
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _tell_of_structs(schemas: dict[str, Any], handlers: Iterable[HTTPRouteHandler]) -> None:
    """Write into the schemas what Litestar leaves out: that an answer has every member (a struct that leaves defaults
    out excepted), what may be there besides, and what each type is."""
    for kind in _types(handlers):
        schema = schemas.get(kind.cls.__name__)
        if schema is None:
            continue
        if isinstance(kind, msgspec.inspect.StructType) and not kind.cls.__struct_config__.omit_defaults:
            schema["required"] = [field.encode_name for field in kind.fields]
            schema.pop("default", None)
            for member in schema["properties"].values():
                member.pop("default", None)  # of what is never left out; and some are no JSON
        schema.setdefault("description", " ".join((kind.cls.__doc__ or "").split()))
    for name, further in _FURTHER.items():
        schemas[name]["additionalProperties"] = further


def _types(handlers: Iterable[HTTPRouteHandler]) -> Iterator[Any]:
    """Every struct and typed dict in an answer, as msgspec sees it."""
    answers = [handler.parsed_fn_signature.return_type.annotation for handler in handlers]
    answers += [spec.data_container for handler in handlers for spec in (handler.responses or {}).values()]
    waiting: list[Any] = [msgspec.inspect.type_info(kind) for one in answers for kind in _united(one)]
    seen: set[type] = set()
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, msgspec.inspect.StructType | msgspec.inspect.TypedDictType):
            if kind.cls in seen:
                continue
            seen.add(kind.cls)
            yield kind
            waiting += [field.type for field in kind.fields]
        else:
            waiting += [getattr(kind, name) for name in ("item_type", "value_type", "type") if hasattr(kind, name)]
            waiting += getattr(kind, "types", ())


def _united(kind: Any) -> tuple[Any, ...]:
    """The members of a union, which msgspec does not take apart; a response is of what it holds."""
    inner = get_args(kind)
    return inner if isinstance(kind, UnionType) or get_origin(kind) is Response else (kind,)


def _handlers(app: Litestar) -> dict[tuple[str, str], HTTPRouteHandler]:
    """The handlers by path and method."""
    found = {}
    for route in app.routes:
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items():
            found[getattr(route, "path_format", route.path), method.lower()] = handler
    return found


def _finish(operation: dict[str, Any], handler: HTTPRouteHandler | None, path: str) -> None:
    """Write out the problems in place of what Litestar guesses; say whether a key is needed. What asks for many things
    finds none of them, which is no error."""
    given = operation.get("parameters", [])
    given.sort(key=lambda one: path.index("{" + one["name"] + "}") if one["in"] == "path" else len(path))
    problems = {int(status) for status in operation.pop("problems", [])}
    if handler is not None:
        problems |= {status for status in handler.responses or {} if status >= 400}
        problems -= set() if "{" in path else {404}
    if handler is None or handler.opt.get("scope", "read") is not None:
        operation["security"] = _SECURITY
        problems |= {401, 403, 429}
    if path != ALIVE:
        problems.add(421)
    answers = {status: answer for status, answer in operation["responses"].items() if status[0] in "23"}
    own = {status: operation["responses"][str(status)] for status in problems if _is_own(operation, status)}
    answers |= {str(status): own.get(status) or _problem(status) for status in sorted(problems)}
    operation["responses"] = answers | {"default": _problem(0)}


def _show(operation: dict[str, Any], example: dict[str, Any] | None) -> None:
    """Put the example of an operation, made by the tests, into its parameters, its body and its answer."""
    if example is None:
        return
    for parameter in operation.get("parameters", []):
        name = parameter["name"].removesuffix("*")
        given = [
            text for key, text in example["parameters"].items() if key == name or (name[-1] == "." and name in key)
        ]
        if given:
            parameter["example"] = given[0]
    answer = operation["responses"].get(str(example["status"]), {}).get("content", {}).get(example["media_type"])
    if answer is not None:
        answer["example"] = example["answer"]
    if "body" in example:
        next(iter(operation["requestBody"]["content"].values()))["example"] = example["body"]


def _is_own(operation: dict[str, Any], status: int) -> bool:
    """Whether a failure is answered with a document that is no problem document (`/readyz`)."""
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
