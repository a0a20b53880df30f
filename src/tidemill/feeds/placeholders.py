"""The placeholders of a source's URL and parameters: `{start}` and `{stop}` of a window, `{cursor}` of a page."""

import re
from collections.abc import Iterator
from typing import Final

from tidemill.feeds.convert import DefinitionFault
from tidemill.feeds.source import Source

_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NEEDS: Final = {
    "start": "[source.window]",
    "stop": "[source.window]",
    "cursor": "[source.page] with by = 'cursor'",
}


def placeholder_findings(source: Source) -> Iterator[DefinitionFault]:
    """Placeholders that nothing fills, and what is read in parts without asking for the part."""
    texts = [(("source", "url"), source.url), *((("source", "params", k), v) for k, v in source.params.items())]
    known = _known(source)
    used = set()
    for key, text in texts:
        for name in _PLACEHOLDER.findall(text):
            used.add(name)
            if name not in known:
                yield DefinitionFault(
                    key, "unknown_placeholder", f"nothing fills {{{name[:40]}}} in: {_hint(name, known)}"
                )
    page = source.page
    if page is not None and page.by == "cursor" and ("cursor" in used) == (page.param is not None):
        message = "say how the cursor is sent: as the parameter `param`, or as {cursor} in the URL or params"
        yield DefinitionFault(("source", "page", "param"), "conflict", message + (", not both" if page.param else ""))


def _known(source: Source) -> tuple[str, ...]:
    window = ("start", "stop") if source.window is not None else ()
    return (*window, "cursor") if source.page is not None and source.page.by == "cursor" else window


def _hint(name: str, known: tuple[str, ...]) -> str:
    if name in _NEEDS:
        return f"it needs {_NEEDS[name]}"
    return f"known here: {', '.join(f'{{{one}}}' for one in known) or 'none, without [source.window] or [source.page]'}"
