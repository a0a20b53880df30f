"""Changes the `[retention]` table of a feed's text, and nothing else of it: comments and layout stay."""

import json
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
    table = [f"points = {json.dumps(points)}\n"] if points is not None else []
    table += ["seal_rollups = true\n"] if seal_rollups else []
    changed = kept + ("\n[retention]\n" + "".join(table) if table else "")
    before, after = _parsed(text), _parsed(changed)
    wanted = {"points": points, "seal_rollups": seal_rollups}
    given = {"points": None, "seal_rollups": False} | after.pop("retention", {})
    before.pop("retention", None)
    if before != after or given != wanted:
        message = "the text has its retention in a form that only its author can change; send the whole definition"
        raise FeedDefinitionError(message, (Fault("retention", "retention_form", message),))
    return changed


def _without_table(lines: list[str]) -> list[str]:
    heads = [number for number, line in enumerate(lines) if _HEAD.fullmatch(line.rstrip("\r\n"))]
    if not heads:
        return lines
    start = heads[0]
    end = next((n for n in range(start + 1, len(lines)) if _NEXT.match(lines[n])), len(lines))
    return lines[:start] + lines[end:]


def _parsed(text: str) -> dict[str, Any]:
    """A text as data; empty: it is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
