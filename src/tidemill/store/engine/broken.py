"""Parts of tables that the engine found broken when it started, and set aside: their rows are in no answer.

An answer without them would look whole, so questions about such a table are refused until somebody has decided about
the parts (`tidemill verify --repair` moves them away and has their rows applied again from the log).
"""

import re
from collections.abc import Callable
from typing import Final

from tidemill.store.engine.errors import refusal

_CORRUPTED_DATA: Final = 246
_BROKEN: Final = "SELECT table, name FROM system.detached_parts WHERE reason LIKE 'broken%' ORDER BY table, name"


class BrokenParts:
    """The broken parts of an engine's tables, by table."""

    def __init__(self, parts: dict[str, list[str]]) -> None:
        self.parts = parts
        names = "|".join(re.escape(name) for name in parts)
        read = rf"\b(?:FROM|JOIN)\s+[(`\s]*(?:\w+`?\.)?`?({names})\b"
        self._reads = re.compile(read.encode(), re.IGNORECASE) if parts else None

    def check(self, sql: bytes) -> None:
        """Raise EngineError (246) when a statement reads a table with a broken part."""
        found = self._reads.search(sql) if self._reads else None
        if found is not None:
            table = found.group(1).decode()
            named = ", ".join(f"{table}/{part}/" for part in self.parts[table])
            raise refusal(
                _CORRUPTED_DATA,
                "CORRUPTED_DATA",
                f"{named} was broken when the store started, and is read by no question; to go on: stop the server and "
                f"run `tidemill verify --repair`",
            )


def broken_parts(control: Callable[[str], bytes]) -> BrokenParts:
    """What the engine has set aside; `control` asks it."""
    parts: dict[str, list[str]] = {}
    for line in control(_BROKEN).decode().splitlines():
        table, name = line.split("\t")
        parts.setdefault(table, []).append(name)
    return BrokenParts(parts)
