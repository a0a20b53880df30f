"""The JSON Schema of feed definitions, with the meaning of every key: for completion and hover in editors.

It is made of the structs that definitions are read with, so that both know the same keys. What goes beyond types, such
as whether a zone exists, only `load_feed` and a trial say.
"""

from functools import cache
from typing import Any, Final

import msgspec

from tidemill.checks.describe import check_example, check_meaning, check_options
from tidemill.checks.library import checks_by_name
from tidemill.feeds.definition import Feed
from tidemill.feeds.formats import known_formats
from tidemill.feeds.meanings import MEANINGS
from tidemill.feeds.packed import ARRAY, NUMBER_TYPES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_PLAIN_TYPES: Final = ("number", "numbers", "text_number", "boolean")
_JSON_TYPES: Final = {"text": "string", "number": "number", "integer": "integer", "true or false": "boolean"}


@cache
def definition_schema() -> dict[str, Any]:
    """The schema, JSON Schema 2020-12. `$defs` has a table each, its `description` the table's docstring; every
    property has a `description`, a `default` where it may be left out, and `examples` or an `enum` where the words are
    known. Of rules, `options` depend on `check`."""
    schema = msgspec.json.schema(Feed)
    tables: dict[str, Any] = schema["$defs"]
    for name, table in tables.items():
        table["description"] = " ".join((table.get("description") or "").split())
        for key, member in table["properties"].items():
            member["description"] = MEANINGS.get(name, {}).get(key, "")
    del tables["Feed"]["properties"]["version"]
    tables["Input"]["properties"]["formats"]["items"] = {"enum": sorted(known_formats())}
    packed = [*NUMBER_TYPES, *(f"{kind}{ARRAY}" for kind in NUMBER_TYPES)]
    tables["Field"]["properties"]["type"]["enum"] = [*_PLAIN_TYPES, *packed]
    _add_checks(tables)
    return {"$schema": DIALECT, "title": "A feed definition", **schema}


def _add_checks(tables: dict[str, Any]) -> None:
    """Add the checks that rules may name, with their options."""
    rule, checks = tables["Rule"], dict(sorted(checks_by_name().items()))
    rule["properties"]["check"]["enum"] = list(checks)
    rule["allOf"] = []
    for name, check in checks.items():
        options: dict[str, Any] = {}
        for option in check_options(check):
            kind = _JSON_TYPES.get(option.type)
            described: dict[str, Any] = {} if kind is None else {"type": kind}
            described |= {"description": option.meaning}
            options[option.name] = described if option.required else described | {"default": option.default}
        tables[f"check {name}"] = {
            "title": name,
            "type": "object",
            "description": check_meaning(check),
            "properties": options,
            "required": [option.name for option in check_options(check) if option.required],
            "additionalProperties": False,
            "examples": [check_example(check, name)] if check.example else [],
        }
        of_check = {"properties": {"check": {"const": name}}}
        rule["allOf"].append({"if": of_check, "then": {"properties": {"options": {"$ref": f"#/$defs/check {name}"}}}})
