"""The OpenAPI 3.1 document: Litestar's description of its handlers, the intake operations, and what all have in common
(problem documents, keys)."""

import re
from collections.abc import Sequence
from typing import Any, Final

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from litestar.types import ControllerRouterHandler

from tidemill import __version__
from tidemill.api.openapi_intake import OPERATIONS, SCHEMAS
from tidemill.api.problems import PROBLEMS

TAGS: Final = {
    "intake": "Send payloads. Everything answered 2xx is durable.",
    "series": "Series, their points and their metrics.",
    "feeds": "Feeds and what they hold, each in its own shape.",
    "ledger": "Where every point is, or why it is not there: receipts and rejections.",
    "admin": "Definitions, sources, rules.",
    "health": "Alive, ready, counted.",
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"apiKey": []}, {}]
_PARAMETER_KIND: Final = re.compile(r"\{(\w+):\w+\}")


def describe(handlers: Sequence[ControllerRouterHandler], dependencies: dict[str, Any]) -> dict[str, Any]:
    """The whole document as plain data. `handlers` are those that Litestar serves."""
    config = OpenAPIConfig(
        title="Tidemill",
        version=__version__,
        summary="The time-series service that can account for every point",
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
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
    document["components"].setdefault("schemas", {}).update(SCHEMAS)
    public = _public(described)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                _finish(operation, public=(path, method) in public)
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _public(app: Litestar) -> set[tuple[str, str]]:
    """(path, method) of the handlers that need no key."""
    found = set()
    for route in app.routes:
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items():
            if handler.opt.get("scope", "read") is None:
                found.add((getattr(route, "path_format", route.path), method.lower()))
    return found


def _finish(operation: dict[str, Any], *, public: bool) -> None:
    """Write out the problem statuses, replace Litestar's own error shape by ours, say whether a key is needed."""
    listed = [str(status) for status in operation.pop("problems", [])]
    known = {status: answer for status, answer in operation["responses"].items() if status[0] in "23"}
    failed = [status for status in operation["responses"] if status[0] in "45" and not public]
    if not public:
        operation["security"] = _SECURITY
        listed = [*listed, *failed, "401", "403"]
    else:
        known |= {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
    for status in sorted(set(listed)):
        known[status] = _problem(int(status))
    known["default"] = _problem(0)
    operation["responses"] = known


def _problem(status: int) -> dict[str, Any]:
    codes = [code for code, meaning in PROBLEMS.items() if meaning.status == status]
    description = f"Problem: {', '.join(codes)}." if codes else "Any other problem."
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
