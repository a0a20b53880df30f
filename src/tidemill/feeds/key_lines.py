"""The line of each key in a TOML text. `tomllib` does not report lines, so this reads the text again, line by line.

The lines are for messages only: a key without a line of its own (inside an inline table) gets that of the table above.
"""

import re
import tomllib
from typing import Any, Final

Key = tuple[str | int, ...]

_HEADER: Final = re.compile(r"\s*(\[\[?[^\[\]]+\]\]?)\s*(?:#.*)?")
_ASSIGNMENT: Final = re.compile(r"""\s*((?:[\w\-.\s]|"[^"]*"|'[^']*')+?)\s*=""")


class KeyLines:
    """The lines of a TOML text's keys."""

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        self._lines: dict[Key, int] = {}
        self._tables: dict[Key, int] = {}
        table: Key = ()
        for number, line in enumerate(text.splitlines(), 1):
            if match := _HEADER.fullmatch(line):
                table = self._enter(match[1])
                self._lines.setdefault(table, number)
            elif match := _ASSIGNMENT.match(line):
                keys = _keys(f"{match[1]} = 0")
                for depth in range(1, len(keys) + 1):
                    self._lines.setdefault(table + keys[:depth], number)

    def locate(self, key: Key) -> str:
        """`feed.toml:12: time.path`, with the line of the nearest key above if the key itself has none."""
        name = ".".join(str(part) for part in key)
        for depth in range(len(key), 0, -1):
            if line := self._lines.get(key[:depth]):
                return f"{self._source}:{line}: {name}"
        return f"{self._source}: {name}" if name else self._source

    def _enter(self, header: str) -> Key:
        keys = _keys(header)
        if not header.startswith("[["):
            return keys
        index = self._tables.get(keys, -1) + 1
        self._tables[keys] = index
        return (*keys, index)


def _keys(snippet: str) -> Key:
    try:
        node: Any = tomllib.loads(snippet)
    except tomllib.TOMLDecodeError:  # a line of a multi-line text that merely looks like a key
        return ()
    keys: list[str] = []
    while isinstance(node, dict) and node:
        key, node = next(iter(node.items()))
        keys.append(key)
    return tuple(keys)
