"""The placeholders of a source: `{start}` and `{stop}` of a window, `{cursor}` of a page, `{NAME}` of an `each`.
They stand in the URL and in `params`, and in the `value` of tags.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

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
_SENT: Final = ("cursor", "page", "offset")  # ways to page in which a place is sent


def names_in(text: str) -> tuple[str, ...]:
    """The names of the placeholders in a text, in order."""
    return tuple(_PLACEHOLDER.findall(text))


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with the values of its placeholders, as they are; one without a value stays."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def request_texts(source: Source) -> Iterator[tuple[Key, str]]:
    """The texts of a source that placeholders may stand in, with their keys."""
    yield ("source", "url"), source.url
    for name, text in source.params.items():
        yield ("source", "params", name), text
    body = source.body
    if body is not None:
        yield from _texts(("source", "body", "json"), body.json)
        yield from _texts(("source", "body", "form"), body.form)
        yield from _texts(("source", "body", "variables"), body.variables)
        yield ("source", "body", "text"), body.text or ""


def _texts(key: Key, node: Any) -> Iterator[tuple[Key, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _texts((*key, name), value)
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _texts((*key, number), value)


def placeholder_findings(feed: Feed, source: Source) -> Iterator[DefinitionFault]:
    """Placeholders that nothing fills, and what is read in parts without asking for the part."""
    known = known_names(source)
    used = set()
    for key, text in request_texts(source) if source.kind == HTTP else ():
        for name in names_in(text):
            used.add(name)
            if name not in known:
                yield DefinitionFault(
                    key, "unknown_placeholder", f"nothing fills {{{name[:40]}}} in: {_hint(name, known)}"
                )
    for tag, given in feed.tags.items():
        for name in names_in(given.value or ""):
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


def known_names(source: Source) -> tuple[str, ...]:
    """The placeholders that something fills."""
    window = ("start", "stop") if source.window is not None else ()
    page = ("cursor",) if source.page is not None and source.page.by in _SENT else ()
    return (*window, *page, *source.each)


def _hint(name: str, known: tuple[str, ...]) -> str:
    if name in _NEEDS:
        return f"it needs {_NEEDS[name]}"
    names = ", ".join(f"{{{one}}}" for one in known)
    return f"known here: {names or 'none, without each, [source.window] or [source.page]'}"
