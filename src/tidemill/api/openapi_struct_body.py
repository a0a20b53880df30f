"""Describes a JSON body that is one flat struct in the OpenAPI document, from the struct itself."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

_NAMES: Final = {"description": "description", "enum": "enum", "maxLength": "max_length", "minItems": "min_items"}


def struct_body(kind: type[msgspec.Struct]) -> type[Operation]:
    """The OpenAPI operation of a route whose body is this struct. Its members are texts, lists of texts, booleans or
    numbers, each with a description."""
    schemas = msgspec.json.schema_components([kind])[1]
    body = _schema(schemas[kind.__name__])

    @dataclass
    class StructOperation(Operation):
        def __post_init__(self) -> None:
            content = {"application/json": OpenAPIMediaType(schema=body)}
            self.request_body = RequestBody(content=content, required=True)

    return StructOperation


def _schema(described: dict[str, Any]) -> Schema:
    schema = Schema(**{ours: described[name] for name, ours in _NAMES.items() if name in described})
    kinds = [described.get("type"), *(branch.get("type") for branch in described.get("anyOf", ()))]
    types = [OpenAPIType(kind) for kind in kinds if kind is not None]
    if "enum" in described and not types:
        types = [OpenAPIType.STRING]
    schema.type = types[0] if len(types) == 1 else types
    if "items" in described:
        schema.items = _schema(described["items"])
    if "properties" in described:
        schema.properties = {name: _schema(member) for name, member in described["properties"].items()}
        schema.required = described.get("required") or None
        schema.additional_properties = False
    return schema
