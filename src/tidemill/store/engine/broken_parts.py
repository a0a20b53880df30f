"""Parts of tables that the engine set aside as broken when it started: their rows are in no answer.

An answer without these rows would look whole, so queries of such a table are refused until a person has repaired it
(`tidemill verify --repair` moves the parts away and applies their rows again from the log).
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

    def check_statement(self, sql: bytes) -> None:
        """Raise EngineError (246) when a statement reads a table with a broken part."""
        match = self._reads.search(sql) if self._reads else None
        if match is not None:
            table = match.group(1).decode()
            named = ", ".join(f"{table}/{part}/" for part in self.parts[table])
            raise refusal(
                _CORRUPTED_DATA,
                "CORRUPTED_DATA",
                f"{named} was broken when the store started, and is read by no question; to go on: stop the server and "
                f"run `tidemill verify --repair`",
            )


def read_broken_parts(control: Callable[[str], bytes]) -> BrokenParts:
    """The parts that the engine has set aside; `control` runs a statement in the engine."""
    parts: dict[str, list[str]] = {}
    for line in control(_BROKEN).decode().splitlines():
        table, name = line.split("\t")
        parts.setdefault(table, []).append(name)
    return BrokenParts(parts)
