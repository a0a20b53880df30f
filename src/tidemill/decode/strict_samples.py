"""The strict reader of a series: names every fault of the JSON object with its path, and returns the valid members."""

import json
import math
from decimal import Decimal
from typing import Any

from tidemill.decode.exactness import holds_exactly
from tidemill.decode.fault_collector import FaultCollector
from tidemill.decode.sample_times import ExactTimes, Members, SampleBody
from tidemill.decode.strict_json import Object, has_lone_surrogate, json_type, not_finite_paths, parse_json
from tidemill.decode.strict_values import NUMBER_COLUMNS, read_number, read_text
from tidemill.feeds.definition import NotExact

_LONG = 1 << 30


def read_members_strict(
    body: bytes, max_depth: int, faults: FaultCollector, not_exact: NotExact = "reject"
) -> Members | None:
    """The members of a body, with every fault of JSON and types added; None for what is no JSON object."""
    value = parse_json(body, "$", max_depth, faults)
    if faults.count:
        return None
    if not isinstance(value, Object):
        faults.add("$", "wrong_type", f"must be an object, is {json_type(value)}")
        return None
    known = set(SampleBody.__struct_fields__)
    for key in sorted(value.duplicate_keys & known):
        faults.add(f"$.{key}", "duplicate_key", f"'{key}' is there twice")
    members: dict[str, Any] = {"values": []}
    faulty, rounded = set(), list[int]()
    for key, item in value.items():
        if key in known and item is not None:
            before = faults.count
            if key == "values":
                members[key] = _values(item, f"$.{key}", not_exact, rounded, faults)
            else:
                members[key] = _member(key, item, faults)
            if faults.count > before and not (isinstance(item, list) and key == "values"):
                faulty.add(key)
    if value.get("values") is None:
        faulty.add("values")
        if "values" in value:
            faults.add("$.values", "wrong_type", "must be an array of numbers, is null")
        else:
            faults.add("$.values", "missing", "is missing; it must be an array of numbers")
    for where in not_finite_paths(value, "$"):
        faults.add_once(where, "not_finite", "NaN and Infinity are not JSON; send null for a sample that is missing")
    good = {key: item for key, item in members.items() if key not in faulty or key == "values"}
    sample_body = SampleBody(**good)
    exact = None if faults.count or not sample_body.rounded else _exact(body)
    return Members(sample_body, frozenset(faulty), exact=exact, rounded=tuple(rounded))


def _exact(body: bytes) -> ExactTimes:
    """The times of a body without fault, with all their digits."""
    members = json.loads(body, parse_float=Decimal)
    start, times = members.get("start"), members.get("times")
    return ExactTimes(start, times)


def _member(key: str, value: Any, faults: FaultCollector) -> Any:
    path = f"$.{key}"
    if key == "times":
        return _times(value, path, faults)
    if key == "tags":
        return _tags(value, path, faults)
    if key == "start":
        return value if isinstance(value, str) and value else _time(value, path, faults)
    if key == "sample_rate_hz":
        read_number(value, path, None, faults)
        return value
    if key == "description":
        return _description(value, path, faults)
    return _text(value, path, faults)


def _text(value: Any, path: str, faults: FaultCollector) -> str | None:
    """A text of any length, also an empty one: `samples.py` checks both."""
    return value if value == "" else read_text(value, path, _LONG, faults)


def _values(
    value: Any, path: str, not_exact: NotExact, rounded: list[int], faults: FaultCollector
) -> list[float | None]:
    """Numbers and nulls; the indexes of integers that are kept as the nearest double, and flagged, are added to
    `rounded`."""
    if not isinstance(value, list):
        faults.add(path, "wrong_type", f"must be an array of numbers, is {json_type(value)}")
        return []
    numbers: list[float | None] = []
    for index, item in enumerate(value):
        if type(item) is float and math.isfinite(item):
            numbers.append(item)
        else:
            where = f"{path}[{index}]"
            numbers.append(None if item is None else read_number(item, where, NUMBER_COLUMNS[not_exact], faults))
            if not_exact == "flag" and type(item) is int and not holds_exactly(item):
                rounded.append(index)
    return numbers


def _times(value: Any, path: str, faults: FaultCollector) -> list[Any]:
    if not isinstance(value, list):
        faults.add(path, "wrong_type", f"must be an array of times, is {json_type(value)}")
        return []
    return [item if isinstance(item, str) else _time(item, f"{path}[{n}]", faults) for n, item in enumerate(value)]


def _time(value: Any, path: str, faults: FaultCollector) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        faults.add(path, "wrong_type", f"must be an ISO 8601 time as text, or a number, is {json_type(value)}")
    elif isinstance(value, str):
        return value
    else:
        read_number(value, path, None, faults)
    return value


def _tags(value: Any, path: str, faults: FaultCollector) -> dict[str, str]:
    if not isinstance(value, Object):
        faults.add(path, "wrong_type", f"must be an object of texts, is {json_type(value)}")
        return {}
    tags = {}
    for key, item in value.items():
        where = f"{path}.{key}"
        if key in value.duplicate_keys:
            faults.add(where, "duplicate_key", f"'{key}' is there twice")
        name, text = _text(key, where, faults), _text(item, where, faults)
        if name is not None and text is not None:
            tags[name] = text
    return tags


def _description(value: Any, path: str, faults: FaultCollector) -> str:
    """A text that may have line breaks; "" with a fault."""
    if not isinstance(value, str):
        faults.add(path, "wrong_type", f"must be a text, is {json_type(value)}")
    elif has_lone_surrogate(value):
        faults.add(path, "lone_surrogate", "holds half of a surrogate pair, which is no character")
    elif "\x00" in value:
        faults.add(path, "control_character", "holds the control character U+0000")
    else:
        return value
    return ""
