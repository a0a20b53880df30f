"""Converts plain data to structs and reports every fault, not only the first: unknown keys (with the name that was
probably meant), missing keys and wrong types, each with its key. msgspec converts the leaves."""

import difflib
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from tidemill.feeds.key_lines import Key


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of every table of a feed definition: unknown keys are faults."""


class DefinitionFault(msgspec.Struct, frozen=True):
    """One fault in a feed definition: the key, a stable code and a sentence with a hint."""

    key: Key
    code: str
    message: str


def convert_data(data: Any, kind: Any, key: Key, faults: list[DefinitionFault]) -> Any:
    """`data` as `kind` (a struct, a dict or tuple of structs, or anything msgspec converts). Appends every fault to
    `faults`; the returned value is complete only if no fault was appended."""
    kind = _without_none(kind)
    if _is_struct(kind):
        return _convert_struct(data, kind, key, faults)
    if get_origin(kind) is dict and _is_struct(get_args(kind)[1]):
        if not isinstance(data, dict):
            return _wrong(key, "a table", data, faults)
        members = {name: convert_data(value, get_args(kind)[1], (*key, name), faults) for name, value in data.items()}
        return {name: value for name, value in members.items() if value is not None}
    if get_origin(kind) is tuple and _is_struct(get_args(kind)[0]):
        if not isinstance(data, list):
            return _wrong(key, f"an array of tables ([[{key[-1]}]])", data, faults)
        items = [convert_data(value, get_args(kind)[0], (*key, n), faults) for n, value in enumerate(data)]
        return tuple(item for item in items if item is not None)
    return _convert_leaf(data, kind, key, faults)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a message: ` (did you mean 'x'?)`, else the known names, else ""."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f" (did you mean '{close[0]}'?)"
    return f" (known: {', '.join(names)})" if names else ""


def _convert_struct(data: Any, kind: type[msgspec.Struct], key: Key, faults: list[DefinitionFault]) -> Any:
    if not isinstance(data, dict):
        return _wrong(key, "a table", data, faults)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in data:
        if name not in fields:
            faults.append(
                DefinitionFault((*key, name), "unknown_key", f"unknown key '{name}'{did_you_mean(name, fields)}")
            )
    values = {}
    for name, field in fields.items():
        if name in data:
            before = len(faults)
            value = convert_data(data[name], field.type, (*key, name), faults)
            if value is not None or (len(faults) == before and not field.required):
                values[field.name] = value  # else the field keeps its default, so that the others are validated too
        elif field.required:
            faults.append(DefinitionFault((*key, name), "missing", f"'{name}' is missing"))
    try:
        return kind(**values)
    except TypeError:  # a required key is missing; its fault was appended above
        return None


def _convert_leaf(data: Any, kind: Any, key: Key, faults: list[DefinitionFault]) -> Any:
    try:
        return msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as error:
        choices = _choices(kind)
        if isinstance(data, str) and choices:
            message = f"'{data[:60]}' is none of the choices{did_you_mean(data, choices)}"
        else:
            message = str(error)
        faults.append(DefinitionFault(key, "wrong_type", message))
        return None


def _wrong(key: Key, expected: str, data: Any, faults: list[DefinitionFault]) -> None:
    faults.append(DefinitionFault(key, "wrong_type", f"must be {expected}, not {type(data).__name__}"))


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
