"""Where the faults of a definition are in its text: line, first and last column, for an editor.

`load_feed` names the line of each fault; this module finds the columns in that line: of the key for an unknown key, of
the value for a value at fault, of the header of its table for a key that is missing.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from tidemill.errors import Fault

SOURCE: Final = "definition"  # the name of the text in the paths of faults
_PATH: Final = re.compile(rf"{SOURCE}(?::(\d+))?(?:: (.*))?", re.DOTALL)
_TOML_COLUMN: Final = re.compile(r"\(column (\d+)\)\Z")
_HINT: Final = re.compile(r" \((did you mean '(.{1,200}?)'\?|known: .*)\)(?=\Z)", re.DOTALL)
_OF_KEYS: Final = frozenset({"unknown_key", "cannot_change", "reserved_name"})


class PlacedFault(msgspec.Struct, frozen=True):
    """A fault of a definition. `line` and `column` count from 1, `end` is the column after its last character; columns
    count characters. `key` is the path of the key (`rules.0.check`), "" where the text is no TOML. `hint` says what was
    probably meant, and `instead` is the word to write in place of what is there; null where nothing is near."""

    line: int
    column: int
    end: int
    key: str
    code: str
    message: str
    hint: str | None
    instead: str | None


def place_faults(text: str, faults: Iterable[Fault]) -> list[PlacedFault]:
    """The faults of a text that `load_feed` or `check_revision` read as SOURCE, in their order."""
    lines = text.splitlines() or [""]
    return [_place_fault(lines, fault) for fault in faults]


def _place_fault(lines: list[str], fault: Fault) -> PlacedFault:
    match = _PATH.fullmatch(fault.path)
    number, key = (int(match[1] or 1), match[2] or "") if match else (1, "")
    number = min(number, len(lines))
    line = lines[number - 1]
    begin, end = _columns(line, key.rpartition(".")[2], fault)
    hint = _HINT.search(fault.message)
    message = fault.message if hint is None else fault.message[: hint.start()]
    return PlacedFault(
        line=number,
        column=begin + 1,
        end=max(end, begin + 1) + 1 if begin == end else end + 1,
        key=key,
        code=fault.code,
        message=message,
        hint=None if hint is None else hint[1],
        instead=None if hint is None else hint[2],
    )


def _columns(line: str, name: str, fault: Fault) -> tuple[int, int]:
    """[first, last) of the characters of a line that a fault is about, from 0."""
    text = line.rstrip()
    whole = len(line) - len(line.lstrip()), len(text)
    if fault.code == "invalid_toml":
        column = _TOML_COLUMN.search(fault.message)
        begin = min(int(column[1]) - 1, max(0, len(text) - 1)) if column else whole[0]
        return begin, max(begin + 1, len(text)) if column is None else min(begin + 1, len(line) or 1)
    if "=" not in text or text.lstrip().startswith("["):
        return whole
    key = re.search(rf"""(?<![\w-])["']?{re.escape(name)}["']?\s*=\s*""", text) if name else None
    if key is None:  # the key of a table, or an item of a list
        key = re.search(r"=\s*", text)
        return (key.end(), _value_end(text, key.end())) if key and fault.code not in _OF_KEYS else whole
    if fault.code in _OF_KEYS:
        return key.start(), key.start() + len(key[0].rstrip().removesuffix("=").rstrip())
    return key.end(), _value_end(text, key.end())


def _value_end(text: str, begin: int) -> int:
    """The end of the value that begins there: of a text its closing quote, of other values the last character before a
    comment, or before what closes the table around them."""
    quote, depth = "", 0
    for at in range(begin, len(text)):
        sign = text[at]
        if quote:
            quote = "" if sign == quote and text[at - 1] != "\\" else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}" and depth:
            depth -= 1
        elif sign == "#" or (sign in ",]}" and not depth):
            return begin + len(text[begin:at].rstrip())
    return len(text)
