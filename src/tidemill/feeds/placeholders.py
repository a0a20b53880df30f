"""The placeholders of a source: `{start}` and `{stop}` of a window, `{cursor}` of a page, `{NAME}` of an `each`.
They can be in the URL, in `params` and the body of a source, and in the `value` of tags.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.definition import Feed
from tidemill.feeds.key_lines import Key
from tidemill.feeds.source import HTTP, Source

_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*)(?::number)?\}")
_NEEDS: Final = {
    "start": "[source.window]",
    "stop": "[source.window]",
    "cursor": "[source.page] with by = 'cursor', 'page' or 'offset'",
}
_SENT: Final = ("cursor", "page", "offset")  # ways to page in which the request has the cursor


def placeholder_names(text: str) -> tuple[str, ...]:
    """The names of the placeholders in a text, in order."""
    return tuple(_PLACEHOLDER.findall(text))


def fill_placeholders(text: str, values: Mapping[str, str]) -> str:
    """A text with the values of its placeholders, not encoded; a placeholder without a value stays."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def fill_url(url: str, values: Mapping[str, str]) -> str:
    """The URL with each `{name}` (also percent-encoded) replaced by its value, percent-encoded."""
    for name, text in values.items():
        for word in (f"{{{name}}}", f"%7B{name}%7D", f"{{{name}:number}}", f"%7B{name}%3Anumber%7D"):
            url = url.replace(word, quote(text, safe=":"))
    return url


def request_texts(source: Source) -> Iterator[tuple[Key, str]]:
    """The texts of a source that may hold placeholders, with their keys."""
    yield ("source", "url"), source.url
    for name, text in source.params.items():
        yield ("source", "params", name), text
    body = source.body
    if body is not None:
        yield from _nested_texts(("source", "body", "json"), body.json)
        yield from _nested_texts(("source", "body", "form"), body.form)
        yield from _nested_texts(("source", "body", "variables"), body.variables)
        yield ("source", "body", "text"), body.text or ""


def _nested_texts(key: Key, node: Any) -> Iterator[tuple[Key, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _nested_texts((*key, name), value)
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _nested_texts((*key, number), value)


def placeholder_faults(feed: Feed, source: Source) -> Iterator[DefinitionFault]:
    """Faults of placeholders that nothing fills, and of pages whose cursor is not sent, or sent twice."""
    known = known_placeholders(source)
    used = set()
    for key, text in request_texts(source) if source.kind == HTTP else ():
        for name in placeholder_names(text):
            used.add(name)
            if name not in known:
                yield DefinitionFault(
                    key, "unknown_placeholder", f"nothing fills {{{name[:40]}}} in: {_hint(name, known)}"
                )
    for tag, given in feed.tags.items():
        for name in placeholder_names(given.value or ""):
            if name not in known:
                message = f"nothing is asked for as {{{name[:40]}}}: {_hint(name, known)}"
                yield DefinitionFault(("tags", tag, "value"), "unknown_placeholder", message)
    for name in source.each:
        if name in _NEEDS:
            yield DefinitionFault(
                ("source", "each", name), "reserved_name", f"{{{name}}} has a meaning; take another name"
            )
    page = source.page
    if page is not None and page.by in _SENT and ("cursor" in used) == (page.param is not None):
        message = "say how the cursor is sent: as the parameter `param`, or as {cursor} in the URL or params"
        yield DefinitionFault(("source", "page", "param"), "conflict", message + (", not both" if page.param else ""))


def known_placeholders(source: Source) -> tuple[str, ...]:
    """The placeholders that a source's window, pages or items fill."""
    window = ("start", "stop") if source.window is not None else ()
    page = ("cursor",) if source.page is not None and source.page.by in _SENT else ()
    return (*window, *page, *source.each)


def _hint(name: str, known: tuple[str, ...]) -> str:
    if name in _NEEDS:
        return f"it needs {_NEEDS[name]}"
    names = ", ".join(f"{{{item}}}" for item in known)
    return f"known here: {names or 'none, without each, [source.window] or [source.page]'}"


def indistinct_item_faults(feed: Feed, *, has_source: bool) -> Iterator[DefinitionFault]:
    """Faults of an `each` with several items that no tag tells apart, and of tags whose placeholders nothing fills.
    `has_source`: the text has a [source], also if its URL was left empty. For new texts only: a stored feed stays."""
    in_tags = {name for tag in feed.tags.values() for name in placeholder_names(tag.value or "")}
    if not has_source:
        for name, tag in feed.tags.items():
            if placeholder_names(tag.value or ""):
                message = "what was asked for is known of payloads that a [source] fetches, and this feed has none"
                yield DefinitionFault(("tags", name, "value"), "conflict", message)
    if feed.source is None or feed.shape.kind == "samples":
        return
    if any(tag.value is None for tag in feed.tags.values()):  # such a tag may say which item a record is of
        return
    for name, text in feed.source.each.items():
        items = [item for item in text.split(",") if item.strip()]
        if name not in in_tags and (len(items) > 1 or "${" in text):
            message = (
                f"the records of its items cannot be told apart, and would replace each other: no tag says which was "
                f'asked for. Add a tag: [tags.{name}] with value = "{{{name}}}" (or with the path that tells it)'
            )
            yield DefinitionFault(("source", "each", name), "indistinct", message)
