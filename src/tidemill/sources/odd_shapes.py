"""Recognises answers that are no list of records: parallel columns, records that are arrays, values under keys.

They are reported by name, so that no feed is drafted that stores some number of them at the time of receipt.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from tidemill.model.time import parse_wall
from tidemill.sources.answers import value_at

_DEPTH: Final = 4
_MEMBERS: Final = 50
_FIRST: Final = 20  # at most so many items are examined
_TIME: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}([T ].*)?|\d{10}|\d{13}", re.ASCII)


class OddShape(msgspec.Struct, frozen=True):
    """The shape of an answer without a list of records: its kind, its path, and an example."""

    kind: Literal["columns", "arrays", "keys"]
    path: str
    example: str

    @property
    def sentence(self) -> str:
        """A message: what the answer has, and what the user can do."""
        what = {
            "columns": "columns: parallel arrays, one of them of times, and item n of each is one record",
            "arrays": "records that are arrays: what a number means is told by its place",
            "keys": "values under keys: the times (or the names) of the records are the keys of an object",
        }[self.kind]
        return (
            f"At {self.path} the answer has {what} (such as {self.example}). A feed is drafted for lists of objects "
            "only, so none is drafted here; see what a feed can say about the shape of records in the reference, or "
            "name a list of objects with --records."
        )


def odd_shape(body: bytes) -> OddShape | None:
    """The first such shape in a JSON answer; None if there is none, and for an answer that is not JSON."""
    document = value_at(body, ())
    return next(_shapes(document, "$", _DEPTH), None)


def _shapes(node: Any, path: str, depth: int) -> Iterator[OddShape]:
    if isinstance(node, list):
        if len(node) > 1 and all(map(_is_row, node[:_FIRST])):
            yield OddShape("arrays", path, _example(node[0]))
        return
    if not isinstance(node, Mapping) or depth == 0:
        return
    columns = {name: item for name, item in node.items() if _is_column(item)}
    times = [name for name, item in columns.items() if all(map(_is_time, item[:_FIRST]))]
    alike = [name for name in columns if times and len(columns[name]) == len(columns[times[0]]) and name != times[0]]
    if times and alike:
        yield OddShape("columns", path, f"{times[0]} and {alike[0]}")
    keyed = len(node) > 1 and all(map(_is_time, node))
    if keyed or (len(node) > 2 and _are_alike_records(node)):
        yield OddShape("keys", path, next(iter(node)))
    for name, item in list(node.items())[:_MEMBERS]:
        yield from _shapes(item, f"{path}.{name}", depth - 1)


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
