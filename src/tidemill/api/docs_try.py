"""The form of an operation on `/docs` with which a reader sends a request; `docs.js` sends it from the same page.

Without script the form shows the values of a request that works. A dry run is chosen where there is one.
"""

import json
from collections.abc import Mapping
from html import escape
from typing import Any


def try_form(path: str, method: str, operation: Mapping[str, Any]) -> str:
    """The form as HTML."""
    name = operation["operationId"]
    fields = "".join(_field(name, parameter) for parameter in operation.get("parameters", []))
    return (
        f'<form class=try data-method="{method.upper()}" data-path="{escape(path)}">'
        f"<fieldset><legend>Try it</legend><div class=fields>{fields}</div>{_body(name, operation)}"
        '<p class=act><button class="btn main" type=submit>Send</button>'
        "<button class=btn type=button data-stop hidden>Stop</button>"
        "<span class=soft data-state role=status></span></p>"
        "<div data-answer hidden><h4 data-status></h4><pre data-headers></pre><pre data-content tabindex=0></pre></div>"
        "</fieldset></form>"
    )


def _field(name: str, parameter: Mapping[str, Any]) -> str:
    """A field of a parameter. Required ones are filled in; of others an example is shown."""
    schema, key = parameter.get("schema", {}), parameter["name"]
    field = f"{name}-{parameter['in']}-{key}"
    required = bool(parameter.get("required"))
    label = f'<label for="{escape(field)}"><code>{escape(key)}</code>{" (required)" if required else ""}</label>'
    common = f'id="{escape(field)}" name="{escape(key)}" data-in="{parameter["in"]}"{" required" if required else ""}'
    chosen = str(parameter.get("example", "")) if required else ""
    if key == "dry_run":
        chosen = "true"
    if "enum" in schema:
        choices = [str(choice) for choice in schema["enum"] if choice != ""]
        options = "".join(
            f"<option{' selected' if choice == chosen else ''}>{escape(choice)}</option>"
            for choice in ([] if required else [""]) + choices
        )
        return f"<div>{label}<select {common}>{options}</select></div>"
    hint = "pump=p1" if key.endswith("*") else str(parameter.get("example", schema.get("default", "")))
    return f'<div>{label}<input {common} value="{escape(chosen)}" placeholder="{escape(hint)}" autocomplete=off></div>'


def _body(name: str, operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return ""
    example = next((media["example"] for media in content.values() if "example" in media), "")
    text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
    kinds = "".join(f"<option>{escape(kind)}</option>" for kind in content)
    rows = min(16, max(3, text.count("\n") + 1))
    return (
        f'<div class=fields><div><label for="{name}-kind">Content-Type</label>'
        f'<select id="{name}-kind" data-kind>{kinds}</select></div></div>'
        f'<label for="{name}-body">Body</label>'
        f'<textarea id="{name}-body" data-body rows={rows} spellcheck=false>{escape(text)}</textarea>'
    )
