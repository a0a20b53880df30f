"""Schemas of the OpenAPI document as text and tables for people: types, members, choices and defaults."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tidemill.api.html import html_table, html_text

MAX_DEPTH: Final = 3  # members of members of members; deeper ones are in the example
_BOUNDS: Final = {
    "minimum": "At least {}",
    "maximum": "At most {}",
    "minItems": "At least {} items",
    "maxItems": "At most {} items",
    "maxLength": "At most {} characters",
}
_REF: Final = "#/components/schemas/"

Schema = Mapping[str, Any]


class SchemaText:
    """Describes schemas of one document; `schemas` are its components by name."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def type_text(self, schema: Schema) -> str:
        """The type of a schema in words: `array of Point or null`, `one of json, csv`."""
        if "$ref" in schema:
            return str(schema["$ref"]).removeprefix(_REF)
        branches = schema.get("oneOf") or schema.get("anyOf")
        if branches:
            return " or ".join(dict.fromkeys(self.type_text(branch) for branch in branches))
        if "const" in schema:
            return json.dumps(schema["const"])
        if "enum" in schema:
            return "one of " + ", ".join(str(choice) if choice != "" else '""' for choice in schema["enum"])
        kind = schema.get("type", "any")
        text = " or ".join(kind) if isinstance(kind, list) else str(kind)
        if kind == "array" and "items" in schema:
            return f"array of {self.type_text(schema['items'])}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            return f"object of {self.type_text(schema['additionalProperties'])}"
        return f"{text} ({schema['format']})" if "format" in schema else text

    def members(self, schema: Schema) -> str:
        """A table of the members of a schema, those of its members below them; empty where it has none."""
        rows = [
            (
                f"<code>{html_text(name)}</code>",
                html_text(self.type_text(member)),
                html_text(_meaning(member, required)),
            )
            for name, member, required in self._flat(schema, "", ())
        ]
        return html_table(("member", "type", "meaning"), rows)

    def description(self, schema: Schema) -> str:
        """What is said of a schema, or of what it refers to; empty: nothing."""
        return str(self._resolved(schema).get("description", ""))

    def _flat(self, schema: Schema, prefix: str, seen: tuple[str, ...]) -> Iterator[tuple[str, Schema, bool]]:
        """The members of a schema with their whole names. A schema within itself is named and not opened again."""
        name = str(schema.get("$ref", "")).removeprefix(_REF)
        if (name and name in seen) or prefix.count(".") >= MAX_DEPTH:
            return
        whole, inside = self._resolved(schema), (*seen, name) if name else seen
        for branch in whole.get("oneOf") or whole.get("anyOf") or ():
            yield from self._flat(branch, prefix, inside)
        if "items" in whole:
            yield from self._flat(whole["items"], f"{prefix.removesuffix('.')}[]." if prefix else "[].", inside)
        further = whole.get("additionalProperties")
        if isinstance(further, Mapping) and not whole.get("properties"):
            yield from self._flat(further, f"{prefix}*.", inside)
        for member, described in whole.get("properties", {}).items():
            yield prefix + member, described, member in whole.get("required", ())
            yield from self._flat(described, f"{prefix}{member}.", inside)

    def _resolved(self, schema: Schema) -> Schema:
        return self._schemas[schema["$ref"].removeprefix(_REF)] if "$ref" in schema else schema


def _meaning(schema: Schema, required: bool) -> str:
    """The description of a member with its default and bounds."""
    parts = [str(schema.get("description", ""))]
    if "default" in schema and schema["default"] is not None:
        parts.append(f"Default: `{schema['default']}`.")
    parts += [f"{words.format(schema[name])}." for name, words in _BOUNDS.items() if name in schema]
    return " ".join(filter(None, parts)) or ("" if required else "May be missing.")


def parameter_meaning(parameter: Mapping[str, Any]) -> str:
    """The description of a parameter with its choices, its default and its examples."""
    schema = parameter.get("schema", {})
    text = _meaning({**schema, "description": parameter.get("description", "")}, True)
    if "enum" in schema:
        text += " One of " + ", ".join(f"`{choice}`" if choice != "" else "(empty)" for choice in schema["enum"]) + "."
    examples = schema.get("examples") or ([parameter["example"]] if "example" in parameter else [])
    if examples:
        text += " Such as " + ", ".join(f"`{example}`" for example in examples) + "."
    return text
