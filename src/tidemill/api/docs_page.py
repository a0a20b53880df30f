"""The `/docs` page: every operation of the OpenAPI document with parameters, answers and a curl line."""

import json
from typing import Any, Final
from urllib.parse import urlencode

from tidemill.api.html import code, table, text

_METHODS: Final = ("get", "put", "post", "delete")


def render(document: dict[str, Any], base: str) -> str:
    """The page's body. `base` is the URL that curl lines begin with."""
    groups = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    found = [
        (path, method, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]
    parts = [
        f"<h1>{text(document['info']['title'])} API</h1><p class=soft>{text(document['info'].get('summary', ''))}. "
        'Also as <a href="/openapi.json">OpenAPI 3.1</a>; every code is on <a href="/docs/problems">its page</a>.</p>',
        _contents(groups, found),
    ]
    for tag, description in groups.items():
        own = [entry for entry in found if tag in entry[2].get("tags", [])]
        if own:
            parts.append(f"<h2>{text(tag)}</h2><p>{text(description)}</p>")
            parts += [_operation(path, method, operation, base) for path, method, operation in own]
    return "".join(parts)


def _contents(groups: dict[str, str], found: list[tuple[str, str, dict[str, Any]]]) -> str:
    items = "".join(
        f'<li><a href="#{operation["operationId"]}"><span class=verb>{method.upper()}</span>{text(path)}</a></li>'
        for tag in groups
        for path, method, operation in found
        if tag in operation.get("tags", [])
    )
    return f"<nav><ul>{items}</ul></nav>"


def _operation(path: str, method: str, operation: dict[str, Any], base: str) -> str:
    parameters = [
        (
            f"<code>{text(p['name'])}</code>",
            text(p["in"] + (", required" if p.get("required") else "")),
            text(p.get("description", "")),
        )
        for p in operation.get("parameters", [])
    ]
    answers = [(text(status), text(answer["description"])) for status, answer in operation["responses"].items()]
    return (
        f'<h3 id="{operation["operationId"]}"><span class=verb>{method.upper()}</span><code>{text(path)}</code></h3>'
        f"<p><b>{text(operation.get('summary', ''))}.</b> {text(operation.get('description', ''))}</p>"
        + table(("parameter", "in", "meaning"), parameters)
        + code(_curl(path, method, operation, base))
        + table(("status", "meaning"), answers)
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
