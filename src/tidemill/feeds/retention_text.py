"""Changes the `[retention]` table of a feed's text, and nothing else of it: comments and layout stay."""

import re
import tomllib
from typing import Any, Final

from tidemill.errors import Fault, FeedDefinitionError

_HEAD: Final = re.compile(r"[ \t]*\[retention\][ \t]*(#.*)?")
_NEXT: Final = re.compile(r"[ \t]*\[")


def with_retention(text: str, points: str | None, *, seal_rollups: bool) -> str:
    """The text with this retention: points expire so long after they were received (None: never). A table at its end
    takes the place of the one that was there.

    Raises FeedDefinitionError where the text has its retention in another form than a table of its own, which only an
    author can change.
    """
    lines = _without_table(text.splitlines(keepends=True))
    kept = "".join(lines).rstrip("\n") + "\n"
    table = [f"points = {_quoted(points)}\n"] if points is not None else []
    table += ["seal_rollups = true\n"] if seal_rollups else []
    changed = kept + ("\n[retention]\n" + "".join(table) if table else "")
    wanted = {"points": points, "seal_rollups": seal_rollups}
    if _split(changed) != (_split(text)[0], wanted):
        message = "the text has its retention in a form that only its author can change; send the whole definition"
        raise FeedDefinitionError(message, (Fault("retention", "retention_form", message),))
    return changed


def _without_table(lines: list[str]) -> list[str]:
    heads = [number for number, line in enumerate(lines) if _HEAD.fullmatch(line.rstrip("\r\n"))]
    if not heads:
        return lines
    start = heads[0]
    end = next((n for n in range(start + 1, len(lines)) if _NEXT.match(lines[n])), len(lines))
    while end > start + 1 and lines[end - 1].lstrip()[:1] in ("", "#"):  # these are about what follows
        end -= 1
    return lines[:start] + lines[end:]


def _split(text: str) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The definition in a text without its retention (None: the text is no TOML), and the retention with its
    defaults."""
    try:
        definition = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None, {}
    given = definition.pop("retention", {})
    return definition, {"points": None, "seal_rollups": False} | (given if isinstance(given, dict) else {})


def _quoted(text: str) -> str:
    """A text as a string of TOML."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'
