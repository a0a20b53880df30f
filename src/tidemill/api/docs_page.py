"""The `/docs` page: every operation of the OpenAPI document with parameters, answers and a curl line."""

import json
from typing import Any, Final
from urllib.parse import urlencode

from tidemill.api.html import html_code, html_table, html_text

_METHODS: Final = ("get", "put", "post", "delete")


def render_docs(document: dict[str, Any], base: str) -> str:
    """The page's body. `base` is the URL that curl lines begin with."""
    groups = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    operations = [
        (path, method, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]
    parts = [
        f"<h1>{html_text(document['info']['title'])} API</h1>"
        f"<p class=soft>{html_text(document['info'].get('summary', ''))}. "
        'Also as <a href="/openapi.json">OpenAPI 3.1</a>; every code is on <a href="/docs/problems">its page</a>.</p>',
        _contents(groups, operations),
    ]
    for tag, description in groups.items():
        tagged = [entry for entry in operations if tag in entry[2].get("tags", [])]
        if tagged:
            parts.append(f"<h2>{html_text(tag)}</h2><p>{html_text(description)}</p>")
            parts += [_operation(path, method, operation, base) for path, method, operation in tagged]
    return "".join(parts)


def _contents(groups: dict[str, str], operations: list[tuple[str, str, dict[str, Any]]]) -> str:
    items = "".join(
        f'<li><a href="#{operation["operationId"]}"><span class=verb>{method.upper()}</span>{html_text(path)}</a></li>'
        for tag in groups
        for path, method, operation in operations
        if tag in operation.get("tags", [])
    )
    return f"<nav><ul>{items}</ul></nav>"


def _operation(path: str, method: str, operation: dict[str, Any], base: str) -> str:
    parameters = [
        (
            f"<code>{html_text(p['name'])}</code>",
            html_text(p["in"] + (", required" if p.get("required") else "")),
            html_text(p.get("description", "")),
        )
        for p in operation.get("parameters", [])
    ]
    answers = [(html_text(status), html_text(spec["description"])) for status, spec in operation["responses"].items()]
    return (
        f'<h3 id="{operation["operationId"]}"><span class=verb>{method.upper()}</span>'
        f"<code>{html_text(path)}</code></h3>"
        f"<p><b>{html_text(operation.get('summary', ''))}.</b> {html_text(operation.get('description', ''))}</p>"
        + html_table(("parameter", "in", "meaning"), parameters)
        + html_code(_curl(path, method, operation, base))
        + html_table(("status", "meaning"), answers)
    )


def _curl(path: str, method: str, operation: dict[str, Any], base: str) -> str:
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
