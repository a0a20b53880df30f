"""Judges answers of parallel arrays, and gives their records: item n of each array is of record n."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.strict_json import parse_json
from tidemill.feeds.paths import ABSENT, Path, path_text, value_at_path


def columns_fault(piece: bytes, path: str, needed: Sequence[Path], members: Sequence[Path], depth: int) -> str | int:
    """Why the mill would store nothing of an object of arrays, the JSON text `piece` at `path`; else its number of
    items. `needed`: the members that a feed requires; `members`: all that it reads (empty: any may be a field)."""
    value = parse_json(piece, path, depth, FaultCollector())
    if not isinstance(value, dict):
        return f"{path} holds no object of arrays"
    for member in needed:
        if value_at_path(value, member) in (ABSENT, None):
            return f"{path} has no {path_text(member)[2:]}"
    arrays = dict(_chosen(value, members) if members else _leaves(value))
    if not arrays:
        return f"{path} holds no array that the feed reads"
    first = next(iter(arrays))
    for name, item in arrays.items() if members else ():
        if len(item) != len(arrays[first]):
            return f"{name} has {len(item)} items, and {first} has {len(arrays[first])}"
    return len(arrays[first])


def column_records(piece: bytes, depth: int) -> list[bytes]:
    """The records of an object of arrays as JSON texts; [] if it is none. Of arrays of several lengths the longest
    count; a member that is no array is in each record."""
    value = parse_json(piece, "$", depth, FaultCollector())
    if not isinstance(value, dict):
        return []
    count = max((len(item) for _, item in _leaves(value)), default=0)
    return [json.dumps(_item(value, number, count)).encode() for number in range(count)]


def _item(value: Mapping[str, Any], number: int, count: int) -> dict[str, Any]:
    """The record of an item, of which arrays of another length are no part."""
    record: dict[str, Any] = {}
    for name, member in value.items():
        if isinstance(member, Mapping):
            record[name] = _item(member, number, count)
        elif not isinstance(member, list):
            record[name] = member
        elif len(member) == count:
            record[name] = member[number]
    return record


def _leaves(value: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for name, member in value.items():
        if isinstance(member, list):
            yield name, member
        elif isinstance(member, Mapping):
            yield from _leaves(member)


def _chosen(value: Mapping[str, Any], members: Sequence[Path]) -> Iterator[tuple[str, list[Any]]]:
    for path in members:
        item = value_at_path(value, path)
        if isinstance(item, list):
            yield path_text(path)[2:], item
