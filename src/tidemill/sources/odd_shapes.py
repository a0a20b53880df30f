"""Recognises answers that are no list of objects: parallel columns, records that are arrays, values under keys.

Each is given as the records that it holds, so that `structure.py` can guess their members; a member's path is as a feed
writes it (`$.time` in columns, `$[0]` in an array, `$~` for the key of a record).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from tidemill.feeds.paths import is_readable_key, member_path
from tidemill.model.time import parse_wall

Kind = Literal["columns", "arrays", "keys"]
_DEPTH: Final = 4
_MEMBERS: Final = 50
_FIRST: Final = 20  # at most so many items are examined
_TIME: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}([T ].*)?|\d{10}|\d{13}", re.ASCII)


class OddShape(msgspec.Struct, frozen=True):
    """The shape of an answer without a list of objects: its kind, the path of the arrays, the list or the object, an
    example, the path of the member that is a time ("" where there is none), and the values of its records by path."""

    kind: Kind
    path: str
    example: str
    time: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def source(self) -> str:
        """The path as [input] has it: `records` of a keyed object are its members."""
        return f"{self.path}.*" if self.kind == "keys" else self.path

    @property
    def sentence(self) -> str:
        """A message: what the answer has."""
        what = {
            "columns": "columns: parallel arrays, one of them of times, and item n of each is one record",
            "arrays": "records that are arrays: what a number means is told by its place",
            "keys": "values under keys: the times (or the names) of the records are the keys of an object",
        }[self.kind]
        return f"At {self.path} the answer has {what} (such as {self.example})."


def odd_shapes(document: Any, most_rows: int) -> Iterator[OddShape]:
    """Such shapes in a decoded document, from the outside in; each with at most so many rows."""
    return _shapes(document, "$", _DEPTH, most_rows)


def _shapes(node: Any, path: str, depth: int, most: int) -> Iterator[OddShape]:
    if isinstance(node, list):
        if len(node) > 1 and all(map(_is_row, node[:_FIRST])):
            rows = [{f"$[{n}]": item for n, item in enumerate(row)} for row in node[:most] if isinstance(row, list)]
            times = [name for name in rows[0] if all(_is_time(row.get(name)) for row in rows)]
            yield OddShape("arrays", path, _example(node[0]), (times or [""])[0], rows)
        return
    if not isinstance(node, Mapping) or depth == 0:
        return
    columns = {name: item for name, item in node.items() if _is_column(item) and is_readable_key(name)}
    times = [name for name, item in columns.items() if all(map(_is_time, item[:_FIRST]))]
    alike = [name for name in columns if times and len(columns[name]) == len(columns[times[0]]) and name != times[0]]
    if times and alike:
        rows = _column_rows(node, (times[0], *alike), most)
        yield OddShape("columns", path, f"{times[0]} and {alike[0]}", member_path("$", times[0]), rows)
    keyed = len(node) > 1 and all(map(_is_time, node))
    if keyed or (len(node) > 2 and _are_alike_records(node)):
        rows = [_keyed_row(key, item) for key, item in list(node.items())[:most]]
        yield OddShape("keys", path, next(iter(node)), "$~" if keyed else "", rows)
    for name, item in list(node.items())[:_MEMBERS]:
        if is_readable_key(name):
            yield from _shapes(item, member_path(path, name), depth - 1, most)


def _column_rows(node: Mapping[str, Any], names: Sequence[str], most: int) -> list[dict[str, Any]]:
    """The records of parallel arrays; a text beside them holds for each."""
    held = {member_path("$", name): value for name, value in _named(node) if isinstance(value, str)}
    count = min(most, len(node[names[0]]))
    return [{member_path("$", name): node[name][n] for name in names} | held for n in range(count)]


def _keyed_row(key: str, item: Any) -> dict[str, Any]:
    """A record under a key. Epoch numbers are keys as texts, as which a feed reads them."""
    is_object = isinstance(item, Mapping)
    members = {member_path("$", name): value for name, value in _named(item)} if is_object else {"$": item}
    return {"$~": int(key) if _is_time(key) and key.isdigit() else key, **members}


def _named(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members that a path can name."""
    return ((name, value) for name, value in node.items() if is_readable_key(name))


def _is_row(item: Any) -> bool:
    return isinstance(item, list) and len(item) > 1 and not any(isinstance(part, dict | list) for part in item)


def _is_column(item: Any) -> bool:
    return isinstance(item, list) and len(item) > 1 and not any(isinstance(cell, dict | list) for cell in item[:_FIRST])


def _are_alike_records(node: Mapping[str, Any]) -> bool:
    """Whether the values of an object look like records: objects with the same members."""
    items = list(node.values())[:_FIRST]
    alike = all(isinstance(item, dict) and len(item) > 1 for item in items)
    return alike and len({frozenset(item) for item in items}) == 1


def _is_time(value: Any) -> bool:
    text = str(value)
    if isinstance(value, bool | dict | list) or _TIME.fullmatch(text) is None:
        return False
    if text.isdigit():
        return len(text) in (8, 10, 13) and 631_152_000 <= float(text[:10]) <= 4_102_444_800
    try:
        parse_wall(f"{text}T00:00:00" if len(text) == 10 else text)
    except ValueError:
        return re.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*", text) is not None
    return True


def _example(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:60]
