"""Builds the body of a request: JSON, a form, a GraphQL query or a text, with its placeholders filled in.

In JSON a text that is only `{name:number}` becomes a number, for APIs that require a number for an epoch or a page. A
GraphQL query has braces of its own, so only its variables are filled in.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from tidemill.feeds.placeholders import fill_placeholders
from tidemill.feeds.source import SourceBody

_CONTENT_TYPES: Final = {"json": "application/json", "form": "application/x-www-form-urlencoded", "text": "text/plain"}
_NUMBER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*):number\}")
_DIGITS: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


class RequestBody(msgspec.Struct, frozen=True):
    """The body of a source's requests: `content` as in the feed, and how it is written."""

    kind: Literal["json", "form", "text"]
    content: Any

    @property
    def content_type(self) -> str:
        """The value of the header `content-type`."""
        return _CONTENT_TYPES[self.kind]

    def encode(self, values: Mapping[str, str]) -> bytes:
        """The bytes of the body of a request with these placeholder values."""
        content = _fill_content(self.content, values)
        if self.kind == "json":
            return msgspec.json.encode(content)
        return (urlencode(content) if self.kind == "form" else content).encode()


def compile_body(body: SourceBody) -> RequestBody:
    """The `RequestBody` of a feed's [source.body]."""
    if body.graphql is not None:
        return RequestBody("json", {"query": _Verbatim(body.graphql), "variables": body.variables})
    if body.json is not None:
        return RequestBody("json", body.json)
    return RequestBody("form", body.form) if body.form is not None else RequestBody("text", body.text or "")


class _Verbatim(str):
    """A text without placeholders."""

    __slots__ = ()


def _fill_content(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {name: _fill_content(value, values) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_fill_content(value, values) for value in node]
    if not isinstance(node, str) or isinstance(node, _Verbatim):
        return str(node) if isinstance(node, str) else node
    match = _NUMBER.fullmatch(node)
    text = values.get(match[1], "") if match else ""
    if _DIGITS.fullmatch(text):
        return float(text) if "." in text else int(text)
    return fill_placeholders(node, values)
