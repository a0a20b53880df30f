"""The `/docs` page: every operation of the OpenAPI document with its parameters, bodies and answers, a curl line, and a
form to try it with.

The page is whole without script. `docs_assets/docs.js` filters, copies and sends; the key that a reader types in stays
in its field and is never stored.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from tidemill.api.docs_schema import SchemaText, parameter_meaning
from tidemill.api.docs_try import try_form
from tidemill.api.html import html_code, html_table, html_text
from tidemill.api.problem_codes import PROBLEMS

_METHODS: Final = ("get", "put", "post", "delete")
_MAX_EXAMPLE: Final = 6000  # characters of an example that are shown
# No form and no password field: a browser offers to keep neither.
_KEY: Final = (
    "<div class=who><span data-says role=status>Programs send a key: <code>Authorization: Bearer KEY</code>."
    "</span><label for=key>Key to try with</label><input id=key class=secret autocomplete=off spellcheck=false "
    'placeholder="tm_..."><span class=soft>It stays in this field, and is forgotten with the page.</span></div>'
)
Operation = tuple[str, str, dict[str, Any]]  # path, method, description


def render_docs(document: Mapping[str, Any], base: str) -> str:
    """The page's body. `base` is the URL that curl lines begin with."""
    groups = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    operations = [
        (path, method, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]
    schemas = SchemaText(document["components"]["schemas"])
    parts = [
        f"<header><h1>{html_text(document['info']['title'])} API</h1>"
        f"<p class=soft>{html_text(document['info'].get('summary', ''))}. "
        'Also as <a href="/openapi.json">OpenAPI 3.1</a>; every code is on <a href="/docs/problems">its page</a>, '
        'and the <a href="/docs/guide">guide</a> explains the rest.</p>'
        f"{_KEY}</header>",
    ]
    for tag, description in groups.items():
        tagged = [entry for entry in operations if tag in entry[2].get("tags", [])]
        if tagged:
            parts.append(
                f'<section aria-label="{html_text(tag)}"><h2>{html_text(tag)}</h2><p>{html_text(description)}</p>'
            )
            parts += [_operation(entry, base, schemas) for entry in tagged]
            parts.append("</section>")
    return f"{_contents(groups, operations)}<main id=content>{''.join(parts)}</main>"


def _contents(groups: Mapping[str, str], operations: list[Operation]) -> str:
    lists = [
        f"<h2>{html_text(tag)}</h2><ul>"
        + "".join(
            f'<li data-find="{html_text(_words(path, operation))}"><a href="#{operation["operationId"]}">'
            f"<span class=verb>{method.upper()}</span> {html_text(path)}</a></li>"
            for path, method, operation in operations
            if tag in operation.get("tags", [])
        )
        + "</ul>"
        for tag in groups
    ]
    search = (
        "<label for=find-operation class=vh>Find an operation</label>"
        '<input id=find-operation type=search placeholder="Find an operation">'
    )
    return (
        f'<nav aria-label="Operations">{search}{"".join(lists)}<p class=soft data-none hidden>Nothing has it.</p></nav>'
    )


def _words(path: str, operation: Mapping[str, Any]) -> str:
    return f"{path} {operation.get('summary', '')} {operation['operationId']}".lower().replace("`", "")


def _operation(entry: Operation, base: str, schemas: SchemaText) -> str:
    path, method, operation = entry
    parameters = [
        (
            f"<code>{html_text(p['name'])}</code>",
            html_text(p["in"] + (", required" if p.get("required") else "")),
            html_text(schemas.type_text(_plain(p.get("schema", {})))),
            html_text(parameter_meaning(p)),
        )
        for p in operation.get("parameters", [])
    ]
    return (
        f'<details class=op id="{operation["operationId"]}"><summary><h3><span class=verb>{method.upper()}</span> '
        f"<code>{html_text(path)}</code> "
        f"<span class=says>{html_text(operation.get('summary', ''))}</span></h3></summary>"
        f"<p>{html_text(operation.get('description', ''))}</p>"
        + html_table(("parameter", "in", "type", "meaning"), parameters)
        + _bodies(operation, schemas)
        + f"<div class=curl>{html_code(_curl(entry, base))}"
        + "<button class=btn type=button data-copy hidden>Copy</button></div>"
        + _answers(operation, schemas)
        + try_form(path, method, operation)
        + "</details>"
    )


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of a parameter without its choices, which its meaning lists."""
    return {name: value for name, value in schema.items() if name != "enum"} or {"type": "string"}


def _bodies(operation: Mapping[str, Any], schemas: SchemaText) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return ""
    rows = [
        (f"<code>{html_text(kind)}</code>", html_text(schemas.description(media.get("schema", {}))))
        for kind, media in content.items()
    ]
    shown = [schemas.members(media.get("schema", {})) + _example(media) for media in content.values()]
    return "<h4>Body</h4>" + html_table(("content type", "is"), rows) + "".join(shown)


def _answers(operation: Mapping[str, Any], schemas: SchemaText) -> str:
    """The answers: each that is good with its members and an example, then the problems in one table."""
    good = {status: spec for status, spec in operation["responses"].items() if status[0] in "23"}
    bad = [_problem(status, spec) for status, spec in operation["responses"].items() if status not in good]
    parts = ["<h4>Answers</h4>"]
    for status, spec in good.items():
        content: Mapping[str, Any] = spec.get("content", {})
        kinds = ", ".join(f"<code>{html_text(kind)}</code>" for kind in content)
        parts.append(f"<p><b>{html_text(status)}</b> {html_text(spec.get('description', ''))} {kinds}</p>")
        for media in sorted(content.values(), key=lambda media: "example" not in media)[:1]:
            said = schemas.description(media.get("schema", {}))
            parts.append(
                (f"<p>{html_text(said)}</p>" if said else "")
                + schemas.members(media.get("schema", {}))
                + _example(media)
            )
    return "".join(parts) + f"<ul class=problems>{''.join(bad)}</ul>"


def _problem(status: str, spec: Mapping[str, Any]) -> str:
    """A status that is no good, with the codes that its problem document may have."""
    said = str(spec.get("description", "")).removeprefix("Problem: ").removesuffix(".")
    codes = said.split(", ")
    if all(code in PROBLEMS for code in codes):
        said = ", ".join(f'<a href="/docs/problems#{code}"><code>{code}</code></a>' for code in codes)
    else:
        said = html_text(said)
    return f"<li><b>{html_text(status)}</b> {said}</li>"


def _example(media: Mapping[str, Any]) -> str:
    if "example" not in media:
        return ""
    example = media["example"]
    text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
    return html_code(text if len(text) <= _MAX_EXAMPLE else text[:_MAX_EXAMPLE] + "\n...")


def _curl(entry: Operation, base: str) -> str:
    path, method, operation = entry
    url, query = base + path, {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            url = url.replace("{" + parameter["name"] + "}", parameter.get("example", parameter["name"].upper()))
        elif "example" in parameter and not parameter["name"].endswith("*") and parameter["in"] == "query":
            query[parameter["name"]] = parameter["example"]
    url += f"?{urlencode(query)}" if query else ""
    verb = "" if method == "get" else f" -X {method.upper()}"
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = ""
    if "example" in content:
        body = f" -H 'Content-Type: application/json' \\\n  -d '{json.dumps(content['example'])}'"
    shown = f"'{url}'" if query else url
    return f"curl{verb} {shown}{body}"
