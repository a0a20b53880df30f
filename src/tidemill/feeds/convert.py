"""Plain data -> structs, naming every fault and not only the first: unknown keys (with the name that was probably
meant), missing keys and wrong types, each with its key. Leaves themselves are converted by msgspec."""

import difflib
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from tidemill.feeds.key_lines import Key


class DefinitionFault(msgspec.Struct, frozen=True):
    """One fault in a feed definition: the key, a stable code and a sentence with a hint."""

    key: Key
    code: str
    message: str


def convert(data: Any, kind: Any, key: Key, found: list[DefinitionFault]) -> Any:
    """`data` as `kind` (a struct, a dict or tuple of structs, or anything msgspec converts). Adds every fault to
    `found`; what is returned is only good when nothing was added."""
    kind = _without_none(kind)
    if _is_struct(kind):
        return _convert_struct(data, kind, key, found)
    if get_origin(kind) is dict and _is_struct(get_args(kind)[1]):
        if not isinstance(data, dict):
            return _wrong(key, "a table", data, found)
        members = {name: convert(value, get_args(kind)[1], (*key, name), found) for name, value in data.items()}
        return {name: value for name, value in members.items() if value is not None}
    if get_origin(kind) is tuple and _is_struct(get_args(kind)[0]):
        if not isinstance(data, list):
            return _wrong(key, f"an array of tables ([[{key[-1]}]])", data, found)
        items = [convert(value, get_args(kind)[0], (*key, n), found) for n, value in enumerate(data)]
        return tuple(item for item in items if item is not None)
    return _convert_leaf(data, kind, key, found)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or the known names, or nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(names)})" if names else ""


def _convert_struct(data: Any, kind: type[msgspec.Struct], key: Key, found: list[DefinitionFault]) -> Any:
    if not isinstance(data, dict):
        return _wrong(key, "a table", data, found)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in data:
        if name not in fields:
            found.append(
                DefinitionFault((*key, name), "unknown_key", f"unknown key '{name}'{did_you_mean(name, fields)}")
            )
    values = {}
    for name, field in fields.items():
        if name in data:
            before = len(found)
            value = convert(data[name], field.type, (*key, name), found)
            if value is not None or (len(found) == before and not field.required):
                values[field.name] = value  # else its default stands in, so that the rest can be looked at as well
        elif field.required:
            found.append(DefinitionFault((*key, name), "missing", f"'{name}' is missing"))
    try:
        return kind(**values)
    except TypeError:  # a required key is missing, which was noted
        return None


def _convert_leaf(data: Any, kind: Any, key: Key, found: list[DefinitionFault]) -> Any:
    try:
        return msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as error:
        choices = _choices(kind)
        if isinstance(data, str) and choices:
            message = f"'{data[:60]}' is none of the choices{did_you_mean(data, choices)}"
        else:
            message = str(error)
        found.append(DefinitionFault(key, "wrong_type", message))
        return None


def _wrong(key: Key, expected: str, data: Any, found: list[DefinitionFault]) -> None:
    found.append(DefinitionFault(key, "wrong_type", f"must be {expected}, not {type(data).__name__}"))


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        rest = [part for part in get_args(kind) if part is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind
